"""Steps: of a run, of an agent, of all, and one alone."""

import pytest

from letta_grpc.domain.errors import StepNotFound
from letta_grpc.domain.ids import new_step_id
from letta_grpc.domain.paging import PageRequest
from letta_grpc.engine.agents import NewAgent
from tests.support.engine import Engine, end, say


async def test_steps_are_found_by_their_run_by_its_agent_and_alone(house: Engine) -> None:
    other = await house.agents.create(NewAgent(model="test/model"))
    mine = end(await house.play(say("one")))
    others = end(await house.play(say("two"), agent=other))
    (step,) = (await house.runs.list_steps(mine.id, PageRequest())).items
    assert (await house.runs.list_steps(None, PageRequest(), house.agent.id)).items == (step,)
    everybodys = (await house.runs.list_steps(None, PageRequest())).items
    assert [each.run_id for each in everybodys] == [mine.id, others.id]
    assert await house.runs.get_step(step.id) == step


async def test_a_step_that_is_not_there_is_told(house: Engine) -> None:
    with pytest.raises(StepNotFound):
        await house.runs.get_step(new_step_id())
