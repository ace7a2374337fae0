"""What a chat model is asked and what it answers, piece by piece."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from letta_grpc.domain.agents import ModelSettings
from letta_grpc.domain.enums import IdentityEnum
from letta_grpc.domain.messages import Message
from letta_grpc.domain.tools import DEFAULT_RETURN_CHAR_LIMIT
from letta_grpc.domain.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolDefinition:
    """A tool as the model is told of it. `parameters` is a JSON Schema as text.

    `idempotent`: running it twice does what running it once does, so that a takeover may run it again. `parallel`: it may
    run beside other calls of its step. `return_char_limit`: how much of its answer is kept.
    """

    name: str
    description: str
    parameters: str
    idempotent: bool = False
    parallel: bool = True
    requires_approval: bool = False
    return_char_limit: int = DEFAULT_RETURN_CHAR_LIMIT


# The tool choice of a call that must not be answered in plain words.
ANY_TOOL = "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One call of a model. `model` is the provider's own name, `headers` go out with the call (trace context).

    `tool_choice`: a tool's name, ANY_TOOL if some tool must be called, None to let the model decide.
    `response_format` is a JSON Schema as text.
    """

    model: str
    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolDefinition, ...] = ()
    tool_choice: str | None = None
    response_format: str | None = None
    settings: ModelSettings = ModelSettings()
    timezone: str = "UTC"
    headers: Mapping[str, str] = field(default_factory=dict)


class FinishReason(IdentityEnum):
    """Why the model stopped."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


@dataclass(frozen=True, slots=True)
class TextChunk:
    """More text."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningChunk:
    """More reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningSummaryChunk:
    """More of the provider's summary of reasoning that it keeps."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningSealChunk:
    """The provider's proof of the reasoning before it, which ends there. Opaque; goes back to the model that gave it."""

    signature: str


@dataclass(frozen=True, slots=True)
class HiddenReasoningChunk:
    """Reasoning, or a proof of a call, that only the provider can read. `data` is opaque; None if it gave nothing of it."""

    data: str | None


@dataclass(frozen=True, slots=True)
class ToolCallChunk:
    """More of the `index`-th tool call of this answer. Id and name come with the first piece, sometimes again later."""

    index: int
    id: str | None
    name: str | None
    arguments: str


@dataclass(frozen=True, slots=True)
class ModelFinished:
    """The answer is complete. The last chunk, exactly once."""

    reason: FinishReason
    usage: Usage = Usage()


ModelChunk = (
    TextChunk
    | ReasoningChunk
    | ReasoningSummaryChunk
    | ReasoningSealChunk
    | HiddenReasoningChunk
    | ToolCallChunk
    | ModelFinished
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """A model that can be named. `context_window` is in tokens, None where it is not known."""

    handle: str
    provider: str
    name: str
    context_window: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderInfo:
    """A source of models."""

    name: str
    base_url: str = ""
    has_api_key: bool = False
