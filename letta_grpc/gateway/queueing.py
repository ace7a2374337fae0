"""Runs that wait their turn behind others of their conversation."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any

import grpc

from letta_grpc.gateway.failures import Failure, refused
from letta_grpc.gateway.metadata import Metadata
from letta_grpc.gateway.races import first_of
from letta_grpc.gateway.upstream import settled
from letta_grpc.v1 import events_pb2, run_service_pb2_grpc, runs_pb2
from letta_grpc.v1 import run_service_pb2 as pb

logger = logging.getLogger(__name__)

Responses = AsyncGenerator[pb.StreamRunResponse, None]

AT_WORK = (runs_pb2.RUN_STATE_QUEUED, runs_pb2.RUN_STATE_RUNNING)
_ENDS = pb.StreamOptions(event_kinds=[events_pb2.EVENT_KIND_RUN_FINISHED])


async def unless(hindered: Callable[[], Coroutine[Any, Any, Failure]], responses: Responses) -> Responses:
    """Yield the responses of a run. Raises the Failure that `hindered` returns, if that comes before the run has begun."""
    async with aclosing(responses):
        while (response := await _unless(hindered(), anext(responses, None))) is not None:
            yield response
            if not all(event.HasField("heartbeat") for event in response.events):
                break
        async for response in responses:
            yield response


async def never(_run_id: str) -> bool:
    """Refuse to give up the calls that a run waits for."""
    return False


class Queue:
    """The queue of a conversation, for one caller. `give_up` ends what a run waits for, if it may, and says whether it did."""

    def __init__(
        self,
        stub: "run_service_pb2_grpc.RunServiceAsyncStub",
        metadata: Metadata,
        give_up: Callable[[str], Awaitable[bool]] = never,
    ) -> None:
        self._stub, self._metadata, self._give_up = stub, metadata, give_up

    async def stuck(self, announced: Callable[[], Awaitable[set[str]]]) -> Failure:
        """Return the failure to tell once a queued run is held up by calls that wait for answers; never return otherwise."""
        try:
            for run_id in await announced():
                while (asking := await self._asking_before(run_id)) is not None:
                    if not await self._give_up(asking.id):
                        return _pending(asking)
        except Failure as failure:
            # The run goes on all the same, only unwatched.
            logger.info("a queued run is not watched", extra={"error": failure.message})
        return await asyncio.Future[Failure]()

    async def _asking_before(self, run_id: str) -> runs_pb2.Run | None:
        """Return the run whose calls wait, before this one has begun; None if its turn has come."""
        conversation_id = (await self._run(run_id)).conversation_id
        while (asking := await self._asking(conversation_id)) is None:
            ahead = await self._ahead(conversation_id, run_id)
            if ahead is None:
                return None
            await self._end_of(ahead)
        return asking

    async def _run(self, run_id: str) -> runs_pb2.Run:
        return (await settled(self._stub.GetRun(pb.GetRunRequest(run_id=run_id), metadata=self._metadata))).run

    async def _asking(self, conversation_id: str) -> runs_pb2.Run | None:
        wanted = pb.ListRunsRequest(conversation_id=conversation_id, has_pending_actions=True, page_size=1)
        return next(iter((await settled(self._stub.ListRuns(wanted, metadata=self._metadata))).runs), None)

    async def _ahead(self, conversation_id: str, run_id: str) -> str | None:
        """Return a run that must end before this one begins; None if there is none."""
        wanted = pb.ListRunsRequest(conversation_id=conversation_id, states=AT_WORK, page_size=1000)
        runs = (await settled(self._stub.ListRuns(wanted, metadata=self._metadata))).runs
        # The one at work may have come later: an answer to calls is a run that nobody queues before.
        order = sorted(runs, key=lambda run: run.state == runs_pb2.RUN_STATE_QUEUED)
        first = next((run.id for run in order), run_id)
        return None if first == run_id else first

    async def _end_of(self, run_id: str) -> None:
        call = self._stub.AttachRun(pb.AttachRunRequest(run_id=run_id, options=_ENDS), metadata=self._metadata)
        try:
            while await settled(call.read()) is not grpc.aio.EOF:
                pass
        finally:
            call.cancel()


def _pending(run: runs_pb2.Run) -> Failure:
    return refused(
        "The conversation waits for answers to tool calls; the native routes take them.",
        code=grpc.StatusCode.FAILED_PRECONDITION,
        reason="APPROVAL_PENDING",
        run_id=run.id,
        tool_call_ids=",".join(action.tool_call_id for action in run.pending_actions),
    )


async def _unless(
    hindrance: Coroutine[Any, Any, Failure], reading: Awaitable[pb.StreamRunResponse | None]
) -> pb.StreamRunResponse | None:
    """Return what is read. Raises its Failure, or the hindrance if that comes first, which cancels the reading."""
    result = await first_of(_kept(reading), hindrance)
    if isinstance(result, Failure):
        raise result
    return result


async def _kept(reading: Awaitable[pb.StreamRunResponse | None]) -> pb.StreamRunResponse | Failure | None:
    try:
        return await reading
    except Failure as failure:
        return failure
