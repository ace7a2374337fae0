"""Steps by themselves, end to end."""

import pytest

from letta_grpc.v1 import run_service_pb2 as pb
from tests.requirements.registry import requirement
from tests.support.houses import Wire, run_of, talk
from tests.support.wires import failure_of, fields_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@requirement("steps")
async def test_steps_are_listed_by_run_by_agent_and_read_alone(wire: Wire) -> None:
    one, other = await talk(wire), await talk(wire)
    runs = [run_of(await each.ask("Hi.")) for each in (one, other, one)]
    mine = (await wire.runs.ListSteps(pb.ListStepsRequest(agent_id=one.agent_id))).steps
    assert [step.run_id for step in mine] == [runs[0].id, runs[2].id]
    for step in mine:
        assert (await wire.runs.GetStep(pb.GetStepRequest(step_id=step.id))).step == step
        assert list((await wire.runs.ListSteps(pb.ListStepsRequest(run_id=step.run_id))).steps) == [step]
    newest = pb.ListStepsRequest(descending=True, page_size=3)
    assert [step.run_id for step in (await wire.runs.ListSteps(newest)).steps] == [run.id for run in runs[::-1]]
    behind = pb.ListStepsRequest(agent_id=one.agent_id, after_id=mine[0].id)
    assert list((await wire.runs.ListSteps(behind)).steps) == [mine[1]]


async def test_a_run_and_an_agent_are_not_named_together(wire: Wire) -> None:
    one = await talk(wire)
    run = run_of(await one.ask("Hi."))
    refused = await failure_of(wire.runs.ListSteps(pb.ListStepsRequest(run_id=run.id, agent_id=one.agent_id)))
    assert list(fields_of(refused)) == ["agent_id"]
