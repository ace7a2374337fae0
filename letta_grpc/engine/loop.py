"""The agent loop: context → model → deltas → messages → tools → next step."""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace

from letta_grpc.domain.completions import FinishReason, ModelChunk, ModelFinished, ModelRequest
from letta_grpc.domain.errors import InvalidModelOutput
from letta_grpc.domain.events import StepRestarted, StepStarted
from letta_grpc.domain.ids import new_step_id
from letta_grpc.domain.runs import StopReason
from letta_grpc.domain.transitions import Phase
from letta_grpc.engine.answer import Answer
from letta_grpc.engine.contexts import model_request
from letta_grpc.engine.ends import RunEnd, completed, interrupted
from letta_grpc.engine.record import RunRecord
from letta_grpc.engine.tool_calls import ToolCalls
from letta_grpc.engine.toolbox import Toolbox, toolbox_of
from letta_grpc.ports.models import Models
from letta_grpc.ports.stores import AgentContext, HistoryStore
from letta_grpc.ports.tools import Tools
from letta_grpc.ports.tracing import Span, Tracing


class AgentLoop:
    """Works on runs until a rule ends them."""

    def __init__(self, *, history: HistoryStore, models: Models, tools: Tools, tracing: Tracing) -> None:
        self._history = history
        self._models = models
        self._tools = tools
        self._tool_calls = ToolCalls(tools, tracing)
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
            end = await self._step(record, None, span)
        return end

    async def _pick_up(self, record: RunRecord, span: Span) -> RunEnd | None:
        """Do what is left of whatever the run was at: a step, or the calls that it was started to settle."""
        progress = record.progress
        match progress.phase:
            case Phase.RUNNING_TOOLS:
                return await self._after_answer(record, await self._toolbox(record))
            case Phase.ASKING_MODEL:
                if record.lease.attempt > 1:
                    await self._restart_step(record)
                return await self._step(record, record.take_context(), span)
            case _ if progress.due:
                await self._tool_calls.run_all(record, await self._toolbox(record))
        return None

    async def _toolbox(self, record: RunRecord) -> Toolbox:
        context = await self._history.load(record.run.conversation_id)
        return await toolbox_of(context.agent, record.spec, self._tools)

    @staticmethod
    async def _restart_step(record: RunRecord) -> None:
        """Let a step that another attempt was cut in begin again: the model is asked once more."""
        step_id, index = record.progress.step_id, record.progress.step_index
        void = tuple(record.progress.open_message_ids)
        await record.write(StepRestarted(step_id, record.lease.attempt, void), StepStarted(step_id, index, record.run.model))

    async def _step(self, record: RunRecord, context: AgentContext | None, run_span: Span) -> RunEnd | None:
        with self._tracing.step(record.run.id, record.progress.step_index):
            context = context or await self._history.load(record.run.conversation_id)
            toolbox = await toolbox_of(context.agent, record.spec, self._tools)
            answer, request = self._open_answer(record, context, toolbox), self._request(record, context, toolbox)
            # Many runs wait for their models at once: each holds its request, which a retry needs, and no more.
            del context
            finish = await self._ask(record, answer, request, run_span)
            if record.add_answer():
                return await self._after_answer(record, toolbox)
            record.add_step_end()
            return completed(StopReason.MAX_TOKENS if finish.reason is FinishReason.LENGTH else StopReason.END_TURN)

    @staticmethod
    def _open_answer(record: RunRecord, context: AgentContext, toolbox: Toolbox) -> Answer:
        known_ids = (call.id for message in context.messages for call in message.tool_calls)
        step_id, model = record.progress.step_id, record.run.model
        record.answer = answer = Answer(record.run.id, step_id, model, known_ids, toolbox.waits_for)
        return answer

    def _request(self, record: RunRecord, context: AgentContext, toolbox: Toolbox) -> ModelRequest:
        _, name = self._models.resolve(record.run.model)
        return model_request(context, record.spec, model=name, toolbox=toolbox)

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

    async def _after_answer(self, record: RunRecord, toolbox: Toolbox) -> RunEnd | None:
        """Run the calls that need no answer; then the run waits for the others, or goes on."""
        progress = record.progress
        await self._tool_calls.run_all(record, toolbox)
        has_calls = any(message and message.tool_calls for message in (progress.assistant, progress.asked))
        record.add_step_end()
        if actions := record.add_approval_request(toolbox.waits_for):
            return interrupted(actions)
        return None if has_calls else completed(StopReason.END_TURN)
