"""A RunService on a real socket that does exactly what a test wrote down: cuts, gaps, silence, doubles, errors."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # googleapis ships no stubs
from grpc_status import rpc_status

from letta_grpc.v1 import (
    errors_pb2,
    events_pb2,
    messages_pb2,
    run_service_pb2,
    run_service_pb2_grpc,
    runs_pb2,
)

Context = grpc.aio.ServicerContext[Any, Any]
Answer = TypeVar("Answer", bound=Message)

RUN_ID = "run-7c9e6679-7425-40de-944b-e07fc1f90ae7"
AGENT_ID = "agent-0b8f1a52-93cf-4c0e-9f31-30e0ad5b22ee"


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """How a call ends when it does not end OK; with a reason it carries the details that our server sends."""

    code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    message: str = "the link broke"
    reason: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    retry_milliseconds: int | None = None
    fields: dict[str, str] = field(default_factory=dict)

    def status(self) -> grpc.Status:
        """Return what goes into the trailers."""
        details: list[Message] = []
        if self.reason:
            details.append(error_details_pb2.ErrorInfo(domain="letta-grpc", reason=self.reason, metadata=self.metadata))
        if self.retry_milliseconds is not None:
            delay = Duration()
            delay.FromMilliseconds(self.retry_milliseconds)
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        if self.fields:
            violations = [
                error_details_pb2.BadRequest.FieldViolation(field=path, description=rule) for path, rule in self.fields.items()
            ]
            details.append(error_details_pb2.BadRequest(field_violations=violations))
        status = status_pb2.Status(code=self.code.value[0], message=self.message, details=[_packed(one) for one in details])
        return rpc_status.to_status(status)


def _packed(message: Message) -> any_pb2.Any:
    holder = any_pb2.Any()
    holder.Pack(message)
    return holder


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What one streaming call does: sends its batches, one response each, then ends."""

    batches: Sequence[Sequence[events_pb2.RunEvent]] = ()
    # None ends it OK.
    end: Refusal | None = None
    # Whether the run id goes out before anything else.
    accepts: bool = True
    # Says nothing more, instead of ending.
    silent: bool = False


class ScriptedRuns(run_service_pb2_grpc.RunServiceServicer):
    """Plays one turn per streaming call, in order; a call too many is a failure of the test's own.

    Other calls get the next of `answers`, and when there is none the run.
    """

    def __init__(self, turns: Sequence[Turn] = (), *, run: runs_pb2.Run | None = None) -> None:
        self.turns = list(turns)
        self.run = run or runs_pb2.Run(id=RUN_ID, agent_id=AGENT_ID, state=runs_pb2.RUN_STATE_RUNNING)
        self.answers: list[Message | Refusal] = []
        self.requests: list[Message] = []
        self.metadata: list[dict[str, str | bytes]] = []
        self.reader_gone = asyncio.Event()

    async def StreamRun(  # noqa: N802 - the service's name
        self,
        request: run_service_pb2.StreamRunRequest,
        context: Context,
    ) -> AsyncIterator[run_service_pb2.StreamRunResponse]:
        async for batch in self._play(request, context):
            yield run_service_pb2.StreamRunResponse(run_id=RUN_ID, agent_id=AGENT_ID, events=batch)

    async def AttachRun(  # noqa: N802 - the service's name
        self,
        request: run_service_pb2.AttachRunRequest,
        context: Context,
    ) -> AsyncIterator[run_service_pb2.AttachRunResponse]:
        async for batch in self._play(request, context):
            yield run_service_pb2.AttachRunResponse(run_id=RUN_ID, agent_id=AGENT_ID, events=batch)

    async def StreamRuns(  # noqa: N802 - the service's name
        self, request: run_service_pb2.StreamRunsRequest, context: Context
    ) -> AsyncIterator[run_service_pb2.StreamRunsResponse]:
        async for batch in self._play(request, context):
            yield run_service_pb2.StreamRunsResponse(run_id=RUN_ID, agent_id=AGENT_ID, events=batch)

    async def Converse(  # noqa: N802 - the service's name
        self, request_iterator: AsyncIterator[run_service_pb2.ConverseRequest], context: Context
    ) -> AsyncIterator[run_service_pb2.ConverseResponse]:
        async for request in request_iterator:
            async for batch in self._play(request, context):
                yield run_service_pb2.ConverseResponse(run_id=RUN_ID, agent_id=AGENT_ID, events=batch, tag=request.tag)

    async def GetRun(  # noqa: N802 - the service's name
        self, request: run_service_pb2.GetRunRequest, context: Context
    ) -> run_service_pb2.GetRunResponse:
        return await self._answer(request, context, run_service_pb2.GetRunResponse(run=self.run))

    async def CancelRun(  # noqa: N802 - the service's name
        self, request: run_service_pb2.CancelRunRequest, context: Context
    ) -> run_service_pb2.CancelRunResponse:
        return await self._answer(request, context, run_service_pb2.CancelRunResponse(run=self.run))

    async def CreateRun(  # noqa: N802 - the service's name
        self, request: run_service_pb2.CreateRunRequest, context: Context
    ) -> run_service_pb2.CreateRunResponse:
        return await self._answer(request, context, run_service_pb2.CreateRunResponse(run=self.run))

    async def ExecuteRun(  # noqa: N802 - the service's name
        self, request: run_service_pb2.ExecuteRunRequest, context: Context
    ) -> run_service_pb2.ExecuteRunResponse:
        return await self._answer(request, context, run_service_pb2.ExecuteRunResponse(run=self.run))

    async def ListRuns(  # noqa: N802 - the service's name
        self, request: run_service_pb2.ListRunsRequest, context: Context
    ) -> run_service_pb2.ListRunsResponse:
        return await self._answer(request, context, run_service_pb2.ListRunsResponse())

    async def ListRunEvents(  # noqa: N802 - the service's name
        self, request: run_service_pb2.ListRunEventsRequest, context: Context
    ) -> run_service_pb2.ListRunEventsResponse:
        return await self._answer(request, context, run_service_pb2.ListRunEventsResponse())

    async def ListSteps(  # noqa: N802 - the service's name
        self, request: run_service_pb2.ListStepsRequest, context: Context
    ) -> run_service_pb2.ListStepsResponse:
        return await self._answer(request, context, run_service_pb2.ListStepsResponse())

    async def GetStep(  # noqa: N802 - the service's name
        self, request: run_service_pb2.GetStepRequest, context: Context
    ) -> run_service_pb2.GetStepResponse:
        return await self._answer(request, context, run_service_pb2.GetStepResponse())

    async def ListRunMessages(  # noqa: N802 - the service's name
        self, request: run_service_pb2.ListRunMessagesRequest, context: Context
    ) -> run_service_pb2.ListRunMessagesResponse:
        return await self._answer(request, context, run_service_pb2.ListRunMessagesResponse())

    async def _answer(self, request: Message, context: Context, usual: Answer) -> Answer:
        self._note(request, context)
        answer = self.answers.pop(0) if self.answers else usual
        if isinstance(answer, Refusal):
            await context.abort_with_status(answer.status())
        assert isinstance(answer, type(usual))
        return answer

    def _note(self, request: Message, context: Context) -> None:
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata() or ()))

    async def _play(self, request: Message, context: Context) -> AsyncIterator[Sequence[events_pb2.RunEvent]]:
        self._note(request, context)
        turn = self.next_turn(request)
        try:
            if turn.accepts:
                await context.send_initial_metadata((("letta-run-id", RUN_ID),))
            for batch in turn.batches:
                yield batch
            if turn.silent:
                await asyncio.Event().wait()
            if turn.end is not None:
                await context.abort_with_status(turn.end.status())
        finally:
            self.reader_gone.set()

    def next_turn(self, request: Message) -> Turn:
        """Return what the next call does."""
        assert self.turns, f"one call too many: {request}"
        return self.turns.pop(0)


