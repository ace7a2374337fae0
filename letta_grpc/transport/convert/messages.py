"""Messages."""

from collections.abc import Iterable
from typing import assert_never

from letta_grpc.domain.ids import MessageId, RunId, StepId
from letta_grpc.domain.messages import (
    ContentPart,
    InputMessage,
    Message,
    ReasoningPart,
    Role,
    TextPart,
    ToolCall,
    ToolReturn,
)
from letta_grpc.transport.convert.enums import ROLES, TOOL_RETURN_STATUSES
from letta_grpc.transport.convert.rules import MAX_TEXT_BYTES, Rules
from letta_grpc.transport.convert.times import timestamp_from_pb, timestamp_to_pb
from letta_grpc.v1 import messages_pb2 as pb

_MAX_OTID = 128


def message_to_pb(message: Message) -> pb.Message:
    """Return a stored message."""
    return pb.Message(
        id=message.id,
        role=ROLES.to_pb[message.role],
        content=[_part_to_pb(part) for part in message.content],
        tool_calls=[_call_to_pb(call) for call in message.tool_calls],
        tool_returns=[tool_return_to_pb(returned) for returned in message.tool_returns],
        otid=message.otid,
        name=message.name or "",
        run_id=message.run_id,
        step_id=message.step_id or "",
        model=message.model or "",
        create_time=timestamp_to_pb(message.create_time),
    )


def message_from_pb(message: pb.Message) -> Message:
    """Return a message that the server wrote. The provider's own ids of tool calls are not on the wire."""
    return Message(
        id=MessageId(message.id),
        role=ROLES.from_pb[message.role],
        content=tuple(_part_from_pb(part) for part in message.content),
        tool_calls=tuple(_call_from_pb(call) for call in message.tool_calls),
        tool_returns=tuple(tool_return_from_pb(returned) for returned in message.tool_returns),
        otid=message.otid if message.HasField("otid") else None,
        name=message.name or None,
        run_id=RunId(message.run_id),
        step_id=StepId(message.step_id) if message.step_id else None,
        model=message.model or None,
        create_time=timestamp_from_pb(message.create_time),
    )


def _call_to_pb(call: ToolCall) -> pb.ToolCall:
    return pb.ToolCall(id=call.id, name=call.name, arguments=call.arguments, provider_id=call.provider_id)


def _call_from_pb(call: pb.ToolCall) -> ToolCall:
    provider_id = call.provider_id if call.HasField("provider_id") else None
    return ToolCall(id=call.id, name=call.name, arguments=call.arguments, provider_id=provider_id)


def _part_to_pb(part: ContentPart) -> pb.ContentPart:
    match part:
        case TextPart(text=text):
            return pb.ContentPart(text=text)
        case ReasoningPart(text=text):
            return pb.ContentPart(reasoning=text)
        case _:
            assert_never(part)


def _part_from_pb(part: pb.ContentPart) -> ContentPart:
    return ReasoningPart(part.reasoning) if part.WhichOneof("kind") == "reasoning" else TextPart(part.text)


def tool_return_to_pb(returned: ToolReturn) -> pb.ToolReturn:
    """Return what a tool gave."""
    return pb.ToolReturn(
        tool_call_id=returned.tool_call_id,
        status=TOOL_RETURN_STATUSES.to_pb[returned.status],
        text=returned.text,
        stdout=returned.stdout,
        stderr=returned.stderr,
    )


def tool_return_from_pb(returned: pb.ToolReturn) -> ToolReturn:
    """Return what a tool gave."""
    return ToolReturn(
        tool_call_id=returned.tool_call_id,
        status=TOOL_RETURN_STATUSES.from_pb[returned.status],
        text=returned.text,
        stdout=tuple(returned.stdout),
        stderr=tuple(returned.stderr),
    )


def input_from_pb(rules: Rules, path: str, messages: Iterable[pb.InputMessage]) -> tuple[InputMessage, ...]:
    """Return the input of a run; at least one message."""
    parsed = tuple(_input_message(rules, f"{path}[{index}]", message) for index, message in enumerate(messages))
    if not parsed:
        rules.broken(path, "must have at least one message")
    return parsed


def _input_message(rules: Rules, path: str, message: pb.InputMessage) -> InputMessage:
    otid = rules.text(f"{path}.otid", message.otid, _MAX_OTID) if message.HasField("otid") else None
    match message.WhichOneof("kind"):
        case "user":
            return InputMessage(role=Role.USER, content=_body(rules, f"{path}.user", message.user), otid=otid)
        case "system":
            return InputMessage(role=Role.SYSTEM, content=_body(rules, f"{path}.system", message.system), otid=otid)
        case _:
            rules.broken(path, "must have user or system")
            return InputMessage(role=Role.USER, content=())


def _body(rules: Rules, path: str, body: pb.UserInput | pb.SystemInput) -> tuple[TextPart, ...]:
    match body.WhichOneof("body"):
        case "text":
            return (TextPart(_input_text(rules, f"{path}.text", body.text)),)
        case "content":
            return _input_parts(rules, f"{path}.content.parts", body.content)
        case _:
            rules.broken(path, "must have text or content")
            return ()


def _input_text(rules: Rules, path: str, text: str) -> str:
    if not text:
        rules.broken(path, "must not be empty")
    return rules.long_text(path, text)


def _input_parts(rules: Rules, path: str, content: pb.Content) -> tuple[TextPart, ...]:
    # Each part may be small and the message yet larger than any list could return.
    if (size := content.ByteSize()) > MAX_TEXT_BYTES:
        rules.broken(path, f"must have at most {MAX_TEXT_BYTES} bytes in all, has {size}")
    texts = []
    for index, part in enumerate(content.parts):
        if part.WhichOneof("kind") != "text":
            rules.broken(f"{path}[{index}]", "must have text")
        else:
            texts.append(TextPart(_input_text(rules, f"{path}[{index}].text", part.text)))
    if not texts:
        rules.broken(path, "must have at least one part")
    return tuple(texts)
