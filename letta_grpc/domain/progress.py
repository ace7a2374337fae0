"""How far a run has come, as its events tell.

The loop keeps one beside the run it works on; a server that takes a run over gets the same one by folding the stored events.
"""

from collections import Counter
from dataclasses import dataclass, field

from letta_grpc.domain.events import (
    ChildRunStarted,
    MessageCompleted,
    MessageStarted,
    ReasoningDelta,
    RunEvent,
    StepCompleted,
    StepRestarted,
    StepStarted,
    TextDelta,
    ToolCallDelta,
    ToolExecutionStarted,
    ToolReturned,
)
from letta_grpc.domain.ids import MessageId, RunId, StepId
from letta_grpc.domain.messages import Message, Role, ToolCall, ToolReturn
from letta_grpc.domain.transitions import Phase, advance
from letta_grpc.domain.usage import Usage


@dataclass(slots=True)
class Progress:
    """The fold of a run's events. Times are in nanoseconds since the epoch."""

    phase: Phase = Phase.QUEUED
    # Empty before the first step.
    step_id: StepId = StepId("")
    step_index: int = -1
    step_model: str = ""
    step_start_ns: int = 0
    # Announced in this step and neither completed nor voided.
    open_message_ids: list[MessageId] = field(default_factory=list)
    step_message_ids: list[MessageId] = field(default_factory=list)
    # The assistant's message of this step, and the calls of it that wait for answers.
    assistant: Message | None = None
    asked: Message | None = None
    # What the step that is under way has cost, once its answer is known.
    step_usage: Usage | None = None
    # The calls whose returns are due now: the step's, or those of an earlier run that were answered. In the model's order.
    due: tuple[ToolCall, ...] = ()
    begun: Counter[str] = field(default_factory=Counter)
    returns: dict[str, ToolReturn] = field(default_factory=dict)
    # The runs that tools have started.
    child_run_ids: set[RunId] = field(default_factory=set)
    usage: Usage = Usage()
    first_token_ns: int | None = None
    last_token_ns: int | None = None
    step_first_token_ns: int | None = None
    # How many attempts at this step have stored nothing of the model's.
    fruitless_attempts: int = 0
    # How many servers died without leaving any event; only the journal knows of them.
    idle_attempts: int = 0

    def apply(self, event: RunEvent, time_ns: int) -> None:
        """Take the next event in; raise IllegalEvent if it cannot come here."""
        self.phase = advance(self.phase, event)
        match event:
            case StepStarted():
                self._start_step(event, time_ns)
            case MessageStarted(message_id=message_id):
                self.open_message_ids.append(message_id)
            case TextDelta() | ReasoningDelta() | ToolCallDelta():
                self.fruitless_attempts = 0
                self.last_token_ns = time_ns
                self.first_token_ns = self.first_token_ns or time_ns
                self.step_first_token_ns = self.step_first_token_ns or time_ns
            case MessageCompleted(message=message, usage=usage):
                self.step_usage = usage or self.step_usage
                self._complete_message(message)
            case StepRestarted():
                self.open_message_ids.clear()
            case ToolExecutionStarted(tool_call_id=call_id):
                self.begun[call_id] += 1
            case ChildRunStarted(run_id=run_id):
                self.child_run_ids.add(run_id)
            case ToolReturned(tool_return=returned):
                self.returns[returned.tool_call_id] = returned
            case StepCompleted(usage=usage):
                self.usage += usage
                self.step_usage = None
            case _:  # RunStarted and RunFinished move the phase and nothing else.
                pass

    def _start_step(self, event: StepStarted, time_ns: int) -> None:
        restarted = event.step_id == self.step_id
        self.fruitless_attempts = self.fruitless_attempts + 1 if restarted else 1
        self.step_id, self.step_index, self.step_model = event.step_id, event.index, event.model
        self.step_start_ns, self.step_first_token_ns = time_ns, None
        self.assistant = self.asked = None
        self.due = ()
        self.step_message_ids.clear()
        self.begun.clear()
        self.returns.clear()

    def _complete_message(self, message: Message) -> None:
        self.fruitless_attempts = 0
        self.step_message_ids.append(message.id)
        if message.id in self.open_message_ids:
            self.open_message_ids.remove(message.id)
        match message.role:
            case Role.ASSISTANT:
                self.assistant, self.due = message, message.tool_calls
            case Role.APPROVAL:
                self.asked = message
            case Role.TOOL:
                self.due = ()
                self.returns.clear()
            case _:
                pass

    def give_up_waiting(self) -> None:
        """Turn the calls that would wait for answers into due ones: the run ends before anybody can be asked."""
        if self.asked:
            self.due += tuple(call for call in self.asked.tool_calls if call not in self.due)

    @property
    def open_calls(self) -> tuple[ToolCall, ...]:
        """The due calls that have no return yet, in the model's order."""
        return tuple(call for call in self.due if call.id not in self.returns)

    @property
    def attempts_without_progress(self) -> int:
        """How many attempts in a row have committed nothing of the model's or of a tool's."""
        if self.phase in (Phase.RUNNING_TOOLS, Phase.SETTLING_CALLS):
            return self.idle_attempts + max((self.begun[call.id] for call in self.open_calls), default=0)
        return self.idle_attempts + self.fruitless_attempts