@asynccontextmanager
async def serving(runs: run_service_pb2_grpc.RunServiceServicer) -> AsyncIterator[str]:
    """Serve on a free port; give the target."""
    server = grpc.aio.server()
    run_service_pb2_grpc.add_RunServiceServicer_to_server(runs, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


def heartbeat(number: int) -> events_pb2.RunEvent:
    """Return a heartbeat."""
    return events_pb2.RunEvent(sequence_number=number, heartbeat=events_pb2.Heartbeat())


def log_of(
    words: Sequence[str], *, state: "runs_pb2.RunState.ValueType" = runs_pb2.RUN_STATE_COMPLETED, error: str = ""
) -> list[events_pb2.RunEvent]:
    """Return the whole log of a run of one step that says these words."""
    started = runs_pb2.Run(id=RUN_ID, agent_id=AGENT_ID, state=runs_pb2.RUN_STATE_RUNNING)
    finished = runs_pb2.Run(id=RUN_ID, agent_id=AGENT_ID, state=state)
    if error:
        finished.error.CopyFrom(errors_pb2.RunError(reason=error, message="the provider failed"))
    message = messages_pb2.Message(
        id="message-1",
        role=messages_pb2.ROLE_ASSISTANT,
        content=[messages_pb2.ContentPart(text="".join(words))],
        run_id=RUN_ID,
    )
    payloads = [
        events_pb2.RunEvent(run_started=events_pb2.RunStarted(run=started)),
        events_pb2.RunEvent(step_started=events_pb2.StepStarted(step_id="step-1", model="scripted/echo")),
        events_pb2.RunEvent(message_started=events_pb2.MessageStarted(message_id="message-1", step_id="step-1")),
        *(events_pb2.RunEvent(text_delta=events_pb2.TextDelta(message_id="message-1", text=word)) for word in words),
        events_pb2.RunEvent(message_completed=events_pb2.MessageCompleted(message=message)),
        events_pb2.RunEvent(step_completed=events_pb2.StepCompleted(step_id="step-1")),
        events_pb2.RunEvent(run_finished=events_pb2.RunFinished(run=finished)),
    ]
    for number, event in enumerate(payloads, start=1):
        event.sequence_number = number
    return payloads
