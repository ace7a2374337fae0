"""An agent's turn at one step: what may be called, which calls break a rule, and whether the turn goes on after the step."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from letta_grpc.domain import memgpt
from letta_grpc.domain.agents import AgentKind
from letta_grpc.domain.errors import InvalidModelOutput
from letta_grpc.domain.ids import StepId
from letta_grpc.domain.messages import Deny, Message, ToolCall, ToolReturnStatus
from letta_grpc.domain.runs import Run, StopReason
from letta_grpc.domain.tool_policy import Ends, GoesOn, Offer, Owes, Verdict
from letta_grpc.domain.turns import MadeCall, is_refusal, made_in, refusal_text
from letta_grpc.engine.answer import Admission
from letta_grpc.engine.ends import RunEnd, completed, failed
from letta_grpc.engine.record import RunRecord
from letta_grpc.engine.toolbox import Toolbox
from letta_grpc.ports.stores import HistoryStore, RunStore


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCalls:
    """The calls of a step that have returned: those that were made, whether any failed, whether the model asked to go on."""

    step_id: StepId
    made: tuple[MadeCall, ...] = ()
    any: bool = False
    failed: bool = False
    heartbeat: bool = False


@dataclass(slots=True)
class Turn:
    """A turn at one step. `made` are the calls before it; of the tools `chosen` by the run's caller one must come first.

    `stored` is what is in the history already of the step whose calls are due: where they had to wait, all that it asked for,
    and the returns of the calls that ran at once.
    """

    toolbox: Toolbox
    made: Sequence[MadeCall] = ()
    chosen: Collection[str] = ()
    stored: Sequence[Message] = ()
    _announced: list[MadeCall] = field(default_factory=list)

    def offer(self) -> Offer:
        """Return what the model may call in this step."""
        return self.toolbox.policy.offer(self.made).narrowed(self.chosen)

    def admit(self, tool: str) -> Admission:
        """Decide about a call that the model begins to write. One that may not come now stays refused."""
        policy = self.toolbox.policy
        if not policy.in_order:
            return Admission(self.toolbox.waits_for(tool))
        offer = policy.within(self.made, self._announced)
        if tool not in offer.tools:
            return Admission(refused=True)
        self._announced.append(MadeCall(tool=tool))
        return Admission(self.toolbox.waits_for(tool), offer.arguments.get(tool, ""))

    def refusal(self, record: RunRecord, call: ToolCall) -> str | None:
        """Return why a call that is due may not run now, None if it may."""
        policy = self.toolbox.policy
        if not policy.in_order:
            return None
        offer = policy.within(self.made, _made_now(record, self.toolbox))
        if call.name in offer.tools and not self._was_refused(record, call):
            return None
        return refusal_text(call.name, offer.tools)

    def _was_refused(self, record: RunRecord, call: ToolCall) -> bool:
        """Say whether a call had been refused when it was announced: it was not asked for, or not heard."""
        if _is_answered(record, call.id):
            return False
        said = record.progress.assistant
        unheard = self.toolbox.speaks(call.name) and said is not None and not memgpt.is_heard(call, said)
        return unheard or self.toolbox.waits_for(call.name) is not None

    def go_on(self, record: RunRecord, step: StepCalls) -> RunEnd | None:
        """Return the end that the rules or the agent's kind give the turn, None if it goes on: then the model is told why."""
        verdict = self._verdict(step)
        if isinstance(verdict, Ends):
            return completed(StopReason.TOOL_RULE if verdict.by_rule else StopReason.END_TURN)
        if isinstance(verdict, Owes):
            if self.chosen and not record.begin_repair():
                return failed(
                    InvalidModelOutput(f"The model answered in words and did not call {' or '.join(verdict.tools)}.")
                )
            self._tell(record, step, verdict.demand)
        elif self.toolbox.kind is AgentKind.MEMGPT:
            self._tell(record, step, memgpt.FAILED_HEARTBEAT if step.failed else memgpt.WANTED_HEARTBEAT)
        return None

    def _verdict(self, step: StepCalls) -> Verdict:
        made = [*self.made, *step.made]
        # A step can have two parts: the calls that ran at once, and those that were answered.
        last_step = [call.tool for call in made if call.step_id == step.step_id and not call.denied]
        wants_more = step.any if self.toolbox.kind is AgentKind.REACT else step.failed or step.heartbeat
        verdict = self.toolbox.policy.after(made, last_step, wants_more=wants_more)
        if not self.chosen or verdict in {GoesOn(), Ends(by_rule=True)}:
            return verdict
        # What a rule has it owe besides is asked for later: until then it is not offered.
        left = tuple(tool for tool in self.toolbox.policy.offer(made).tools if tool in self.chosen)
        return Owes(left, any_of=True) if left else verdict

    def _tell(self, record: RunRecord, step: StepCalls, reason: str) -> None:
        if self.toolbox.kind is AgentKind.MEMGPT:
            reason = memgpt.heartbeat(reason, record.now(), self.toolbox.timezone)
        record.add_word(reason, step.step_id)


def step_calls(record: RunRecord, turn: Turn) -> StepCalls:
    """Look at the calls of a step once those that are due have their returns, and before the message that gathers them.

    Also at those beside them that ran before: whether the model gets control again is for the whole step to say.
    """
    due = record.progress.due
    calls = [*due, *(call for message in turn.stored for call in message.tool_calls)]
    returns = [*record.progress.returns.values(), *(each for message in turn.stored for each in message.tool_returns)]
    return StepCalls(
        step_id=record.step_id,
        made=tuple(_made_now(record, turn.toolbox)),
        any=bool(due),
        failed=any(returned.status is ToolReturnStatus.ERROR for returned in returns),
        heartbeat=any(memgpt.wants_heartbeat(call) for call in calls),
    )


async def calls_before(run: Run, history: HistoryStore, runs: RunStore, tools: Collection[str]) -> list[MadeCall]:
    """Return the calls that were made so far in a run's turn, as they are stored."""
    messages = await history.of_run(run.id)
    while run.resumes_run_id:
        run = await runs.get(run.resumes_run_id)
        messages = (*await history.of_run(run.id), *messages)
    return list(made_in(messages, tools))


def _made_now(record: RunRecord, toolbox: Toolbox) -> list[MadeCall]:
    """Return the due calls that were made, or denied, and have returned."""
    progress, denied = record.progress, _denied(record)
    names = {call.id: call.name for call in progress.due if call.name in toolbox.definitions}
    return [
        MadeCall(tool=names[call_id], output=returned.text, step_id=record.step_id, denied=call_id in denied)
        for call_id, returned in progress.returns.items()
        if call_id in names and not is_refusal(returned)
    ]


def _is_answered(record: RunRecord, call_id: str) -> bool:
    return record.batch is not None and call_id in record.batch.answers


def _denied(record: RunRecord) -> set[str]:
    answers = record.batch.answers if record.batch else {}
    return {call_id for call_id, answer in answers.items() if isinstance(answer, Deny)}
