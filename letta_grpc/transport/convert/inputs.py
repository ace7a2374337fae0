"""The input of a run, as a request brings it."""

from base64 import b64decode
from collections import Counter
from collections.abc import Collection, Iterable

from letta_grpc.domain.approvals import answers_in
from letta_grpc.domain.messages import (
    ApprovalInput,
    Decision,
    Deny,
    ImagePart,
    InputMessage,
    InputPart,
    ReturnsInput,
    Role,
    SpokenInput,
    TextPart,
    ToolReturn,
)
from letta_grpc.domain.pictures import picture_type
from letta_grpc.transport.convert.enums import TOOL_RETURN_STATUSES
from letta_grpc.transport.convert.messages import approve_from_pb, input_part_from_pb, tool_return_from_pb
from letta_grpc.transport.convert.rules import MAX_TEXT_BYTES, Rules
from letta_grpc.v1 import messages_pb2 as pb

# The ids of a run's messages stand in its first event, and with each run of a list; the start is one commit.
MAX_MESSAGES = 1000
# Texts, parts, decisions and returns of all messages together.
_MAX_PIECES = 4000
_MAX_OTID = 128
_MAX_REASON = 4096
# Decisions come back in the run's first event and in its history.
_MAX_ARGUMENTS_BYTES = 262_144
# In base64; twelve bytes say what a picture is.
_BEGINNING = 16
IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")


def input_from_pb(rules: Rules, path: str, messages: Collection[pb.InputMessage]) -> tuple[InputMessage, ...]:
    """Return the input of a run; at least one message. Answers to waiting calls come first."""
    few = rules.at_most(path, messages, MAX_MESSAGES)
    if not few_pieces(rules, path, few):
        return ()
    parsed = tuple(_input_message(rules, f"{path}[{index}]", message) for index, message in enumerate(few))
    if not parsed:
        rules.broken(path, "must have at least one message")
    answers = [isinstance(message, ApprovalInput | ReturnsInput) for message in parsed]
    if sorted(answers, reverse=True) != answers:
        rules.broken(path, "must have answers to waiting calls before other messages")
    _check_answered_once(rules, path, parsed)
    return parsed


def few_pieces(rules: Rules, path: str, messages: Iterable[pb.InputMessage]) -> bool:
    """Say whether messages have no more pieces in all than one request may have."""
    pieces = sum(map(_pieces, messages))
    if pieces > _MAX_PIECES:
        rules.broken(path, f"must have at most {_MAX_PIECES} texts, parts, decisions and returns in all, has {pieces}")
    return pieces <= _MAX_PIECES


def _pieces(message: pb.InputMessage) -> int:
    match message.WhichOneof("kind"):
        case "user":
            return max(1, len(message.user.content.parts))
        case "system":
            return max(1, len(message.system.content.parts))
        case "approval":
            return len(message.approval.decisions)
        case "tool_returns":
            returns = message.tool_returns.returns
            # The parts of too many returns need not be counted as well.
            return len(returns) + (sum(len(each.content.parts) for each in returns) if len(returns) <= _MAX_PIECES else 0)
        case _:
            return 1


def _check_answered_once(rules: Rules, path: str, messages: tuple[InputMessage, ...]) -> None:
    """Check that no two messages answer the same call; within one, its own rules do."""
    answered: set[str] = set()
    for index, message in enumerate(messages):
        call_ids = answers_in([message]).keys()
        for call_id in sorted(call_ids & answered):
            rules.broken(f"{path}[{index}]", f"answers {call_id!r}, as a message before it does")
        answered |= call_ids


def _input_message(rules: Rules, path: str, message: pb.InputMessage) -> InputMessage:
    otid = rules.text(f"{path}.otid", message.otid, _MAX_OTID) if message.HasField("otid") else None
    match message.WhichOneof("kind"):
        case "user":
            return SpokenInput(role=Role.USER, content=_body(rules, f"{path}.user", message.user), otid=otid)
        case "system":
            return SpokenInput(role=Role.SYSTEM, content=_body(rules, f"{path}.system", message.system), otid=otid)
        case "approval":
            return ApprovalInput(decisions=_decisions(rules, f"{path}.approval.decisions", message.approval), otid=otid)
        case "tool_returns":
            return ReturnsInput(tool_returns=_returns(rules, f"{path}.tool_returns.returns", message.tool_returns), otid=otid)
        case _:
            rules.broken(path, "must have user, system, approval or tool_returns")
            return SpokenInput(role=Role.USER, content=())


