"""Events: what happens in a run. The journal numbers them from 1, without a gap."""

from dataclasses import dataclass

from letta_grpc.domain.approvals import PendingAction
from letta_grpc.domain.ids import AgentId, MessageId, RunId, StepId
from letta_grpc.domain.messages import Message, OmittedReasoningPart, RedactedReasoningPart, Role, ToolReturn
from letta_grpc.domain.runs import Run
from letta_grpc.domain.tools import OutputStream
from letta_grpc.domain.usage import Timing, Usage


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The run left the queue."""

    run: Run


@dataclass(frozen=True, slots=True)
class StepStarted:
    """The model is about to be asked. `index` counts from 0 within the run."""

    step_id: StepId
    index: int
    model: str


@dataclass(frozen=True, slots=True)
class MessageStarted:
    """The first piece of a message came."""

    message_id: MessageId
    step_id: StepId
    role: Role


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text. `content_index` is the part of the message's content that it continues."""

    message_id: MessageId
    content_index: int
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More reasoning: text, or what proves the part so far and ends it, or a part of its own that nobody can read."""

    message_id: MessageId
    text: str = ""
    signature: str = ""
    hidden: RedactedReasoningPart | OmittedReasoningPart | None = None


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """More of the arguments of the message's `call_index`-th call, from 0."""

    message_id: MessageId
    call_index: int
    tool_call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class MessageCompleted:
    """A message is stored; it replaces its deltas.

    `usage` is what the step has cost so far, of an answer whose calls run before it ends: another server may complete it.
    """

    message: Message
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class ToolExecutionStarted:
    """A tool is about to run: after a crash it may have run."""

    tool_call_id: str


@dataclass(frozen=True, slots=True)
class ToolOutputDelta:
    """A running tool wrote something."""

    tool_call_id: str
    stream: OutputStream
    text: str


@dataclass(frozen=True, slots=True)
class ChildRunStarted:
    """A tool has another agent run. Its events are in its own stream."""

    tool_call_id: str
    run_id: RunId
    agent_id: AgentId


@dataclass(frozen=True, slots=True)
class ApprovalRequested:
    """The run cannot go on without answers to these calls, and ends INTERRUPTED."""

    actions: tuple[PendingAction, ...]


@dataclass(frozen=True, slots=True)
class ContextCompacted:
    """Older messages left the context; `summary` stands there in their place.

    `kept_from` is the first older message that stays, None if none does. `by_model` is False for the fallback, which drops
    messages without a summary of what they said. Token counts are estimates.
    """

    summary: Message
    kept_from: MessageId | None
    dropped_messages: int
    tokens_before: int
    tokens_after: int
    by_model: bool


@dataclass(frozen=True, slots=True)
class Custom:
    """Something that only the caller understands. `json` is JSON text."""

    name: str
    json: str


@dataclass(frozen=True, slots=True)
class ToolReturned:
    """A tool ended."""

    tool_return: ToolReturn


@dataclass(frozen=True, slots=True)
class StepCompleted:
    """A step's messages are stored and its tools have returned."""

    step_id: StepId
    usage: Usage
    timing: Timing


@dataclass(frozen=True, slots=True)
class StepRestarted:
    """The run was taken over before the model's answer was stored; the void messages will never be completed."""

    step_id: StepId
    attempt: int
    void_message_ids: tuple[MessageId, ...]


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run ended: the last event, exactly once."""

    run: Run


RunEvent = (
    RunStarted
    | StepStarted
    | MessageStarted
    | TextDelta
    | ReasoningDelta
    | ToolCallDelta
    | MessageCompleted
    | ToolExecutionStarted
    | ToolOutputDelta
    | ToolReturned
    | ChildRunStarted
    | ApprovalRequested
    | ContextCompacted
    | Custom
    | StepCompleted
    | StepRestarted
    | RunFinished
)


@dataclass(frozen=True, slots=True)
class NumberedEvent:
    """An event with its place in the log. `create_time_ns` is in nanoseconds since the epoch."""

    sequence_number: int
    create_time_ns: int
    event: RunEvent
