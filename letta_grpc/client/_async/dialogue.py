"""Many turns on one stream, which starts, answers and follows runs as the talk goes."""

from collections.abc import Callable
from itertools import count
from typing import Unpack

from letta_grpc.client._async.connection import Connection
from letta_grpc.client._async.several import AsyncRunStreams
from letta_grpc.client.answers import Answers, answer_messages
from letta_grpc.client.lanes import Attach, Lane, Start
from letta_grpc.client.requests import Inputs, RunArguments, start_of
from letta_grpc.client.values import id_of
from letta_grpc.v1 import run_service_pb2, runs_pb2


class AsyncDialogue(AsyncRunStreams):
    """A stream on which runs are started, answered and followed; iterating yields `(lane, event)` of all that it follows.

    Iterating ends when every run has ended, and can be taken up again after the next start. A start may be made beside the
    iterating or inside its loop: it waits until the server has accepted it, and raises if the server refuses. A broken
    connection is mended as for `client.stream_many`. Runs that have ended leave `lanes` with the next start.
    """

    def __init__(self, connection: Connection, options: run_service_pb2.StreamOptions | None) -> None:
        super().__init__(connection, (), options)
        self._options = options
        self._numbers = count()

    async def start(self, agent_id: str, messages: Inputs, **run: Unpack[RunArguments]) -> Lane:
        """Start a run and follow it. See RunArguments."""
        request = start_of(Start, agent_id, messages, run)
        if self._options is not None:
            request.options.CopyFrom(self._options)
        return await self._open(request)

    async def answer(self, run: runs_pb2.Run, answers: Answers, **arguments: Unpack[RunArguments]) -> Lane:
        """Answer the waiting calls of a run, and follow the new run that goes on. See `client.answer`."""
        arguments.setdefault("conversation_id", run.conversation_id)
        return await self.start(run.agent_id, answer_messages(answers), **arguments)

    async def attach(self, run_id: str, *, after: int = 0) -> Lane:
        """Follow a run that was started before, beginning behind the event with the number `after`."""
        return await self._open(Attach(run_id=id_of("run_id", run_id), after_sequence_number=after, options=self._options))

    async def _open(self, request: Start | Attach) -> Lane:
        self._require_open()
        lane = Lane(str(next(self._numbers)), request)
        await self._keep(lambda one: not one.is_over, lane)
        try:
            await self._send()
            await self._wait(lambda: lane.is_settled)
        except BaseException:
            # Nobody has it, so nobody waits for it: kept, it would be made with the next start, or after the next cut.
            await self._drop(lane)
            raise
        if lane.error is not None:
            await self._drop(lane)
            raise lane.error
        return lane

    async def _drop(self, lane: Lane) -> None:
        await self._keep(lambda one: one is not lane)

    async def _keep(self, wanted: Callable[[Lane], bool], *more: Lane) -> None:
        """Replace the lanes: whoever goes through them meanwhile, in another thread perhaps, has the old ones."""
        async with self._writing:
            self._lanes = {lane.tag: lane for lane in (*filter(wanted, self._lanes.values()), *more)}

    async def _leave(self) -> None:
        """Stay: another start may come."""