def _decisions(rules: Rules, path: str, approval: pb.ApprovalInput) -> tuple[Decision, ...]:
    _check_calls(rules, path, [decision.tool_call_id for decision in approval.decisions])
    _check_size(rules, path, approval)
    return tuple(_decision(rules, f"{path}[{index}]", decision) for index, decision in enumerate(approval.decisions))


def _decision(rules: Rules, path: str, decision: pb.Decision) -> Decision:
    match decision.WhichOneof("kind"):
        case "deny":
            reason = rules.text(f"{path}.deny.reason", decision.deny.reason, _MAX_REASON)
            return Deny(tool_call_id=decision.tool_call_id, reason=reason)
        case "approve":
            if decision.approve.HasField("arguments"):
                rules.json_object(f"{path}.approve.arguments", decision.approve.arguments, _MAX_ARGUMENTS_BYTES)
        case _:
            rules.broken(path, "must have approve or deny")
    return approve_from_pb(decision)


def _returns(rules: Rules, path: str, given: pb.ToolReturnsInput) -> tuple[ToolReturn, ...]:
    _check_calls(rules, path, [returned.tool_call_id for returned in given.returns])
    _check_size(rules, path, given)
    valid = [_check_return(rules, f"{path}[{index}]", returned) for index, returned in enumerate(given.returns)]
    return tuple(tool_return_from_pb(returned) for returned, fits in zip(given.returns, valid, strict=True) if fits)


def _check_return(rules: Rules, path: str, returned: pb.ToolReturn) -> bool:
    if returned.status not in TOOL_RETURN_STATUSES.from_pb:
        rules.broken(f"{path}.status", "must be TOOL_RETURN_STATUS_SUCCESS or TOOL_RETURN_STATUS_ERROR")
        return False
    if returned.HasField("content"):
        _parts(rules, f"{path}.content.parts", returned.content)
    return True


def _check_calls(rules: Rules, path: str, call_ids: list[str]) -> None:
    if not call_ids:
        rules.broken(path, "must have at least one")
    counts = Counter(call_ids)
    for index, call_id in enumerate(call_ids):
        if not call_id:
            rules.broken(f"{path}[{index}].tool_call_id", "must not be empty")
        elif counts[call_id] > 1:
            rules.broken(f"{path}[{index}].tool_call_id", f"{call_id!r} is there more than once")


def _check_size(rules: Rules, path: str, pieces: pb.ApprovalInput | pb.ToolReturnsInput | pb.Content) -> None:
    """Check all pieces together: each may be small, and the message yet larger than any list could return."""
    if (size := pieces.ByteSize()) > MAX_TEXT_BYTES:
        rules.broken(path, f"must have at most {MAX_TEXT_BYTES} bytes in all, has {size}")


def _body(rules: Rules, path: str, body: pb.UserInput | pb.SystemInput) -> tuple[InputPart, ...]:
    match body.WhichOneof("body"):
        case "text":
            return (TextPart(rules.long_text(f"{path}.text", body.text, required=True)),)
        case "content":
            return _parts(rules, f"{path}.content.parts", body.content)
        case _:
            rules.broken(path, "must have text or content")
            return ()


def _parts(rules: Rules, path: str, content: pb.Content) -> tuple[InputPart, ...]:
    _check_size(rules, path, content)
    parts = []
    for index, sent in enumerate(content.parts):
        part = input_part_from_pb(sent)
        match part:
            case TextPart(text=text):
                rules.long_text(f"{path}[{index}].text", text, required=True)
            case ImagePart():
                _check_image(rules, f"{path}[{index}].image", part)
            case None:
                rules.broken(f"{path}[{index}]", "must have text or image")
                continue
        parts.append(part)
    if not parts:
        rules.broken(path, "must have at least one part")
    return tuple(parts)


def _check_image(rules: Rules, path: str, image: ImagePart) -> None:
    if not image.url and not image.data:
        rules.broken(path, "must have url or data")
    elif image.url and not image.url.startswith(("http://", "https://")):
        rules.broken(f"{path}.url", "must be an http or https address")
    elif image.data and image.media_type not in IMAGE_TYPES:
        rules.broken(f"{path}.media_type", f"must be one of {', '.join(IMAGE_TYPES)}")
    elif image.data and picture_type(b64decode(image.data[:_BEGINNING])) is None:
        # Models are shown no other; histories may have them, of agents that were made elsewhere.
        rules.broken(f"{path}.data", "must be a PNG, JPEG, GIF or WebP picture: its bytes begin like none of them")
