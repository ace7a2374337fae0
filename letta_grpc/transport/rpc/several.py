"""Several runs on one stream: StreamRuns."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from letta_grpc.domain.errors import LettaError, ServerDraining
from letta_grpc.domain.runs import Run
from letta_grpc.engine.runs import Runs
from letta_grpc.engine.starts import StartRequest
from letta_grpc.transport.convert.requests import View
from letta_grpc.transport.errors import refusal_of
from letta_grpc.transport.merging import StreamTasks, merged
from letta_grpc.transport.methods import Call, Response
from letta_grpc.transport.rpc.following import Follower
from letta_grpc.v1 import run_service_pb2 as pb


class SeveralRuns:
    """Starts runs side by side and follows them in turn."""

    def __init__(self, runs: Runs, follower: Follower) -> None:
        self._runs = runs
        self._follower = follower

    async def responses(self, starts: Sequence[StartRequest], view: View, call: Call) -> AsyncGenerator[Response, None]:
        """Yield the refusals, then the runs' responses as they come."""
        async with asyncio.TaskGroup() as group:
            claims = [group.create_task(self._claimed(start), name="start") for start in starts]
        claimed = [claim.result() for claim in claims]
        if draining := [one for one in claimed if isinstance(one, ServerDraining)]:
            # It concerns the whole call; what was started before goes on, and is found again by its request id.
            raise draining[0]
        await call.announce(",".join("" if isinstance(one, LettaError) else one.id for one in claimed))

        async def lead(tasks: StreamTasks) -> None:
            for index, (start, one) in enumerate(zip(starts, claimed, strict=True)):
                if isinstance(one, LettaError):
                    refused = pb.StreamRunsResponse(start_index=index, agent_id=start.agent_id, refusal=refusal_of(one))
                    await tasks.send(Response(refused.SerializeToString(), 0))
            for index, one in enumerate(claimed):
                if isinstance(one, Run):
                    head = pb.StreamRunsResponse(run_id=one.id, agent_id=one.agent_id, start_index=index)
                    tasks.start(self._follow(tasks, one, view, head.SerializeToString()), f"follow {one.id}")

        async with aclosing(merged(lead)) as responses:
            async for response in responses:
                yield response

    async def _claimed(self, start: StartRequest) -> Run | LettaError:
        try:
            return await self._runs.start(start)
        except LettaError as error:
            return error

    async def _follow(self, tasks: StreamTasks, run: Run, view: View, head: bytes) -> None:
        async with aclosing(self._follower.responses(run.id, 0, view, head)) as responses:
            async for response in responses:
                await tasks.send(response)
