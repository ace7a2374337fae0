"""The server: each agent is a case, each start of one is a run that plays the case's calls."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NoReturn, TypeVar, assert_never

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # googleapis ships no stubs
from grpc_status import rpc_status

from letta_grpc.conformance.cases import API_KEY, BEAT_SECONDS, Beats, Case, Deed, Event, Refusal, Send, UntilCancelled
from letta_grpc.conformance.stage import Playing, Stage
from letta_grpc.v1 import (
    agent_service_pb2,
    agent_service_pb2_grpc,
    agents_pb2,
    events_pb2,
    run_service_pb2,
    run_service_pb2_grpc,
    runs_pb2,
)

Context = grpc.aio.ServicerContext[Any, Any]
Response = TypeVar("Response", run_service_pb2.StreamRunResponse, run_service_pb2.AttachRunResponse)

RUN_ID_KEY = "letta-run-id"
# GetRun of this and a case's name tells what the server saw of the latest program that played it.
SEEN = "seen/"
# How long a program's streams may take to be gone before it is asked what was seen of them.
_SETTLE_SECONDS = 5.0


class Runs(run_service_pb2_grpc.RunServiceServicer):
    """What clients follow, start and end."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def StreamRun(  # noqa: N802 - the service's name
        self, request: run_service_pb2.StreamRunRequest, context: Context
    ) -> AsyncIterator[run_service_pb2.StreamRunResponse]:
        """Begin the run of a case, and follow it."""
        await _require_key(context)
        playing = self._stage.run_of(request)
        async for events in _play(playing, context):
            yield run_service_pb2.StreamRunResponse(run_id=playing.run_id, agent_id=playing.case.name, events=events)

    async def AttachRun(  # noqa: N802 - the service's name
        self, request: run_service_pb2.AttachRunRequest, context: Context
    ) -> AsyncIterator[run_service_pb2.AttachRunResponse]:
        """Play the next call of a run."""
        await _require_key(context)
        playing = self._stage.run(request.run_id)
        playing.attached_after.append(request.after_sequence_number)
        async for events in _play(playing, context):
            yield run_service_pb2.AttachRunResponse(run_id=playing.run_id, agent_id=playing.case.name, events=events)

    async def GetRun(  # noqa: N802 - the service's name
        self, request: run_service_pb2.GetRunRequest, context: Context
    ) -> run_service_pb2.GetRunResponse:
        """Return a run as far as it was told; of `seen/<case>` what its program did."""
        await _require_key(context)
        if request.run_id.startswith(SEEN):
            return run_service_pb2.GetRunResponse(run=await self._seen(request.run_id.removeprefix(SEEN), context))
        return run_service_pb2.GetRunResponse(run=self._stage.run(request.run_id).run())

    async def CreateRun(  # noqa: N802 - the service's name
        self, request: run_service_pb2.CreateRunRequest, context: Context
    ) -> run_service_pb2.CreateRunResponse:
        """Begin the run of a case."""
        await _require_key(context)
        return run_service_pb2.CreateRunResponse(run=self._stage.run_of(request).run())

    async def CancelRun(  # noqa: N802 - the service's name
        self, request: run_service_pb2.CancelRunRequest, context: Context
    ) -> run_service_pb2.CancelRunResponse:
        """Note it, and let go what waits for it."""
        await _require_key(context)
        playing = self._stage.run(request.run_id)
        playing.cancels += 1
        playing.cancelled.set()
        return run_service_pb2.CancelRunResponse(run=playing.run())

    async def _seen(self, name: str, context: Context) -> runs_pb2.Run:
        playing = self._stage.latest(name)
        if playing is None:
            await _refuse(context, Refusal(code=grpc.StatusCode.NOT_FOUND, reason="RUN_NOT_FOUND", metadata={"run_id": name}))
        try:
            async with asyncio.timeout(_SETTLE_SECONDS):
                await playing.quiet.wait()
        except TimeoutError:
            leaking = Refusal(code=grpc.StatusCode.FAILED_PRECONDITION, reason="RESOURCE_IN_USE")
            await _refuse(context, leaking)
        return runs_pb2.Run(id=playing.run_id, metadata={"seen": json.dumps(playing.seen())})


