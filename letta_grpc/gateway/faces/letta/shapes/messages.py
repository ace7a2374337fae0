"""Messages: one that is stored is several pieces on this wire, one for each run of parts of a kind.

The pieces of a message share its id; `otid` tells them apart. Streams number pieces as the history does.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from letta_grpc.gateway.faces.letta.ids import otid_of
from letta_grpc.gateway.faces.letta.shapes.times import date_of
from letta_grpc.v1 import messages_pb2 as pb

Item = dict[str, Any]

# By this tool a MEMGPT agent speaks: what it says is a message of its own, so that the call would say it twice.
SEND_MESSAGE = "send_message"
_STATUSES = {pb.TOOL_RETURN_STATUS_SUCCESS: "success", pb.TOOL_RETURN_STATUS_ERROR: "error"}


def envelope(
    message_type: str,
    *,
    id_: str,
    date: str,
    otid: str | None = None,
    name: str | None = None,
    step_id: str | None = None,
    run_id: str | None = None,
    seq_id: int | None = None,
    **more: Any,  # noqa: ANN401 - any JSON
) -> Item:
    """Return what every event that is a message has, and what this one has beside it."""
    head = {"id": id_, "date": date, "name": name, "message_type": message_type, "otid": otid, "sender_id": None}
    return {**head, "step_id": step_id, "is_err": None, "seq_id": seq_id, "run_id": run_id, **more}


def items_of(message: pb.Message, hidden_returns: frozenset[str] = frozenset()) -> list[Item]:
    """Return the pieces of a stored message; `hidden_returns` are calls whose returns are not told."""
    return [
        envelope(
            kind,
            id_=message.id,
            date=date_of(message.create_time),
            otid=_otid(message, kind, index),
            name=message.name or None,
            step_id=message.step_id or None,
            run_id=message.run_id or None,
            **extra,
        )
        for index, (kind, extra) in enumerate(_pieces(message, hidden_returns))
    ]


def _otid(message: pb.Message, kind: str, index: int) -> str:
    if message.otid:
        return message.otid
    # The reference server names what waits for approval by the whole id of its message.
    return message.id if kind == "approval_request_message" else otid_of(message.id, index)


def _pieces(message: pb.Message, hidden_returns: frozenset[str]) -> Iterator[tuple[str, Item]]:
    match message.role:
        case pb.ROLE_USER:
            yield "user_message", {"content": _content(message.content)}
        case pb.ROLE_SYSTEM:
            yield "system_message", {"content": _text(message.content)}
        case pb.ROLE_SUMMARY:
            yield "summary_message", {"summary": _text(message.content), "compaction_stats": None}
        case pb.ROLE_ASSISTANT:
            yield from spoken_pieces(message)
            if calls := shown_calls(message):
                yield "tool_call_message", calls_json(calls)
        case pb.ROLE_TOOL:
            if returns := [each for each in message.tool_returns if each.tool_call_id not in hidden_returns]:
                yield "tool_return_message", returns_json(returns)
        case pb.ROLE_APPROVAL if message.tool_calls:
            yield "approval_request_message", calls_json(message.tool_calls)
        case pb.ROLE_APPROVAL:
            yield "approval_response_message", answers_json(message)


def spoken_pieces(message: pb.Message) -> Iterator[tuple[str, Item]]:
    """Yield the pieces of a model's text and reasoning."""
    for kind, group in groupby(message.content, _kind):
        parts = list(group)
        match kind:
            case "assistant_message":
                yield kind, {"content": _text(parts)}
            case "reasoning_message":
                text = "".join(part.reasoning or part.summarized_reasoning for part in parts)
                yield kind, reasoning_json(text, next((part.signature for part in parts if part.signature), None))
            case "hidden_reasoning_message":
                yield kind, hidden_json(parts)


def _kind(part: pb.ContentPart) -> str:
    match part.WhichOneof("kind"):
        case "reasoning" | "summarized_reasoning":
            return "reasoning_message"
        case "redacted_reasoning" | "omitted_reasoning":
            return "hidden_reasoning_message"
        case _:
            return "assistant_message"


def reasoning_json(text: str, signature: str | None = None) -> Item:
    """Return what a reasoning message has."""
    return {"source": "reasoner_model", "reasoning": text, "signature": signature}


def hidden_json(parts: Iterable[pb.ContentPart]) -> Item:
    """Return what a message has about reasoning that nobody may read."""
    redacted = "".join(part.redacted_reasoning for part in parts)
    return {"state": "redacted" if redacted else "omitted", "hidden_reasoning": redacted or None}


def shown_calls(message: pb.Message) -> list[pb.ToolCall]:
    """Return the calls of a message without those that are told as its text."""
    speaks = any(part.WhichOneof("kind") == "text" for part in message.content)
    return [call for call in message.tool_calls if not (speaks and call.name == SEND_MESSAGE)]


def calls_json(calls: Sequence[pb.ToolCall]) -> Item:
    """Return whole calls; the first once more, as older clients want it."""
    told = [{"name": call.name, "arguments": call.arguments, "tool_call_id": call.id} for call in calls]
    return {"tool_call": told[0], "tool_calls": told}


def call_delta_json(delta: Mapping[str, str | None]) -> Item:
    """Return a piece of a call; once more, as older clients want it."""
    return {"tool_call": delta, "tool_calls": delta}


def returns_json(returns: Sequence[pb.ToolReturn]) -> Item:
    """Return returns; the first once more, as older clients want it."""
    told = [_return_json(each) for each in returns]
    first = {name: value for name, value in told[0].items() if name != "type"}
    return {**first, "tool_returns": told}


def _return_json(returned: pb.ToolReturn) -> Item:
    body = returned.text if returned.WhichOneof("body") != "content" else _content(returned.content.parts)
    return {
        "type": "tool",
        "tool_return": body,
        "status": _STATUSES.get(returned.status, "error"),
        "tool_call_id": returned.tool_call_id,
        "stdout": list(returned.stdout),
        "stderr": list(returned.stderr),
    }


def answers_json(message: pb.Message) -> Item:
    """Return the answers to calls; the first decision once more, as older clients want it."""
    decisions = [
        {
            "type": "approval",
            "tool_call_id": decision.tool_call_id,
            "approve": decision.WhichOneof("kind") == "approve",
            "reason": decision.deny.reason or None,
        }
        for decision in message.decisions
    ]
    first: Mapping[str, Any] = decisions[0] if decisions else {"approve": None, "reason": None}
    approvals = [*decisions, *(_return_json(each) for each in message.tool_returns)]
    return {"approvals": approvals, "approve": first["approve"], "approval_request_id": None, "reason": first["reason"]}


def _text(parts: Iterable[pb.ContentPart]) -> str:
    return "".join(part.text for part in parts)


def _content(parts: Sequence[pb.ContentPart]) -> str | list[Item]:
    """Return text as text, and anything more as parts."""
    if all(part.WhichOneof("kind") == "text" for part in parts):
        return _text(parts)
    return [_part_json(part) for part in parts]


def _part_json(part: pb.ContentPart) -> Item:
    if part.WhichOneof("kind") != "image":
        return {"type": "text", "text": part.text}
    return picture_json(part.image)


def picture_json(image: pb.Image) -> Item:
    """Return a stored picture as a part."""
    data = base64.b64encode(image.data).decode()
    return {"type": "image", "source": {"type": "base64", "media_type": image.media_type, "data": data}}
