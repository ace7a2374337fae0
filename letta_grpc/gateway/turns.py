"""Turns of agents for clients that cannot resume a stream: a run ends when its client leaves.

A run is cancelled as soon as its client has left, unless that will come again. Should this gateway die before it can do that,
or nobody come, the run's own policy does it.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, TypeVar

import grpc

from letta_grpc.gateway.failures import Failure
from letta_grpc.gateway.metadata import Metadata
from letta_grpc.gateway.queueing import Queue, never, unless
from letta_grpc.gateway.upstream import run_id_of, settled
from letta_grpc.v1 import messages_pb2, run_service_pb2_grpc, runs_pb2
from letta_grpc.v1 import run_service_pb2 as pb

logger = logging.getLogger(__name__)

Response = TypeVar("Response", pb.StreamRunResponse, pb.StreamRunsResponse)
# How often a comment goes out while nothing else does: proxies cut what is silent for a minute.
KEEPALIVE_SECONDS = 15
# How a stream ends that has told of an answer: what was said cannot be taken back there, and must not be said twice.
BEGUN_AGAIN = "The answer was begun again by another server; what it had said so far is void."
STEP_RESTARTED = "STEP_RESTARTED"
_CANCEL_SECONDS = 5
# The second: a start that is repeated has waited its turn before, under the same id.
_WORTH_WAITING = frozenset({"CONVERSATION_BUSY", "REQUEST_ID_REUSED"})


def spec_of(told: Sequence[messages_pb2.ContentPart] | str | messages_pb2.ToolReturnsInput) -> runs_pb2.RunSpec:
    """Return what a person's words, or what tools returned, start: a run that does not outlive the connection."""
    match told:
        case messages_pb2.ToolReturnsInput():
            message = messages_pb2.InputMessage(tool_returns=told)
        case str():
            message = messages_pb2.InputMessage(user=messages_pb2.UserInput(text=told))
        case _:
            parts = messages_pb2.Content(parts=told)
            message = messages_pb2.InputMessage(user=messages_pb2.UserInput(content=parts))
    return runs_pb2.RunSpec(messages=[message], disconnect_policy=runs_pb2.DISCONNECT_POLICY_CANCEL)


class Turns:
    """Starts runs and follows them, for one caller. `leave` is told when that leaves one, and says whether it comes again."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Metadata, leave: Callable[[], bool] = lambda: False) -> None:
        self._stub = run_service_pb2_grpc.RunServiceStub(channel)
        self._metadata = metadata
        self._leave = leave

    def stream(self, start: pb.StreamRunRequest) -> AsyncGenerator[pb.StreamRunResponse, None]:
        """Run once, and yield what comes. Raises Failure."""
        start.options.heartbeat_interval.seconds = KEEPALIVE_SECONDS
        return self._followed(lambda: self._stub.StreamRun(start, metadata=self._metadata))

    async def stream_in_turn(
        self, start: pb.StreamRunRequest, give_up: Callable[[str], Awaitable[bool]] = never
    ) -> AsyncGenerator[pb.StreamRunResponse, None]:
        """Run once, as soon as the conversation is free. Calls that wait for answers are no reason to wait. Raises Failure.

        `give_up` may end those for which the run would have to wait in the queue.
        """
        try:
            async with aclosing(self.stream(start)) as responses:
                async for response in responses:
                    yield response
        except Failure as failure:
            if failure.reason not in _WORTH_WAITING:
                raise
        else:
            return
        start.run.conflict_policy = runs_pb2.CONFLICT_POLICY_ENQUEUE
        call = self._stub.StreamRun(start, metadata=self._metadata)
        stuck = partial(Queue(self._stub, self._metadata, give_up).stuck, partial(_announced, call))
        async with aclosing(unless(stuck, self._followed(lambda: call))) as responses:
            async for response in responses:
                yield response

    def stream_several(self, starts: pb.StreamRunsRequest) -> AsyncGenerator[pb.StreamRunsResponse, None]:
        """Run several agents at once, and yield what comes of each in turn. Raises Failure."""
        starts.options.heartbeat_interval.seconds = KEEPALIVE_SECONDS
        return self._followed(lambda: self._stub.StreamRuns(starts, metadata=self._metadata))

    async def _followed(
        self, begin: Callable[[], "grpc.aio.UnaryStreamCall[Any, Response]"]
    ) -> AsyncGenerator[Response, None]:
        """Make a call once somebody reads, and cancel what it has started if it is left early."""
        call = begin()
        open_runs: set[str] = set()
        comes_again = False
        try:
            open_runs |= await _announced(call)
            while (response := await _read(call)) is not None:
                _forget_finished(open_runs, response)
                yield response
        except asyncio.CancelledError:
            comes_again = self._leave()
            raise
        finally:
            call.cancel()
            if not comes_again:
                await self._cancel(open_runs)

    async def _cancel(self, run_ids: set[str]) -> None:
        for run_id in sorted(run_ids):
            try:
                async with asyncio.timeout(_CANCEL_SECONDS):
                    await settled(self._stub.CancelRun(pb.CancelRunRequest(run_id=run_id), metadata=self._metadata))
            except (Failure, TimeoutError) as error:
                logger.info("left run is cancelled by its own policy", extra={"run_id": run_id, "error": str(error)})


async def _announced(call: grpc.aio.Call) -> set[str]:
    """Return the runs that a call has started. Raises Failure."""
    # Nothing here if the call was refused; the next read says why.
    named = await run_id_of(call) or ""
    return {run_id for run_id in named.split(",") if run_id}


async def _read(call: grpc.aio.UnaryStreamCall[Any, Response]) -> Response | None:
    response: Any = await settled(call.read())
    return None if response is grpc.aio.EOF else response


def _forget_finished(open_runs: set[str], response: pb.StreamRunResponse | pb.StreamRunsResponse) -> None:
    if any(event.HasField("run_finished") for event in response.events):
        open_runs.discard(response.run_id)
