"""Calls that wait for answers, as JSON; and answers in the older form, which names the request in place of the calls."""

from collections.abc import Mapping, Sequence
from typing import Any

from letta_grpc.gateway.faces.letta.errors import unprocessable
from letta_grpc.gateway.faces.letta.fields import few
from letta_grpc.gateway.faces.letta.open_runs import waiting_runs
from letta_grpc.gateway.faces.letta.operations import Ask
from letta_grpc.gateway.faces.letta.shapes.messages import Item, calls_json, envelope
from letta_grpc.gateway.faces.letta.shapes.times import date_of
from letta_grpc.gateway.faces.letta.targets import Target, conversation_id_of
from letta_grpc.v1 import agent_service_pb2, messages_pb2
from letta_grpc.v1 import runs_pb2 as pb


async def with_calls_named(ask: Ask, target: Target, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a body in which older answers, `approve` for a whole `approval_request_id`, name each call. Raises Failure."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not few("messages", [each for each in messages if _is_older(each)]):
        return body
    runs = await waiting_runs(ask, target.agent_id, await conversation_id_of(ask, target))
    actions = [action for run in runs for action in run.pending_actions]
    return {**body, "messages": [await _named(ask, target, each, actions) if _is_older(each) else each for each in messages]}


def _is_older(message: object) -> bool:
    return isinstance(message, dict) and isinstance(message.get("approve"), bool) and not message.get("approvals")


async def _named(
    ask: Ask, target: Target, message: Mapping[str, Any], actions: Sequence[pb.PendingAction]
) -> Mapping[str, Any]:
    request_id = message.get("approval_request_id")
    # A client may name the request by its message, or by the call itself.
    calls = [each.tool_call_id for each in actions if request_id in (None, each.message_id, each.tool_call_id)]
    if not calls and not (calls := await _answered_before(ask, target, request_id)):
        waiting = ", ".join(sorted({each.message_id for each in actions})) or "none"
        raise unprocessable("messages.approval_request_id", f"{request_id!r} waits for no answer; open are: {waiting}")
    decision = {"type": "approval", "approve": message["approve"], "reason": message.get("reason")}
    return {**message, "type": "approval", "approvals": [{**decision, "tool_call_id": call} for call in calls]}


async def _answered_before(ask: Ask, target: Target, request_id: object) -> list[str]:
    """Return the calls of a request that has its answer already: who sends that once more is to find the run it began."""
    request = agent_service_pb2.ListMessagesRequest(
        agent_id=target.agent_id, conversation_id=target.conversation_id, descending=True
    )
    newest = (await ask.call(ask.services.agents.ListMessages, request)).messages
    calls = [call for message in newest for call in message.tool_calls if request_id in (message.id, call.id)]
    ids = {call.id for call in calls}
    return [each.tool_call_id for message in reversed(newest) for each in message.decisions if each.tool_call_id in ids]


def pending_json(run: pb.Run) -> Item | None:
    """Return what a run waits for as the message that asked, None if it waits for nothing."""
    actions = run.pending_actions
    if not actions:
        return None
    calls = [messages_pb2.ToolCall(id=action.tool_call_id, name=action.name, arguments=action.arguments) for action in actions]
    return envelope(
        "approval_request_message",
        id_=actions[0].message_id,
        date=date_of(run.end_time if run.HasField("end_time") else run.create_time),
        otid=actions[0].message_id,
        step_id=actions[0].step_id,
        run_id=run.id,
        **calls_json(calls),
    )
