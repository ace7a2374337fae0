"""Starting runs, and finding those that a repeated request has started before.

A request whose messages have an `otid` starts under a request id made of it: repeated it finds its run, by whichever route and
in whichever mode it comes. Of others the digest of the input is kept with the run; the SDKs say in a header that they repeat,
and a repeated request whose input is that of a run of the conversation, at work, in its queue, or the last that has ended, is
taken for the same.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration

from letta_grpc.gateway.faces.letta.approvals import with_calls_named
from letta_grpc.gateway.faces.letta.errors import PENDING, LettaFailure, conflict, unprocessable
from letta_grpc.gateway.faces.letta.fields import text, whole_number
from letta_grpc.gateway.faces.letta.following import Following, attached, started
from letta_grpc.gateway.faces.letta.ids import request_id_of
from letta_grpc.gateway.faces.letta.inputs import client_tools_in, messages_in
from letta_grpc.gateway.faces.letta.modes import DIGEST, OTIDS, RETURNS, STREAM, TYPES, View, hidden_returns
from letta_grpc.gateway.faces.letta.open_runs import newest_ended_run, runs_at_work
from letta_grpc.gateway.faces.letta.operations import Ask
from letta_grpc.gateway.faces.letta.shapes.runs import BACKGROUND
from letta_grpc.gateway.faces.letta.skills import instructions_with, skills_in
from letta_grpc.gateway.faces.letta.targets import Target, conversation_id_of
from letta_grpc.gateway.failures import Failure
from letta_grpc.v1 import messages_pb2, runs_pb2
from letta_grpc.v1 import run_service_pb2 as pb

TOKENS, STEPS = "tokens", "steps"
COMPACTIONS = "compactions"
_MAX_INT32 = 2**31 - 1
# By how many otids of its input, the last ones, a run is found: what it keeps has a limit.
_FOUND_BY = 100
_RETRY_COUNT = "x-stainless-retry-count"
# How long ago a run may have ended whose answer got lost. Not how old it is: who repeats has waited for it.
_RETRY_SECONDS = 60
# Below what the SDKs wait for a byte, and below the reference server's 20 s.
_HEARTBEAT = Duration(seconds=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """A start as a body asks for it."""

    target: Target
    run: runs_pb2.RunSpec
    request_id: str | None

    @property
    def digest(self) -> str:
        """The digest of the input."""
        return self.run.metadata[DIGEST]


def options_of(view: View) -> pb.StreamOptions:
    """Return how a stream for this view is to be sent."""
    return pb.StreamOptions(omit_deltas=not view.tokens, heartbeat_interval=_HEARTBEAT)


def view_in(body: Mapping[str, Any]) -> View:
    """Return how a body wants its run told."""
    types = body.get("include_return_message_types") or ()
    if not isinstance(types, list | tuple):
        raise unprocessable("include_return_message_types", "must be a list")
    return View(
        tokens=bool(body.get("stream_tokens")),
        pings=body.get("include_pings", True) is not False,
        compactions=bool(body.get("include_compaction_messages")),
        types=frozenset(map(str, types)),
    )


def view_of(run: runs_pb2.Run, *, pings: bool = True, after: int = 0) -> View:
    """Return how a run was asked to be told when it was started."""
    modes = run.metadata.get(STREAM, STEPS).split(",")
    return View(
        tokens=TOKENS in modes,
        pings=pings,
        compactions=COMPACTIONS in modes,
        types=frozenset(filter(None, run.metadata.get(TYPES, "").split(","))),
        hidden_returns=hidden_returns(run.metadata),
        after=after,
    )


async def start_in(ask: Ask, target: Target) -> StartRequest:
    """Return the start that a request asks for. Raises Failure."""
    body = await with_calls_named(ask, target, ask.body)
    run, skills = await ask.aside(_run_in, body)
    try:
        if body.get("max_steps") is not None:
            run.max_steps = whole_number(body, "max_steps", 1, _MAX_INT32)
        if model := text(body, "override_model"):
            run.model = model
        if system := text(body, "override_system") or text(body, "system"):
            run.system = system
        # Of what was asked, not of the agent's instructions: those may have changed when the request is repeated.
        said = run.SerializeToString(deterministic=True)
        digest = hashlib.sha256(f"{target.key}\n".encode() + said + skills.encode()).hexdigest()
        if skills and not run.HasField("system"):
            run.system = await instructions_with(ask, target.agent_id, skills)
    except (TypeError, ValueError) as error:
        raise unprocessable("", str(error)) from None
    _keep(run, digest, view_in(body))
    if body.get("background"):
        run.metadata[BACKGROUND] = "true"
    otids = [message.otid for message in run.messages if message.otid]
    if len(otids) > 1:
        run.metadata[OTIDS] = "\n".join(otids[-_FOUND_BY:])
    return StartRequest(target=target, run=run, request_id=request_id_of(target.key, otids))


def _run_in(body: Mapping[str, Any]) -> tuple[runs_pb2.RunSpec, str]:
    return runs_pb2.RunSpec(messages=messages_in(body), client_tools=client_tools_in(body)), skills_in(body)


def _keep(run: runs_pb2.RunSpec, digest: str, view: View) -> None:
    run.metadata[DIGEST] = digest
    run.metadata[STREAM] = ",".join([TOKENS if view.tokens else STEPS, *([COMPACTIONS] if view.compactions else [])])
    if view.types:
        run.metadata[TYPES] = ",".join(sorted(view.types))
    if returns := returned_calls(run.messages):
        run.metadata[RETURNS] = ",".join(returns)


def returned_calls(messages: Sequence[messages_pb2.InputMessage]) -> list[str]:
    """Return the calls that an input gives the returns of."""
    return [returned.tool_call_id for message in messages for returned in message.tool_returns.returns]


async def begin(ask: Ask, start: StartRequest, options: pb.StreamOptions) -> Following:
    """Start a run and follow it, or the one that this request has started before. Raises Failure.

    A conversation at work takes the run into its queue.
    """
    repeats = ask.request.headers.get(_RETRY_COUNT, "0") not in {"", "0"} and start.request_id is None
    if repeats and (run_id := await _run_of_former_try(ask, start)):
        return await attached(ask, run_id, options)
    try:
        return await started(ask, _request(start, options, runs_pb2.CONFLICT_POLICY_REJECT))
    except Failure as failure:
        facts = failure.facts
        match failure.reason:
            case "APPROVAL_PENDING":
                raise await _pending(ask, facts) from None
            case "CONVERSATION_BUSY" if repeats and (run_id := await _run_of_former_try(ask, start)):
                # It was accepted while we looked.
                return await attached(ask, run_id, options)
            case "CONVERSATION_BUSY":
                return await started(ask, _request(start, options, runs_pb2.CONFLICT_POLICY_ENQUEUE))
            case "REQUEST_ID_REUSED" if await _is_ours(ask, facts.get("run_id", ""), start):
                # The same input, asked for in another mode or taken into the queue then.
                return await attached(ask, facts["run_id"], options)
        raise


def _request(start: StartRequest, options: pb.StreamOptions, policy: runs_pb2.ConflictPolicy.ValueType) -> pb.StreamRunRequest:
    request = pb.StreamRunRequest(
        agent_id=start.target.agent_id,
        conversation_id=start.target.conversation_id,
        request_id=start.request_id or "",
        run=start.run,
        options=options,
    )
    request.run.conflict_policy = policy
    return request


async def _is_ours(ask: Ask, run_id: str, start: StartRequest) -> bool:
    run = (await ask.call(ask.services.runs.GetRun, pb.GetRunRequest(run_id=run_id))).run
    return run.metadata.get(DIGEST) == start.digest


async def _run_of_former_try(ask: Ask, start: StartRequest) -> str | None:
    """Return the id of the run that an earlier try of this request has started, if it reached the server."""
    where = start.target.agent_id, await conversation_id_of(ask, start.target)
    for run in await runs_at_work(ask, *where):
        if run.metadata.get(DIGEST) == start.digest:
            return run.id
    # Of the runs that have ended only the last: of equal texts with something else between them, each was said on its own.
    ended = await newest_ended_run(ask, *where)
    if ended and ended.metadata.get(DIGEST) == start.digest:
        since = datetime.now(UTC) - timedelta(seconds=_RETRY_SECONDS)
        return ended.id if ended.end_time.ToDatetime(UTC) > since else None
    return None


async def _pending(ask: Ask, facts: Mapping[str, str]) -> LettaFailure:
    """Return the failure that names the request that waits, and its calls."""
    run = (await ask.call(ask.services.runs.GetRun, pb.GetRunRequest(run_id=facts["run_id"]))).run
    request_id = next((action.message_id for action in run.pending_actions), None)
    calls = facts.get("tool_call_ids", "").split(",")
    return conflict("PENDING_APPROVAL", PENDING, pending_request_id=request_id, run_id=run.id, tool_call_ids=calls)
