"""Stored messages."""

from base64 import b64decode, b64encode
from typing import assert_never

from letta_grpc.domain.ids import MessageId, RunId, StepId
from letta_grpc.domain.messages import (
    Approve,
    ContentPart,
    Decision,
    Deny,
    ImagePart,
    InputPart,
    Message,
    OmittedReasoningPart,
    ReasoningPart,
    RedactedReasoningPart,
    SummarizedReasoningPart,
    TextPart,
    ToolCall,
    ToolReturn,
)
from letta_grpc.ports.search import FoundMessage
from letta_grpc.transport.convert.enums import ROLES, TOOL_RETURN_STATUSES
from letta_grpc.transport.convert.times import timestamp_from_pb, timestamp_to_pb
from letta_grpc.v1 import agent_service_pb2
from letta_grpc.v1 import messages_pb2 as pb


def message_to_pb(message: Message) -> pb.Message:
    """Return a stored message."""
    return pb.Message(
        id=message.id,
        role=ROLES.to_pb[message.role],
        content=[part_to_pb(part) for part in message.content],
        tool_calls=[_call_to_pb(call) for call in message.tool_calls],
        tool_returns=[tool_return_to_pb(returned) for returned in message.tool_returns],
        decisions=[_decision_to_pb(decision) for decision in message.decisions],
        otid=message.otid,
        name=message.name or "",
        run_id=message.run_id,
        step_id=message.step_id or "",
        model=message.model or "",
        create_time=timestamp_to_pb(message.create_time),
    )


def found_message_to_pb(found: FoundMessage) -> agent_service_pb2.FoundMessage:
    """Return a message that a search found."""
    return agent_service_pb2.FoundMessage(
        message=message_to_pb(found.message), conversation_id=found.conversation_id, agent_id=found.agent_id
    )


def message_from_pb(message: pb.Message) -> Message:
    """Return a message that the server wrote."""
    return Message(
        id=MessageId(message.id),
        role=ROLES.from_pb[message.role],
        content=tuple(_part_from_pb(part) for part in message.content),
        tool_calls=tuple(_call_from_pb(call) for call in message.tool_calls),
        tool_returns=tuple(tool_return_from_pb(returned) for returned in message.tool_returns),
        decisions=tuple(_decision_from_pb(decision) for decision in message.decisions),
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


def part_to_pb(part: ContentPart) -> pb.ContentPart:
    """Return a piece of a message."""
    match part:
        case TextPart(text=text):
            return pb.ContentPart(text=text)
        case ReasoningPart(text=text, signature=signature):
            return pb.ContentPart(reasoning=text, signature=signature)
        case ImagePart():
            return pb.ContentPart(image=_image_to_pb(part))
        case RedactedReasoningPart(data=data):
            return pb.ContentPart(redacted_reasoning=data)
        case OmittedReasoningPart():
            return pb.ContentPart(omitted_reasoning=True)
        case SummarizedReasoningPart(text=text):
            return pb.ContentPart(summarized_reasoning=text)
        case _:
            assert_never(part)


def _part_from_pb(part: pb.ContentPart) -> ContentPart:
    match part.WhichOneof("kind"):
        case "text" | None:
            return TextPart(part.text)
        case "reasoning":
            return ReasoningPart(part.reasoning, part.signature)
        case "image":
            return _image_from_pb(part.image)
        case "redacted_reasoning":
            return RedactedReasoningPart(part.redacted_reasoning)
        case "omitted_reasoning":
            return OmittedReasoningPart()
        case "summarized_reasoning":
            return SummarizedReasoningPart(part.summarized_reasoning)
        case other:
            assert_never(other)


def _image_to_pb(image: ImagePart) -> pb.Image:
    if image.url:
        return pb.Image(url=image.url, media_type=image.media_type)
    return pb.Image(data=b64decode(image.data), media_type=image.media_type)


def _image_from_pb(image: pb.Image) -> ImagePart:
    return ImagePart(media_type=image.media_type, data=b64encode(image.data).decode(), url=image.url)


def input_part_from_pb(part: pb.ContentPart) -> InputPart | None:
    """Return a piece that a caller may send, None for one that only the model writes."""
    if part.WhichOneof("kind") not in ("text", "image"):
        return None
    return _image_from_pb(part.image) if part.HasField("image") else TextPart(part.text)


def _decision_to_pb(decision: Decision) -> pb.Decision:
    match decision:
        case Approve(tool_call_id=call_id, arguments=arguments):
            return pb.Decision(tool_call_id=call_id, approve=pb.Approve(arguments=arguments))
        case Deny(tool_call_id=call_id, reason=reason):
            return pb.Decision(tool_call_id=call_id, deny=pb.Deny(reason=reason))
        case _:
            assert_never(decision)


def _decision_from_pb(decision: pb.Decision) -> Decision:
    if decision.HasField("deny"):
        return Deny(tool_call_id=decision.tool_call_id, reason=decision.deny.reason)
    return approve_from_pb(decision)


def approve_from_pb(decision: pb.Decision) -> Approve:
    """Return a decision that lets a call run."""
    edited = decision.approve.arguments if decision.approve.HasField("arguments") else None
    return Approve(tool_call_id=decision.tool_call_id, arguments=edited)


def tool_return_to_pb(returned: ToolReturn) -> pb.ToolReturn:
    """Return what a tool gave."""
    sent = pb.ToolReturn(
        tool_call_id=returned.tool_call_id,
        status=TOOL_RETURN_STATUSES.to_pb[returned.status],
        text=returned.text,
        stdout=returned.stdout,
        stderr=returned.stderr,
    )
    if returned.content:
        sent.content.parts.extend(part_to_pb(part) for part in returned.content)
    return sent


def tool_return_from_pb(returned: pb.ToolReturn) -> ToolReturn:
    """Return what a tool gave."""
    parts = tuple(part for sent in returned.content.parts if (part := input_part_from_pb(sent)))
    text = "\n".join(part.text for part in parts if isinstance(part, TextPart)) if parts else returned.text
    return ToolReturn(
        tool_call_id=returned.tool_call_id,
        status=TOOL_RETURN_STATUSES.from_pb[returned.status],
        text=text,
        content=parts,
        stdout=tuple(returned.stdout),
        stderr=tuple(returned.stderr),
    )
