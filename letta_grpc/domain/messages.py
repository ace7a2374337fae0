"""Messages: what goes into a conversation and what is kept of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from letta_grpc.domain.ids import MessageId, RunId, StepId


class Role(Enum):
    """Who speaks."""

    USER = "user"
    SYSTEM = "system"
    ASSISTANT = "assistant"
    TOOL = "tool"


class ToolReturnStatus(Enum):
    """Whether a tool did what it was asked."""

    SUCCESS = "success"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class TextPart:
    """Plain text."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningPart:
    """The model's own reasoning, where the provider discloses it."""

    text: str


ContentPart = TextPart | ReasoningPart


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
    """What one tool call gave."""

    tool_call_id: str
    status: ToolReturnStatus
    text: str
    stdout: tuple[str, ...] = ()
    stderr: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A stored message. `step_id` is None for input."""

    id: MessageId
    role: Role
    content: tuple[ContentPart, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_returns: tuple[ToolReturn, ...] = ()
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


@dataclass(frozen=True, slots=True, kw_only=True)
class InputMessage:
    """A message as a caller sends it."""

    role: Role
    content: tuple[TextPart, ...]
    otid: str | None = None
