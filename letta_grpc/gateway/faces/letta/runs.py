"""Runs and their steps: listing, reading, following again."""

from collections.abc import Sequence

from starlette.responses import Response

from letta_grpc.gateway.faces.letta.errors import unprocessable
from letta_grpc.gateway.faces.letta.following import attached
from letta_grpc.gateway.faces.letta.operations import Ask, Json, Operation
from letta_grpc.gateway.faces.letta.pages import MAX_LIMIT, check_order, every, fetch_of, is_descending, listed
from letta_grpc.gateway.faces.letta.shapes.messages import Item, items_of
from letta_grpc.gateway.faces.letta.shapes.runs import (
    FAILURES,
    STOP_REASONS,
    is_background,
    metrics_json,
    run_json,
    states_of,
    status_of,
    step_json,
    usage_json,
)
from letta_grpc.gateway.faces.letta.starts import options_of, view_of
from letta_grpc.gateway.faces.letta.streams import LettaEventStream
from letta_grpc.v1 import run_service_pb2 as pb
from letta_grpc.v1 import runs_pb2

_ACTIVE = ("created", "running")
_LIMIT = 100


async def list_runs(ask: Ask) -> Json:
    """List runs."""
    return await _listed(ask, ask.queries("statuses") or (list(_ACTIVE) if ask.flag("active") else []))


async def list_active(ask: Ask) -> Json:
    """List runs that are not over."""
    return await _listed(ask, list(_ACTIVE))


async def _listed(ask: Ask, statuses: Sequence[str]) -> Json:
    # The contract filters by one agent and by its own states: several agents, and runs that have failed to the SDKs' users
    # alone, are told apart here.
    agents = frozenset([*ask.queries("agent_id"), *ask.queries("agent_ids")])
    stop_reason, background = ask.query("stop_reason"), ask.flag("background")
    request = pb.ListRunsRequest(
        agent_id=next(iter(agents)) if len(agents) == 1 else "",
        conversation_id=ask.query("conversation_id") or "",
        states=states_of(statuses),
        stop_reasons=_reasons(stop_reason, statuses),
        # What is background work by the contract is it here, too; but not that alone.
        background=False if background is False else None,
    )
    if (statuses and not request.states) or (stop_reason and not request.stop_reasons):
        # What never happens here matches nothing; an empty filter would match all.
        return []

    def items(run: runs_pb2.Run) -> list[Json]:
        fits = (not agents or run.agent_id in agents) and (not statuses or status_of(run) in statuses)
        return [run_json(run)] if fits and background in (None, is_background(run)) else []

    return await listed(ask, request, fetch_of(ask, ask.services.runs.ListRuns, lambda page: page.runs), items, limit=_LIMIT)


def _reasons(wanted: str | None, statuses: Sequence[str]) -> "list[runs_pb2.StopReason.ValueType]":
    """Return why runs ended that are asked for: where all shall have failed, no completed one need be read but those cut."""
    if wanted is None and set(statuses) == {"failed"}:
        return list(FAILURES)
    return [reason for reason, name in STOP_REASONS.items() if name == wanted]


async def run_in(ask: Ask) -> runs_pb2.Run:
    """Return the run of a path. Raises Failure."""
    request = pb.GetRunRequest(run_id=ask.path_id("run"))
    return (await ask.call(ask.services.runs.GetRun, request)).run


async def retrieve(ask: Ask) -> Json:
    """Show a run."""
    return run_json(await run_in(ask))


async def usage(ask: Ask) -> Json:
    """Show what a run used."""
    return usage_json((await run_in(ask)).usage)


async def metrics(ask: Ask) -> Json:
    """Show how long a run took."""
    return metrics_json(await run_in(ask))


async def messages(ask: Ask) -> Json:
    """List what a run was told and said."""
    return part_of(ask, await messages_of_run(ask, ask.path_id("run")), order="asc")


async def messages_of_run(ask: Ask, run_id: str) -> list[list[Item]]:
    """Return the pieces of each message of a run that has any. Raises Failure."""
    fetch = fetch_of(ask, ask.services.runs.ListRunMessages, lambda page: page.messages)
    listed_messages = every(pb.ListRunMessagesRequest(run_id=run_id), fetch)
    return [items async for message in listed_messages if (items := items_of(message))]


async def steps(ask: Ask) -> Json:
    """List a run's steps."""
    run = await run_in(ask)
    request = pb.ListStepsRequest(run_id=run.id, page_size=MAX_LIMIT)
    listed_steps = (await ask.call(ask.services.runs.ListSteps, request)).steps
    return part_of(ask, [[step_json(step, run)] for step in listed_steps], order="desc")


def part_of(ask: Ask, groups: list[list[Item]], order: str) -> Json:
    """Return the part of a whole list that a query asks for; a group shares one id. Raises Failure."""
    check_order(ask)
    ordered = [group[::-1] for group in groups[::-1]] if is_descending(ask, order) else groups
    ids = [group[0]["id"] for group in ordered]
    after, before = ask.query("after"), ask.query("before")
    start = (ids.index(after) + 1 if after in ids else len(ids)) if after else 0
    end = (ids.index(before) if before in ids else 0) if before else len(ids)
    limit = ask.number("limit", _LIMIT, MAX_LIMIT)
    shown = ordered[start:end][-limit:] if before and not after else ordered[start:end][:limit]
    return [item for group in shown for item in group]


async def follow(ask: Ask) -> Response:
    """Follow a run again, in the mode in which it was started."""
    return await followed(ask, await run_in(ask))


async def followed(ask: Ask, run: runs_pb2.Run) -> Response:
    """Follow a run behind `starting_after`. Raises Failure."""
    after = ask.body.get("starting_after") or 0
    if not isinstance(after, int) or after < 0:
        raise unprocessable("starting_after", "must be a number from 0 on")
    view = view_of(run, pings=ask.body.get("include_pings", True) is not False, after=after)
    return LettaEventStream(await attached(ask, run.id, options_of(view)), view)


OPERATIONS: Sequence[Operation] = (
    Operation("GET", "/v1/runs/", list_runs),
    Operation("GET", "/v1/runs/active", list_active),
    Operation("GET", "/v1/runs/{run_id}", retrieve),
    Operation("GET", "/v1/runs/{run_id}/messages", messages, "has the input of failed and cancelled runs, too"),
    Operation("GET", "/v1/runs/{run_id}/steps", steps),
    Operation("GET", "/v1/runs/{run_id}/usage", usage),
    Operation("GET", "/v1/runs/{run_id}/metrics", metrics, differs="`tools_used` is null"),
    Operation("POST", "/v1/runs/{run_id}/stream", follow, "any run, not only background ones, also after a restart"),
)
