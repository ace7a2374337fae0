"""The agent loop: context → model → deltas → messages → tools → next step."""

from collections.abc import Collection, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import NamedTuple

from letta_grpc.domain.agents import Agent, AgentKind
from letta_grpc.domain.compaction import KEPT_SHARES
from letta_grpc.domain.completions import FinishReason, ModelChunk, ModelFinished, ModelRequest
from letta_grpc.domain.errors import ContextWindowExceeded, InvalidModelOutput
from letta_grpc.domain.events import ContextCompacted, MessageCompleted, StepRestarted, StepStarted
from letta_grpc.domain.ids import new_message_id, new_step_id
from letta_grpc.domain.inputs import captured, words_behind_answers
from letta_grpc.domain.messages import Message, Role
from letta_grpc.domain.runs import CompactionMode, RunKind, StopReason
from letta_grpc.domain.transitions import Phase
from letta_grpc.domain.turns import made_in
from letta_grpc.engine.answer import Answer
from letta_grpc.engine.answer_shape import AnswerShape, repair
from letta_grpc.engine.children import Children
from letta_grpc.engine.compaction import Compactor
from letta_grpc.engine.contexts import model_request
from letta_grpc.engine.ends import RunEnd, completed, interrupted
from letta_grpc.engine.record import RunRecord
from letta_grpc.engine.tool_calls import ToolCalls
from letta_grpc.engine.toolbox import toolbox_of
from letta_grpc.engine.turn import StepCalls, Turn, calls_before
from letta_grpc.ports.models import Models
from letta_grpc.ports.partial_json import PartialJson
from letta_grpc.ports.shapes import Shapes
from letta_grpc.ports.stores import AgentContext, HistoryStore, RunStore
from letta_grpc.ports.tools import Tools
from letta_grpc.ports.tracing import Span, Tracing

# What ends an answer before the model does, and with it the run.
_CUT = {FinishReason.LENGTH: StopReason.MAX_TOKENS, FinishReason.CONTENT_FILTER: StopReason.CONTENT_FILTER}


class _Question(NamedTuple):
    """What a step asks its model, and where the answer goes."""

    turn: Turn
    request: ModelRequest
    answer: Answer


