"""Many turns on one stream: Converse."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import assert_never

from letta_grpc.domain.errors import LettaError, ServerDraining, TooManyStreams
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.runs import Run
from letta_grpc.engine.runs import Runs
from letta_grpc.transport.convert.requests import View
from letta_grpc.transport.convert.streams import MAX_RUNS, Attach, Cancel, Start, action_from_pb, tag_from_pb
from letta_grpc.transport.errors import refusal_of
from letta_grpc.transport.merging import StreamTasks, merged
from letta_grpc.transport.methods import Call, Requests, Response
from letta_grpc.transport.rpc.following import Follower
from letta_grpc.v1 import run_service_pb2 as pb


class Conversing:
    """One such stream."""

    def __init__(self, runs: Runs, follower: Follower, call: Call) -> None:
        self._runs = runs
        self._follower = follower
        self._call = call
        self._followed = 0

    async def responses(self, requests: Requests) -> AsyncGenerator[Response, None]:
        """Yield what the client's requests bring about, until it has no more of them and all that it follows has ended."""

        async def lead(tasks: StreamTasks) -> None:
            while (request := await self._runs.until_drained(lambda: anext(requests, None))) is not None:
                await self._take(tasks, request)

        async with aclosing(merged(lead)) as responses:
            async for response in responses:
                yield response

    async def _take(self, tasks: StreamTasks, request: pb.ConverseRequest | LettaError) -> None:
        told = pb.ConverseResponse()
        try:
            if isinstance(request, LettaError):
                raise request
            told.tag = tag_from_pb(request)
            await self._do(tasks, request, told)
        except ServerDraining:
            raise
        except LettaError as error:
            await tasks.send(_refused(told, error))

    async def _do(self, tasks: StreamTasks, request: pb.ConverseRequest, told: pb.ConverseResponse) -> None:
        match action_from_pb(request, self._call.traceparent):
            case Start(request=start, view=view):
                self._check_room()
                await self._begin(tasks, await self._runs.start(start), 0, view, told)
            case Attach(run_id=run_id, after=after, view=view):
                self._check_room()
                await self._begin(tasks, await self._runs.get(run_id), after, view, told)
            case Cancel(run_id=run_id):
                await tasks.send(_accepted(told, await self._runs.cancel(run_id)))
            case other:
                assert_never(other)

    def _check_room(self) -> None:
        if self._followed >= MAX_RUNS:
            raise TooManyStreams(f"A stream follows {MAX_RUNS} runs at once.", limit=str(MAX_RUNS))

    async def _begin(self, tasks: StreamTasks, run: Run, after: int, view: View, told: pb.ConverseResponse) -> None:
        self._followed += 1
        await tasks.send(_accepted(told, run))
        tasks.start(self._follow(tasks, run.id, after, view, told), f"follow {run.id}")

    async def _follow(self, tasks: StreamTasks, run_id: RunId, after: int, view: View, told: pb.ConverseResponse) -> None:
        try:
            async with aclosing(self._follower.responses(run_id, after, view, told.SerializeToString())) as responses:
                async for response in responses:
                    await tasks.send(response)
        except ServerDraining:
            # It concerns all that is on the stream.
            raise
        except LettaError as error:
            await tasks.send(_refused(told, error))
        finally:
            self._followed -= 1


def _accepted(told: pb.ConverseResponse, run: Run) -> Response:
    """Name the run, in this response and in all that follow."""
    told.run_id, told.agent_id = run.id, run.agent_id
    return Response(told.SerializeToString(), 0)


def _refused(told: pb.ConverseResponse, error: LettaError) -> Response:
    refused = pb.ConverseResponse(tag=told.tag, run_id=told.run_id, agent_id=told.agent_id, refusal=refusal_of(error))
    return Response(refused.SerializeToString(), 0)
