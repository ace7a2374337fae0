"""Calls that a request has made the model make: they are its whole answer, and few clients ever say what they returned.

So whoever says something else while they wait is done with them: they are denied, as by a native start that interrupts. Calls
that the model made of its own will wait for their returns.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import grpc

from letta_grpc.gateway.faces.openai.requests import CHOSEN
from letta_grpc.gateway.failures import Failure
from letta_grpc.gateway.metadata import Metadata
from letta_grpc.gateway.turns import Turns
from letta_grpc.gateway.upstream import settled
from letta_grpc.v1 import run_service_pb2 as pb
from letta_grpc.v1 import run_service_pb2_grpc, runs_pb2


class ChosenCalls:
    """Knows them, for one caller."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Metadata) -> None:
        self._stub = run_service_pb2_grpc.RunServiceStub(channel)
        self._metadata = metadata

    async def passed(self, turns: Turns, start: pb.StreamRunRequest) -> AsyncGenerator[pb.StreamRunResponse, None]:
        """Run in turn, past such calls if they are what waits. Raises Failure."""
        try:
            async with aclosing(turns.stream_in_turn(start)) as responses:
                async for response in responses:
                    yield response
        except Failure as failure:
            if not await self._may_pass(failure, start):
                raise
        else:
            return
        start.run.conflict_policy = runs_pb2.CONFLICT_POLICY_INTERRUPT
        async with aclosing(turns.stream(start)) as responses:
            async for response in responses:
                yield response

    async def _may_pass(self, failure: Failure, start: pb.StreamRunRequest) -> bool:
        match failure.reason:
            case "REQUEST_ID_REUSED":
                # It may have begun so before, and be repeated.
                return True
            # One that has waited its turn is a run already, and can't begin in another way.
            case "APPROVAL_PENDING" if start.run.conflict_policy != runs_pb2.CONFLICT_POLICY_ENQUEUE:
                return await self._waits_for_nobody(failure.facts["run_id"])
            case _:
                return False

    async def _waits_for_nobody(self, run_id: str) -> bool:
        run = (await settled(self._stub.GetRun(pb.GetRunRequest(run_id=run_id), metadata=self._metadata))).run
        are_clients = all(action.kind == runs_pb2.ACTION_KIND_CLIENT_TOOL for action in run.pending_actions)
        return CHOSEN in run.metadata and are_clients