class AgentLoop:
    """Works on runs until a rule ends them."""

    def __init__(
        self,
        *,
        history: HistoryStore,
        runs: RunStore,
        models: Models,
        tools: Tools,
        children: Children,
        partial_json: PartialJson,
        shapes: Shapes,
        tracing: Tracing,
    ) -> None:
        self._history = history
        self._runs = runs
        self._partial_json = partial_json
        self._answer_shape = AnswerShape(shapes)
        self._models = models
        self._tools = tools
        self._tool_calls = ToolCalls(tools, children, tracing)
        self._compactor = Compactor(models, tracing)
        self._tracing = tracing

    async def run(self, record: RunRecord, span: Span) -> RunEnd:
        """Work on a run from wherever it stands; return the end that a rule of the loop gives it, to be written."""
        progress = record.progress
        end = await self._pick_up(record, span)
        while end is None:
            index = progress.step_index + 1
            if index >= record.spec.max_steps:
                return completed(StopReason.MAX_STEPS)
            await record.write(StepStarted(new_step_id(), index, record.run.model))
            end = await self._step(record, span)
        return end

    async def _pick_up(self, record: RunRecord, span: Span) -> RunEnd | None:
        """Finish what the run was doing when it was left: a step, or the calls that it was started to settle."""
        progress = record.progress
        match progress.phase:
            case Phase.RUNNING_TOOLS:
                return await self._after_answer(record, await self._turn(record))
            case Phase.ASKING_MODEL:
                if record.lease.attempt > 1:
                    await self._restart_step(record)
                if record.run.kind is RunKind.COMPACTION:
                    return await self._compaction(record)
                return await self._step(record, span)
            case Phase.BETWEEN_STEPS if record.run.kind is RunKind.CAPTURE:
                return self._capture(record)
            case _ if progress.due:
                turn = await self._turn(record)
                return self._conclude(record, turn, await self._tool_calls.run_all(record, turn))
        return None

    async def _load(self, record: RunRecord) -> AgentContext:
        await record.until_begun_is_stored()
        return await self._history.load(record.run.conversation_id)

    async def _turn(self, record: RunRecord, agent: Agent | None = None) -> Turn:
        stored: Sequence[Message] = ()
        if agent is None:
            context = await self._load(record)
            agent = context.agent
            stored = [message for message in context.messages if message.step_id == record.step_id]
        record.has_sleeptime = agent.sleeptime is not None
        toolbox = await toolbox_of(agent, record.spec, self._tools)
        chosen = await self._chosen(record)
        if not toolbox.policy.in_order:
            return Turn(toolbox, chosen=chosen, stored=stored)
        if record.made is None:
            is_new = record.lease.attempt == 1 and not record.run.resumes_run_id
            record.made = [] if is_new else await calls_before(record.run, self._history, self._runs, toolbox.definitions)
        return Turn(toolbox, tuple(record.made), chosen, stored)

    async def _chosen(self, record: RunRecord) -> Collection[str]:
        """Return the tools of which the model must call one before anything else; none once it has."""
        if record.chosen is None:
            chosen = record.spec.tool_choice
            earlier = await self._history.of_run(record.run.id) if chosen and record.lease.attempt > 1 else ()
            record.chosen = () if made_in(earlier, chosen) else chosen
        return record.chosen

    @staticmethod
    async def _restart_step(record: RunRecord) -> None:
        """Begin a step again in which another attempt was cut off: the model is asked once more."""
        step_id, index = record.progress.step_id, record.progress.step_index
        void = tuple(record.progress.open_message_ids)
        await record.write(StepRestarted(step_id, record.lease.attempt, void), StepStarted(step_id, index, record.run.model))

    async def _step(self, record: RunRecord, run_span: Span) -> RunEnd | None:
        with self._tracing.step(record.run.id, record.progress.step_index):
            # Many runs wait for their models at once: each holds its request, which a retry needs, but not its context.
            question = await self._question(record)
            finish = await self._ask_within_window(record, question, run_span)
            cut = _CUT.get(finish.reason)
            if record.add_answer():
                end = await self._after_answer(record, question.turn)
                # What was cut can be the words of an agent that speaks by calls.
                return completed(cut) if cut and end == completed(StopReason.END_TURN) else end
            if cut:
                record.add_step_end()
                return completed(cut)
            fault = await self._answer_shape.fault(record, question.answer.text)
            return self._conclude(record, question.turn, StepCalls(step_id=record.step_id), fault)

    async def _question(self, record: RunRecord) -> _Question:
        """Build what this step asks, from a context that was compacted if it is too long."""
        begun = record.take_context()
        context = begun or await self._load(record)
        turn = await self._turn(record, context.agent)
        request = self._request(record, context, turn)
        if not begun or self._compactor.may_be_full(record, context, request):
            # Only the history knows what the provider has counted.
            context = await self._load(record) if begun else context
            if compacted := await self._compactor.relieve(record, context, request):
                context, request = await self._compacted(record, turn, compacted)
        return _Question(turn, request, self._open_answer(record, context, turn))

    async def _compaction(self, record: RunRecord) -> RunEnd:
        """Do the whole work of a COMPACTION run."""
        with self._tracing.step(record.run.id, record.progress.step_index):
            context = await self._load(record)
            request = self._request(record, context, await self._turn(record, context.agent))
            keep_none = record.spec.compaction is CompactionMode.ALL
            if compacted := await self._compactor.compact(record, context, request, keep_none=keep_none):
                record.add(compacted)
            record.add_step_end()
            return completed(StopReason.END_TURN)

    @staticmethod
    def _capture(record: RunRecord) -> RunEnd:
        """Do the whole work of a CAPTURE run: the assistant's message is stored together with the end of the run."""
        # Whoever looks after it looks at the agent: loaded for this alone, a long conversation would come with it.
        record.has_sleeptime = True
        messages = captured(record.run, record.spec, new_message_id, record.now())
        record.add(*(MessageCompleted(message) for message in messages))
        return completed(StopReason.END_TURN)

    async def _compacted(
        self, record: RunRecord, turn: Turn, compacted: ContextCompacted
    ) -> tuple[AgentContext, ModelRequest]:
        await record.write(compacted)
        context = await self._load(record)
        return context, self._request(record, context, turn)

    def _open_answer(self, record: RunRecord, context: AgentContext, turn: Turn) -> Answer:
        # The ids of calls that have left the context nobody has at hand: then all of the provider's may be taken.
        is_complete = not context.messages or context.messages[0].role is not Role.SUMMARY
        known_ids = {call.id for message in context.messages for call in message.tool_calls} if is_complete else None
        step_id, model = record.progress.step_id, record.run.model
        record.answer = answer = Answer(
            record.run.id, step_id, model, known_ids, admit=turn.admit, partial_json=self._speech(turn)
        )
        return answer

    def _speech(self, turn: Turn) -> PartialJson | None:
        return self._partial_json if turn.toolbox.kind is AgentKind.MEMGPT else None

    def _request(self, record: RunRecord, context: AgentContext, turn: Turn) -> ModelRequest:
        _, name = self._models.resolve(record.run.model)
        return model_request(context, record.spec, model=name, turn=turn)

    async def _ask_within_window(self, record: RunRecord, question: _Question, run_span: Span) -> ModelFinished:
        """Ask the model; as long as it finds the context too long, ask again with less of the conversation."""
        turn, request, answer = question
        for kept_share in KEPT_SHARES:
            try:
                return await self._ask(record, answer, request, run_span)
            except ContextWindowExceeded:
                context = await self._load(record)
                begun = record.progress.open_message_ids
                compacted = None if begun else await self._compactor.shrink(record, context, request, kept_share)
                if compacted is None:
                    raise
                _, request = await self._compacted(record, turn, compacted)
        return await self._ask(record, answer, request, run_span)

    async def _ask(self, record: RunRecord, answer: Answer, request: ModelRequest, run_span: Span) -> ModelFinished:
        model, _ = self._models.resolve(record.run.model)
        with self._tracing.model_call(record.run.model, request) as span:
            if headers := self._tracing.headers():
                request = replace(request, headers=headers)
            async with aclosing(model.stream(request)) as batches:
                async for batch in batches:
                    await self._take(record, answer, batch, (span, run_span))
            if answer.finish is None:
                raise InvalidModelOutput("The model's answer has no end.")
            record.answer_usage = answer.usage
            span.used(record.answer_usage)
            return answer.finish

    @staticmethod
    async def _take(record: RunRecord, answer: Answer, batch: Sequence[ModelChunk], spans: tuple[Span, ...]) -> None:
        events = answer.take(batch)
        if not events:
            return
        if record.progress.step_first_token_ns is None:
            for span in spans:
                span.first_token()
        if answer.finish:
            # What comes with the end of the answer is stored with the message, which comes next.
            record.add(*events)
        else:
            # One write at a time: what the model says meanwhile comes in one read, and so in one event.
            await record.write(*events)

    async def _after_answer(self, record: RunRecord, turn: Turn) -> RunEnd | None:
        """Run the calls that need no answer; then the run waits for the others, or goes on."""
        step = await self._tool_calls.run_all(record, turn)
        if (asked := record.progress.asked) is None:
            return self._conclude(record, turn, step)
        record.add_step_end()
        return interrupted(record.add_approval_request(asked, turn.toolbox.waits_for))

    @staticmethod
    def _conclude(record: RunRecord, turn: Turn, step: StepCalls, fault: str | None = None) -> RunEnd | None:
        """Close a step in which nothing waits for an answer; return the end of the run, if it is the last one.

        `fault`: what the answer lacks of the shape that was asked for.
        """
        settled = record.progress.phase is Phase.BETWEEN_STEPS
        if not settled and any(call.tool in turn.chosen for call in step.made):
            record.chosen = turn.chosen = ()
        # Words that came with the answers are to be answered, whatever the calls gave.
        end = None if settled and words_behind_answers(record.spec) else turn.go_on(record, step)
        if fault and end:
            end = repair(record, step.step_id, fault)
        if not settled:
            record.add_step_end()
        if record.made is not None:
            record.made += step.made
        return end
