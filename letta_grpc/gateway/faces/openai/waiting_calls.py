"""Chat completions that end with words while calls wait: whoever says more has answered them, or is done with them.

- Returns may stand right before the words: then they are given with them.
- Calls that `tool_choice` has made the model make are a whole answer, and few clients ever say what they returned: they are
  denied, as by a native start that interrupts.

Other calls wait on, for messages of role `tool`.
"""

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing

import grpc

from letta_grpc.gateway.faces.openai.requests import CHOSEN, ChatRequest
from letta_grpc.gateway.faces.openai.tools import returns_in
from letta_grpc.gateway.failures import Failure
from letta_grpc.gateway.metadata import Metadata
from letta_grpc.gateway.turns import Turns
from letta_grpc.gateway.upstream import settled
from letta_grpc.v1 import messages_pb2, run_service_pb2_grpc, runs_pb2
from letta_grpc.v1 import run_service_pb2 as pb


class WaitingCalls:
    """Starts runs past calls that wait, for one caller."""

    def __init__(self, turns: Turns, channel: grpc.aio.Channel, metadata: Metadata) -> None:
        self._turns = turns
        self._stub = run_service_pb2_grpc.RunServiceStub(channel)
        self._metadata = metadata

    async def stream_past(self, request: ChatRequest) -> AsyncGenerator[pb.StreamRunResponse, None]:
        """Run in turn, past calls that are answered or done with, and yield what comes. Raises Failure."""
        try:
            async with aclosing(self._turns.stream_in_turn(request.start)) as responses:
                async for response in responses:
                    yield response
        except Failure as failure:
            ways = await self._ways(failure, request)
            if not ways:
                raise
        else:
            return
        for way in ways:
            try:
                async with aclosing(self._turns.stream(way)) as responses:
                    async for response in responses:
                        yield response
            except Failure as failure:
                if failure.reason != "REQUEST_ID_REUSED" or way is ways[-1]:
                    raise
            else:
                return

    async def _ways(self, failure: Failure, request: ChatRequest) -> list[pb.StreamRunRequest]:
        """Return the starts to try in place of a refused one, the first that is taken; none if it stays refused."""
        if not request.start.run.messages[0].HasField("user"):
            return []
        match failure.reason:
            case "REQUEST_ID_REUSED":
                # It may have been made so before, and be repeated.
                return [*_answering(request), _interrupting(request)]
            # One that has waited its turn is a run already, and can't begin in another way.
            case "APPROVAL_PENDING" if request.start.run.conflict_policy != runs_pb2.CONFLICT_POLICY_ENQUEUE:
                if answering := _answering(request, failure.facts["tool_call_ids"].split(",")):
                    return answering
                return [_interrupting(request)] if await self._is_done_with(failure.facts["run_id"]) else []
            case _:
                return []

    async def _is_done_with(self, run_id: str) -> bool:
        """Say whether its calls are all that a run was asked for, and none of them waits for an approval."""
        run = (await settled(self._stub.GetRun(pb.GetRunRequest(run_id=run_id), metadata=self._metadata))).run
        chosen = run.metadata.get(CHOSEN, "").split(",")
        return all(action.kind == runs_pb2.ACTION_KIND_CLIENT_TOOL and action.name in chosen for action in run.pending_actions)


def _answering(request: ChatRequest, call_ids: Collection[str] = ()) -> list[pb.StreamRunRequest]:
    """Return the start with the returns that stand before its words; none if there are none, or not those of the calls."""
    given = returns_in(request.before)
    if given is None or (call_ids and {returned.tool_call_id for returned in given.returns} != set(call_ids)):
        return []
    way = _copied(request)
    way.run.messages.insert(0, messages_pb2.InputMessage(tool_returns=given))
    return [way]


def _interrupting(request: ChatRequest) -> pb.StreamRunRequest:
    way = _copied(request)
    way.run.conflict_policy = runs_pb2.CONFLICT_POLICY_INTERRUPT
    return way


def _copied(request: ChatRequest) -> pb.StreamRunRequest:
    way = pb.StreamRunRequest()
    way.CopyFrom(request.start)
    # Waiting its turn has set it.
    way.run.ClearField("conflict_policy")
    return way
