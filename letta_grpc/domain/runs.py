"""Runs: one answer of an agent to one input."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from letta_grpc.domain.approvals import ActionKind, PendingAction
from letta_grpc.domain.callbacks import Callback
from letta_grpc.domain.completions import ToolDefinition
from letta_grpc.domain.enums import IdentityEnum
from letta_grpc.domain.ids import AgentId, ConversationId, MessageId, RunId, StepId
from letta_grpc.domain.messages import InputMessage
from letta_grpc.domain.usage import Timing, Usage


class RunState(IdentityEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    # Waits for answers to tool calls; an answer is a new run.
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether the run has ended."""
        return self in FINAL_STATES


FINAL_STATES = frozenset({RunState.COMPLETED, RunState.INTERRUPTED, RunState.FAILED, RunState.CANCELLED})
OPEN_STATES = frozenset(RunState) - FINAL_STATES


class StopReason(IdentityEnum):
    """Why a run ended."""

    END_TURN = "end_turn"
    MAX_STEPS = "max_steps"
    MAX_TOKENS = "max_tokens"
    TOOL_RULE = "tool_rule"
    REQUIRES_APPROVAL = "requires_approval"
    REQUIRES_CLIENT_TOOL = "requires_client_tool"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    MODEL_ERROR = "model_error"
    INVALID_MODEL_OUTPUT = "invalid_model_output"
    CONTEXT_OVERFLOW = "context_overflow"
    INSUFFICIENT_CREDITS = "insufficient_credits"
    INTERNAL_ERROR = "internal_error"
    CONTENT_FILTER = "content_filter"


class ConflictPolicy(IdentityEnum):
    """What happens to a start while its conversation has an active run."""

    REJECT = "reject"
    ENQUEUE = "enqueue"
    INTERRUPT = "interrupt"


class DisconnectPolicy(IdentityEnum):
    """What happens to a run that nobody reads."""

    CONTINUE = "continue"
    CANCEL = "cancel"


class RunKind(IdentityEnum):
    """What a run is for."""

    # The agent answers its input.
    TURN = "turn"
    # The conversation's older messages are put into a summary.
    COMPACTION = "compaction"
    # A turn that happened elsewhere is put into the conversation.
    CAPTURE = "capture"
    # The messages that a conversation had when it was forked from another one.
    FORK = "fork"


# Runs of these kinds are turns of the conversation, whatever else is kept as a run.
TURN_KINDS = frozenset({RunKind.TURN, RunKind.CAPTURE})


class CompactionMode(IdentityEnum):
    """What a COMPACTION run leaves in the context."""

    # A summary and the newest messages.
    SLIDING_WINDOW = "sliding_window"
    # A summary of everything, and nothing else.
    ALL = "all"


MAX_QUEUED_RUNS = 100
# A run that is taken over this often without one new event from model or tool is given up.
MAX_ATTEMPTS_WITHOUT_PROGRESS = 5


def waiting_reason(actions: Iterable[PendingAction]) -> StopReason:
    """Return the stop reason of a run that waits for these calls: approvals count before client tools."""
    approval = any(action.kind is ActionKind.APPROVAL for action in actions)
    return StopReason.REQUIRES_APPROVAL if approval else StopReason.REQUIRES_CLIENT_TOOL


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """What to run: the payload that a request id stands for.

    `messages` are input; those of a CAPTURE may be an assistant's too. `response_format` is a JSON Schema as text.
    `tool_choice`: the tools one of which the model has to call first; none leaves it free.
    An answer to waiting calls takes `client_tools`, `model`, `system` and `response_format` from the run that waits, where it
    says nothing.
    """

    messages: tuple[InputMessage, ...]
    max_steps: int = 50
    run_timeout: timedelta = timedelta(minutes=10)
    conflict_policy: ConflictPolicy = ConflictPolicy.REJECT
    disconnect_policy: DisconnectPolicy = DisconnectPolicy.CONTINUE
    disconnect_grace: timedelta = timedelta(seconds=5)
    approval_timeout: timedelta = timedelta(hours=24)
    client_tools: tuple[ToolDefinition, ...] = ()
    model: str | None = None
    system: str | None = None
    response_format: str | None = None
    kind: RunKind = RunKind.TURN
    compaction: CompactionMode = CompactionMode.SLIDING_WINDOW
    callback_url: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    background: bool = False
    tool_choice: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunError:
    """Why a run failed, as far as a caller may know."""

    reason: str
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as it stands. `start_time` is when it left the queue.

    `resumes_run_id`: the run whose waiting calls this one answers. `parent_run_ids`: the runs whose tools have called this
    one, the outermost first. `pending_actions`: the calls that it still waits for. `callback`: who is told of its end; stores
    alone say it, events do not.
    """

    id: RunId
    agent_id: AgentId
    conversation_id: ConversationId
    request_id: str
    resumes_run_id: RunId | None = None
    parent_run_ids: tuple[RunId, ...] = ()
    kind: RunKind = RunKind.TURN
    model: str
    state: RunState
    stop_reason: StopReason | None = None
    attempt: int = 1
    create_time: datetime
    start_time: datetime | None = None
    end_time: datetime | None = None
    usage: Usage = Usage()
    timing: Timing | None = None
    pending_actions: tuple[PendingAction, ...] = ()
    input_message_ids: tuple[MessageId, ...] = ()
    error: RunError | None = None
    last_sequence_number: int | None = None
    callback: Callback | None = None
    background: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A completed turn of the loop."""

    id: StepId
    run_id: RunId
    index: int
    model: str
    usage: Usage
    timing: Timing
    message_ids: tuple[MessageId, ...]
    complete_time: datetime


def finished_before_start(run: Run, now: datetime) -> Run:
    """Return a queued run as it stands after its cancellation."""
    total = (now - run.create_time).total_seconds()
    return replace(run, state=RunState.CANCELLED, stop_reason=StopReason.CANCELLED, end_time=now, timing=Timing(total=total))
