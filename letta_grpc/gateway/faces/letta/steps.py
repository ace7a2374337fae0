"""Steps of all runs."""

from collections.abc import Sequence
from datetime import UTC

from letta_grpc.gateway.faces.letta.ids import checked_id
from letta_grpc.gateway.faces.letta.operations import Ask, Json, Operation, together
from letta_grpc.gateway.faces.letta.pages import fetch_of, listed
from letta_grpc.gateway.faces.letta.runs import messages_of_run, part_of
from letta_grpc.gateway.faces.letta.shapes.runs import step_json, step_metrics_json
from letta_grpc.v1 import run_service_pb2 as pb
from letta_grpc.v1 import runs_pb2

# What no step here has: who asks for it finds none.
_NONE_HAS = ("feedback", "trace_ids", "tags")


async def list_steps(ask: Ask) -> Json:
    """List steps, of an agent or of a run if the query names one."""
    run_id, agent_id = ask.query("run_id"), ask.query("agent_id")
    request = pb.ListStepsRequest(
        run_id=checked_id("run", run_id, "query") if run_id else "",
        agent_id=checked_id("agent", agent_id, "query") if agent_id and not run_id else "",
    )
    if ask.flag("has_feedback") or any(ask.queries(name) for name in _NONE_HAS):
        return []
    model, start, end = ask.query("model"), ask.time("start_date"), ask.time("end_date")

    def fits(step: runs_pb2.Step) -> list[runs_pb2.Step]:
        time = step.complete_time.ToDatetime(UTC)
        is_between = (start is None or time >= start) and (end is None or time < end)
        return [step] if is_between and model in (None, step.model, step.model.partition("/")[2]) else []

    fetch = fetch_of(ask, ask.services.runs.ListSteps, lambda page: page.steps)
    steps: list[runs_pb2.Step] = await listed(ask, request, fetch, fits)
    runs = await _runs_of(ask, steps)
    return [step_json(step, runs[step.run_id]) for step in steps]


async def _runs_of(ask: Ask, steps: Sequence[runs_pb2.Step]) -> dict[str, runs_pb2.Run]:
    requests = [pb.GetRunRequest(run_id=run_id) for run_id in {step.run_id for step in steps}]
    found = await together(*(ask.call(ask.services.runs.GetRun, request) for request in requests))
    return {response.run.id: response.run for response in found}


async def _step(ask: Ask) -> runs_pb2.Step:
    request = pb.GetStepRequest(step_id=ask.path_id("step"))
    return (await ask.call(ask.services.runs.GetStep, request)).step


async def retrieve(ask: Ask) -> Json:
    """Show a step."""
    step = await _step(ask)
    return step_json(step, (await _runs_of(ask, [step]))[step.run_id])


async def messages(ask: Ask) -> Json:
    """List the messages of a step."""
    step = await _step(ask)
    groups = await messages_of_run(ask, step.run_id)
    return part_of(ask, [items for items in groups if items[0]["step_id"] == step.id], order="asc")


async def metrics(ask: Ask) -> Json:
    """Show how long a step took."""
    step = await _step(ask)
    return step_metrics_json(step, (await _runs_of(ask, [step]))[step.run_id])


OPERATIONS: Sequence[Operation] = (
    Operation(
        "GET",
        "/v1/steps/",
        list_steps,
        differs="a step that stored nothing is not listed: how its run ended is told of the one before; "
        "`context_window_limit` is null",
    ),
    Operation("GET", "/v1/steps/{step_id}", retrieve),
    Operation("GET", "/v1/steps/{step_id}/messages", messages),
    Operation(
        "GET",
        "/v1/steps/{step_id}/metrics",
        metrics,
        differs="`step_ns` alone: the time of models and tools is not told apart",
    ),
)
