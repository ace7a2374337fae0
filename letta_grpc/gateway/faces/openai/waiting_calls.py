"""Chat completions that end with words while calls wait: whoever says more has answered them, or is done with them.

- Returns may stand right before the words: then they are given with them.
- Calls that `tool_choice` has made the model make are a whole answer, and few clients ever say what they returned: they are
  given up. A start that interrupts would do it too, and would end the run of whoever was faster.

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

Responses = AsyncGenerator[pb.StreamRunResponse, None]


class WaitingCalls:
    """Starts runs past calls that wait, for one caller."""

    def __init__(self, turns: Turns, channel: grpc.aio.Channel, metadata: Metadata) -> None:
        self._turns = turns
        self._stub = run_service_pb2_grpc.RunServiceStub(channel)
        self._metadata = metadata

    async def stream_past(self, request: ChatRequest) -> Responses:
        """Run in turn, past calls that are answered or done with, and yield what comes. Raises Failure."""
        try:
            async with aclosing(self._turns.stream_in_turn(request.start, self._give_up)) as responses:
                async for response in responses:
                    yield response
        except Failure as failure:
            past = await self._past(failure, request)
            if past is None:
                raise
        else:
            return
        async with aclosing(past) as responses:
            async for response in responses:
                yield response

    async def _past(self, failure: Failure, request: ChatRequest) -> Responses | None:
        """Return the run of a start of words that was refused, made in another way; None if it stays refused."""
        if not request.start.run.messages[0].HasField("user"):
            return None
        match failure.reason:
            case "REQUEST_ID_REUSED" if answering := _answering(request):
                # It may have been made so before, and be repeated.
                return self._turns.stream(answering)
            # One that has waited its turn is a run already, and can't begin with returns; what may be given up has been.
            case "APPROVAL_PENDING" if request.start.run.conflict_policy != runs_pb2.CONFLICT_POLICY_ENQUEUE:
                if answering := _answering(request, failure.facts["tool_call_ids"].split(",")):
                    return self._turns.stream(answering)
                is_given_up = await self._give_up(failure.facts["run_id"])
                return self._turns.stream_in_turn(request.start, self._give_up) if is_given_up else None
            case _:
                return None

    async def _give_up(self, run_id: str) -> bool:
        """Give up the calls that a run waits for, if nobody need answer them; say whether that is so."""
        if is_done_with := await self._is_done_with(run_id):
            # Changes nothing where they have been answered meanwhile.
            await settled(self._stub.CancelRun(pb.CancelRunRequest(run_id=run_id), metadata=self._metadata))
        return is_done_with

    async def _is_done_with(self, run_id: str) -> bool:
        """Say whether its calls are all that a run was asked for, and none of them waits for an approval."""
        run = (await settled(self._stub.GetRun(pb.GetRunRequest(run_id=run_id), metadata=self._metadata))).run
        chosen = run.metadata.get(CHOSEN, "").split(",")
        return all(action.kind == runs_pb2.ACTION_KIND_CLIENT_TOOL and action.name in chosen for action in run.pending_actions)


def _answering(request: ChatRequest, call_ids: Collection[str] = ()) -> pb.StreamRunRequest | None:
    """Return the start with the returns that stand before its words; None if there are none, or not those of the calls."""
    given = returns_in(request.before)
    if given is None or (call_ids and {returned.tool_call_id for returned in given.returns} != set(call_ids)):
        return None
    answering = pb.StreamRunRequest()
    answering.CopyFrom(request.start)
    # Waiting its turn has set it.
    answering.run.ClearField("conflict_policy")
    answering.run.messages.insert(0, messages_pb2.InputMessage(tool_returns=given))
    return answering
