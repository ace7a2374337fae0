"""RunService."""

# ruff: noqa: N802 - methods are named as the contract names them

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from letta_grpc.domain.frames import split_frames
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.runs import Run
from letta_grpc.engine.runs import Runs
from letta_grpc.ports.clock import Clock
from letta_grpc.transport.convert.codec import retag
from letta_grpc.transport.convert.messages import message_to_pb
from letta_grpc.transport.convert.paging import token_of
from letta_grpc.transport.convert.requests import (
    attach_from_pb,
    events_query_from_pb,
    run_id_from_pb,
    run_messages_query_from_pb,
    runs_query_from_pb,
    start_from_pb,
    step_id_from_pb,
    steps_query_from_pb,
    stream_from_pb,
)
from letta_grpc.transport.convert.runs import run_to_pb, step_to_pb
from letta_grpc.transport.convert.streams import streams_from_pb
from letta_grpc.transport.methods import Call, Requests, Response
from letta_grpc.transport.rpc.conversing import Conversing
from letta_grpc.transport.rpc.following import Follower
from letta_grpc.transport.rpc.pages import fitting, that_fit
from letta_grpc.transport.rpc.several import SeveralRuns
from letta_grpc.v1 import run_service_pb2 as pb

_PAGE_BYTES = 1024 * 1024
# The tag of `events` in ListRunEventsResponse: field 1, length-delimited.
_LISTED_EVENTS_TAG = b"\x0a"

_Following = tuple[RunId, AsyncGenerator[Response, None]]


class RunServicer:
    """Starts, shows and ends runs."""

    def __init__(self, runs: Runs, clock: Clock) -> None:
        self._runs = runs
        self._follower = Follower(runs, clock)
        self._several = SeveralRuns(runs, self._follower)

    def StreamRun(self, request: pb.StreamRunRequest, call: Call) -> AsyncGenerator[Response, None]:
        """Start a run and follow it."""
        start, view = stream_from_pb(request, call.traceparent)

        async def begin() -> _Following:
            run = await self._runs.start(start)
            return run.id, self._follower.responses(run.id, 0, view, _head_of(run))

        return self._responses(begin, call)

    def AttachRun(self, request: pb.AttachRunRequest, call: Call) -> AsyncGenerator[Response, None]:
        """Follow a run."""
        run_id, after, view = attach_from_pb(request)

        async def begin() -> _Following:
            run = await self._runs.get(run_id)
            # Ahead of the metadata: whoever has been told the run's id is refused no more, and may begin an answer of his own.
            return run.id, await self._follower.attached(run_id, after, view, _head_of(run))

        return self._responses(begin, call)

    async def _responses(self, begin: Callable[[], Awaitable[_Following]], call: Call) -> AsyncGenerator[Response, None]:
        run_id, following = await begin()
        # A stream lives long: it holds no more of how it began than its ids.
        del begin
        async with aclosing(following) as responses:
            await call.announce(run_id)
            async for response in responses:
                yield response

    def StreamRuns(self, request: pb.StreamRunsRequest, call: Call) -> AsyncGenerator[Response, None]:
        """Start several runs and follow them all."""
        starts, view = streams_from_pb(request, call.traceparent)
        return self._several.responses(starts, view, call)

    def Converse(self, requests: Requests, call: Call) -> AsyncGenerator[Response, None]:
        """Start, follow and end runs as the client says."""
        return Conversing(self._runs, self._follower, call).responses(requests)

    async def ExecuteRun(self, request: pb.ExecuteRunRequest, call: Call) -> pb.ExecuteRunResponse:
        """Start a run and wait for its end."""
        started = await self._runs.start(start_from_pb(request, call.traceparent))
        await call.announce(started.id)
        run = await self._runs.finished(started.id)
        messages = await self._runs.messages_of(run.id)
        # The answer comes last; what came before it can be read in pages.
        newest = that_fit(message_to_pb(message) for message in reversed(messages))
        return pb.ExecuteRunResponse(run=run_to_pb(run), messages=reversed(newest))

    async def CreateRun(self, request: pb.CreateRunRequest, call: Call) -> pb.CreateRunResponse:
        """Start a run."""
        run = await self._runs.start(start_from_pb(request, call.traceparent))
        await call.announce(run.id)
        return pb.CreateRunResponse(run=run_to_pb(run))

    async def GetRun(self, request: pb.GetRunRequest, _call: Call) -> pb.GetRunResponse:
        """Return a run."""
        return pb.GetRunResponse(run=run_to_pb(await self._runs.get(run_id_from_pb(request))))

    async def ListRuns(self, request: pb.ListRunsRequest, _call: Call) -> pb.ListRunsResponse:
        """Return a page of runs."""
        page, where = runs_query_from_pb(request)
        found = await fitting(page, lambda part: self._runs.list(part, where), run_to_pb)
        return pb.ListRunsResponse(runs=found.items, next_page_token=token_of(found.next))

    async def ListRunEvents(self, request: pb.ListRunEventsRequest, _call: Call) -> pb.ListRunEventsResponse:
        """Return a page of stored events."""
        run_id, after, size = events_query_from_pb(request)
        page = await self._runs.read_events(run_id, after, _PAGE_BYTES)
        frames = list(split_frames(page.frames))[:size]
        last = after + len(frames)
        stored = page.last if page.ended else (await self._runs.get(run_id)).last_sequence_number or 0
        listed = b"".join(retag(frame, _LISTED_EVENTS_TAG) for frame in frames)
        response = pb.ListRunEventsResponse.FromString(listed)
        response.next_page_token = token_of(last if last < max(stored, page.last) else None)
        return response

    async def ListSteps(self, request: pb.ListStepsRequest, _call: Call) -> pb.ListStepsResponse:
        """Return a page of steps."""
        run_id, agent_id, page = steps_query_from_pb(request)
        found = await fitting(page, lambda part: self._runs.list_steps(run_id, part, agent_id), step_to_pb)
        return pb.ListStepsResponse(steps=found.items, next_page_token=token_of(found.next))

    async def GetStep(self, request: pb.GetStepRequest, _call: Call) -> pb.GetStepResponse:
        """Return a step."""
        return pb.GetStepResponse(step=step_to_pb(await self._runs.get_step(step_id_from_pb(request))))

    async def ListRunMessages(self, request: pb.ListRunMessagesRequest, _call: Call) -> pb.ListRunMessagesResponse:
        """Return a page of what a run brought into its conversation."""
        run_id, page = run_messages_query_from_pb(request)
        found = await fitting(page, lambda part: self._runs.list_messages(run_id, part), message_to_pb)
        return pb.ListRunMessagesResponse(messages=found.items, next_page_token=token_of(found.next))

    async def CancelRun(self, request: pb.CancelRunRequest, _call: Call) -> pb.CancelRunResponse:
        """Ask a run to end."""
        return pb.CancelRunResponse(run=run_to_pb(await self._runs.cancel(run_id_from_pb(request))))


def _head_of(run: Run) -> bytes:
    return pb.StreamRunResponse(run_id=run.id, agent_id=run.agent_id).SerializeToString()