class Agents(agent_service_pb2_grpc.AgentServiceServicer):
    """Makes agents, so that first examples run: each plays a case in which nothing goes wrong."""

    async def CreateAgent(  # noqa: N802 - the service's name
        self, request: agent_service_pb2.CreateAgentRequest, context: Context
    ) -> agent_service_pb2.CreateAgentResponse:
        """Return the agent with an id."""
        await _require_key(context)
        agent = agents_pb2.Agent()
        agent.CopyFrom(request.agent)
        agent.id = f"agent-{uuid.uuid4()}"
        return agent_service_pb2.CreateAgentResponse(agent=agent)


async def _play(playing: Playing, context: Context) -> AsyncIterator[Sequence[Event]]:
    playing.open_streams += 1
    playing.quiet.clear()
    try:
        call = playing.take_call()
        if call is None:
            await _refuse(context, Refusal(code=grpc.StatusCode.FAILED_PRECONDITION, reason="ONE_CALL_TOO_MANY"))
        if call.accepts:
            await context.send_initial_metadata(((RUN_ID_KEY, playing.run_id),))
        for deed in call.deeds:
            async for events in _do(playing, deed):
                yield events
        match call.end:
            case "ok":
                pass
            case "silence":
                # The reader goes: then grpc cancels this.
                await asyncio.Event().wait()
            case Refusal() as refusal:
                await _refuse(context, refusal)
            case _:
                assert_never(call.end)
    finally:
        playing.open_streams -= 1
        if not playing.open_streams:
            playing.quiet.set()


async def _do(playing: Playing, deed: Deed) -> AsyncIterator[Sequence[Event]]:
    match deed:
        case Send():
            playing.delivered = max(playing.delivered, *(event.sequence_number for event in deed.events))
            yield [playing.bound(event) for event in deed.events]
        case Beats():
            for _ in range(deed.count):
                await asyncio.sleep(BEAT_SECONDS)
                yield [Event(sequence_number=deed.number, heartbeat=events_pb2.Heartbeat())]
        case UntilCancelled():
            await playing.cancelled.wait()
        case _:
            assert_never(deed)


async def _require_key(context: Context) -> None:
    given = dict(context.invocation_metadata() or ()).get("authorization")
    if given != f"Bearer {API_KEY}":
        reason = "CREDENTIALS_INVALID" if given else "CREDENTIALS_MISSING"
        await _refuse(context, Refusal(code=grpc.StatusCode.UNAUTHENTICATED, reason=reason))


async def _refuse(context: Context, refusal: Refusal) -> NoReturn:
    details: list[Message] = []
    if refusal.reason:
        details.append(error_details_pb2.ErrorInfo(domain="letta-grpc", reason=refusal.reason, metadata=refusal.metadata))
    if refusal.retry_milliseconds is not None:
        delay = Duration()
        delay.FromMilliseconds(refusal.retry_milliseconds)
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    if refusal.fields:
        violation = error_details_pb2.BadRequest.FieldViolation
        violations = [violation(field=path, description=rule) for path, rule in refusal.fields.items()]
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    status = status_pb2.Status(
        code=refusal.code.value[0], message="as the case says", details=[_packed(one) for one in details]
    )
    await context.abort_with_status(rpc_status.to_status(status))
    raise AssertionError("abort_with_status always raises")


def _packed(message: Message) -> any_pb2.Any:
    holder = any_pb2.Any()
    holder.Pack(message)
    return holder


@asynccontextmanager
async def serving(cases: Sequence[Case], listen: str) -> AsyncIterator[str]:
    """Serve the cases; give the address with the port that was bound."""
    stage = Stage(cases)
    server = grpc.aio.server()
    runs = Runs(stage)  # type: ignore[abstract]  # what no case calls answers UNIMPLEMENTED
    run_service_pb2_grpc.add_RunServiceServicer_to_server(runs, server)
    agents = Agents()  # type: ignore[abstract]  # as above
    agent_service_pb2_grpc.add_AgentServiceServicer_to_server(agents, server)
    port = server.add_insecure_port(listen)
    await server.start()
    try:
        yield f"{listen.rpartition(':')[0]}:{port}"
    finally:
        await server.stop(0)
