"""Making room in a context: older messages leave it, and a summary that the agent's own model writes stands in their place."""

import logging
from contextlib import aclosing
from dataclasses import replace

from letta_grpc.domain.agents import ModelSettings
from letta_grpc.domain.compaction import (
    FULL_SHARE,
    KEPT_SHARES,
    SUMMARIZER,
    Cut,
    cut,
    is_worthwhile,
    summary_by_model,
    summary_by_rule,
    summary_message,
    tokens_of,
    transcript,
)
from letta_grpc.domain.completions import ModelFinished, ModelRequest, TextChunk
from letta_grpc.domain.errors import ContextWindowExceeded, ModelFailure
from letta_grpc.domain.events import ContextCompacted
from letta_grpc.domain.ids import new_message_id
from letta_grpc.domain.messages import Message, Role, TextPart
from letta_grpc.engine.answer import MAX_ANSWER_CHARACTERS
from letta_grpc.engine.contexts import context_tokens, estimate_request_tokens, window_of
from letta_grpc.engine.record import RunRecord
from letta_grpc.ports.models import Models
from letta_grpc.ports.stores import AgentContext
from letta_grpc.ports.tracing import Tracing

logger = logging.getLogger(__name__)

# What the summariser is shown may fill these shares of the window: the next one if the provider finds it too long.
_CERTAINLY_FREE_SHARE = 0.25
_TRANSCRIPT_SHARES = (0.75, 0.3, 0.1)


class Compactor:
    """Decides what leaves a context, and has it summarised."""

    def __init__(self, models: Models, tracing: Tracing) -> None:
        self._models = models
        self._tracing = tracing

    def may_be_full(self, record: RunRecord, context: AgentContext, request: ModelRequest) -> bool:
        """Say whether the provider's count of tokens is needed to decide: an estimate is never wrong by a factor of four."""
        return estimate_request_tokens(request) > self._window(record, context) * _CERTAINLY_FREE_SHARE

    async def relieve(self, record: RunRecord, context: AgentContext, request: ModelRequest) -> ContextCompacted | None:
        """Return the compaction that this context needs before the model is asked, None where it needs none or none helps."""
        window, tokens = self._window(record, context), context_tokens(context, request)
        if tokens <= _room(window, request.settings):
            return None
        # The window as the estimate would have it that what leaves is measured by.
        estimated_window = min(1.0, estimate_request_tokens(request) / tokens) * window
        chosen = cut(context.messages, int(estimated_window * KEPT_SHARES[0]))
        if chosen is None or not is_worthwhile(chosen, estimated_window):
            return None
        return await self._carry_out(record, request, chosen, window)

    async def shrink(
        self, record: RunRecord, context: AgentContext, request: ModelRequest, kept_share: float
    ) -> ContextCompacted | None:
        """Return the compaction for a context that the provider found too long, None where nothing can leave it."""
        chosen = cut(context.messages, int(self._size(record, context) * kept_share))
        # Whatever the window was said to be: it is smaller than this.
        window = min(self._window(record, context), estimate_request_tokens(request))
        return await self._carry_out(record, request, chosen, window) if chosen else None

    async def compact(
        self, record: RunRecord, context: AgentContext, request: ModelRequest, *, keep_none: bool
    ) -> ContextCompacted | None:
        """Return the compaction that a caller asked for, whatever room there is; None where nothing can leave."""
        kept_tokens = 0 if keep_none else int(self._size(record, context) * KEPT_SHARES[0])
        chosen = cut(context.messages, kept_tokens, may_keep_none=keep_none)
        return await self._carry_out(record, request, chosen, self._window(record, context)) if chosen else None

    def _window(self, record: RunRecord, context: AgentContext) -> int:
        return window_of(context, record.run.model, self._models)

    def _size(self, record: RunRecord, context: AgentContext) -> int:
        """Return what the messages cost, as far as they fit: less has to be kept of them, whatever the window is."""
        return min(self._window(record, context), tokens_of(context.messages))

    async def _carry_out(self, record: RunRecord, request: ModelRequest, chosen: Cut, window: int) -> ContextCompacted:
        written = await self._summarize(record, request, chosen, window)
        content = summary_by_model(chosen, written, window) if written else summary_by_rule(chosen, window)
        summary = summary_message(
            content,
            id_=new_message_id(),
            run_id=record.run.id,
            model=record.run.model if written else None,
            time=record.now(),
        )
        before = estimate_request_tokens(request)
        left = tokens_of([*chosen.dropped, *([chosen.summary] if chosen.summary else [])])
        return ContextCompacted(
            summary=summary,
            kept_from=chosen.kept_from,
            dropped_messages=len(chosen.dropped),
            tokens_before=before,
            tokens_after=max(0, before - left) + tokens_of([summary]),
            by_model=bool(written),
        )

    async def _summarize(self, record: RunRecord, request: ModelRequest, chosen: Cut, window: int) -> str:
        """Return the summary that the model writes, empty if it writes none or fails: the run can go on without it."""
        for share in _TRANSCRIPT_SHARES:
            text = transcript(chosen, window, share)
            message = Message(
                id=new_message_id(), role=Role.USER, content=(TextPart(text),), run_id=record.run.id, create_time=record.now()
            )
            asked = ModelRequest(
                model=request.model,
                system=SUMMARIZER,
                messages=(message,),
                settings=replace(request.settings, parallel_tool_calls=None),
                timezone=request.timezone,
            )
            try:
                return await self._ask(record, asked)
            except ContextWindowExceeded:
                continue
            except ModelFailure as failure:
                logger.warning("no summary was written", extra={"run_id": record.run.id, "reason": failure.reason})
                return ""
        return ""

    async def _ask(self, record: RunRecord, request: ModelRequest) -> str:
        model, _ = self._models.resolve(record.run.model)
        texts: list[str] = []
        characters = 0
        with self._tracing.model_call(record.run.model, request) as span:
            traced = replace(request, headers=self._tracing.headers())
            async with aclosing(model.stream(traced)) as batches:
                async for batch in batches:
                    said = [chunk.text for chunk in batch if isinstance(chunk, TextChunk)]
                    texts += said
                    characters += sum(map(len, said))
                    if finish := next((chunk for chunk in batch if isinstance(chunk, ModelFinished)), None):
                        record.add_side_usage(finish.usage)
                        span.used(finish.usage)
                    if characters > MAX_ANSWER_CHARACTERS:
                        break
        return "".join(texts).strip()


def _room(window: int, settings: ModelSettings) -> int:
    """Return how much of the window a context may fill: a share of it, or less if the longest answer needs more room."""
    room, answer = int(window * FULL_SHARE), settings.max_output_tokens or 0
    return min(room, window - answer) if answer < window // 2 else room
