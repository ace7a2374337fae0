"""Messages: what goes into a conversation and what is kept of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from letta_grpc.domain.enums import IdentityEnum
from letta_grpc.domain.ids import MessageId, RunId, StepId


class Role(IdentityEnum):
    """Who speaks."""

    USER = "user"
    SYSTEM = "system"
    ASSISTANT = "assistant"
    TOOL = "tool"
    # An assistant's calls that wait for an answer, and the answers.
    APPROVAL = "approval"
    # What stands in the context in place of older messages.
    SUMMARY = "summary"


class ToolReturnStatus(IdentityEnum):
    """Whether a tool did what it was asked."""

    SUCCESS = "success"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class TextPart:
    """Plain text."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """A picture: base64 `data` of a `media_type`, or, before it was fetched, a `url`."""

    media_type: str = ""
    data: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class ReasoningPart:
    """The model's own reasoning, where the provider discloses it. `signature` proves it to that provider."""

    text: str
    signature: str = ""


@dataclass(frozen=True, slots=True)
class RedactedReasoningPart:
    """Reasoning that only the provider can read, or its proof of a call that the message makes."""

    data: str


@dataclass(frozen=True, slots=True)
class OmittedReasoningPart:
    """The model reasoned, and the provider does not say what."""


@dataclass(frozen=True, slots=True)
class SummarizedReasoningPart:
    """The provider's summary of reasoning that it keeps."""

    text: str


InputPart = TextPart | ImagePart
ContentPart = InputPart | ReasoningPart | RedactedReasoningPart | OmittedReasoningPart | SummarizedReasoningPart


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A request of the model's. `arguments` is the text that the model wrote, not always JSON.

    `provider_id` is the id that the provider gave, where it had to be replaced to be unique in the conversation.
    """

    id: str
    name: str
    arguments: str
    provider_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolReturn:
    """What one tool call gave. `content` are parts that text alone cannot say; then `text` is their text."""

    tool_call_id: str
    status: ToolReturnStatus
    text: str
    content: tuple[InputPart, ...] = ()
    stdout: tuple[str, ...] = ()
    stderr: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    """Let a call run. `arguments`, if given, is the JSON text to run it with in place of the model's."""

    tool_call_id: str
    arguments: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """Do not let a call run. The model is told the reason."""

    tool_call_id: str
    reason: str = ""


Decision = Approve | Deny


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A stored message. `step_id` is None for input."""

    id: MessageId
    role: Role
    content: tuple[ContentPart, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_returns: tuple[ToolReturn, ...] = ()
    decisions: tuple[Decision, ...] = ()
    otid: str | None = None
    name: str | None = None
    run_id: RunId
    step_id: StepId | None = None
    model: str | None = None
    create_time: datetime

    @property
    def text(self) -> str:
        """The text parts, joined."""
        return "".join(part.text for part in self.content if isinstance(part, TextPart))


def returned_ids(messages: Iterable[Message]) -> set[str]:
    """Return the ids of the calls that have returned in these messages."""
    return {returned.tool_call_id for message in messages if message.role is Role.TOOL for returned in message.tool_returns}


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenInput:
    """What a user or the system says, as a caller sends it."""

    role: Role
    content: tuple[InputPart, ...]
    otid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalInput:
    """Decisions about calls that wait for approval."""

    decisions: tuple[Decision, ...]
    otid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnsInput:
    """What tools gave that the client ran."""

    tool_returns: tuple[ToolReturn, ...]
    otid: str | None = None


InputMessage = SpokenInput | ApprovalInput | ReturnsInput


def words_in(messages: Sequence[InputMessage]) -> tuple[SpokenInput, ...]:
    """Return what is said in an input."""
    return tuple(message for message in messages if isinstance(message, SpokenInput))
