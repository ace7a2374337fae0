"""The bytes of an answer → chunks. No I/O: feed it what came, close it when nothing more comes."""

import json
import logging
from typing import Any

import orjson

from letta_grpc.adapters.openai.deltas import Batch
from letta_grpc.adapters.openai.failures import CallFailures
from letta_grpc.adapters.openai.likeness import texts_like
from letta_grpc.adapters.openai.no_answer import complaint_in
from letta_grpc.adapters.openai.reasoning import take_details
from letta_grpc.adapters.openai.sse import MAX_EVENT_BYTES, EventReader, EventTooLargeError
from letta_grpc.adapters.openai.tool_calls import ToolCalls
from letta_grpc.adapters.openai.usage import usage_of
from letta_grpc.domain.completions import FinishReason, ModelChunk, ModelFinished, ReasoningChunk, TextChunk
from letta_grpc.domain.errors import ModelFailure

logger = logging.getLogger(__name__)

_FINISH_REASONS = {
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
    "sensitive": FinishReason.CONTENT_FILTER,
}
# How many events in one read are worth a look at what they have in common.
_BURST = 8
# What vendors write there when it was not the model that stopped.
_FAILED_REASONS = frozenset({"error", "abort", "network_error", "insufficient_system_resource"})
# The number of the one answer that was asked for.
_FIRST = (0, None, "0", "")
# Some write the word in each chunk before the last.
_NO_REASONS = frozenset({None, "null", "None"})
# The fields of a shape that the protocol does not have end in one of these, and what is nested without end in the last.
_WRONG_SHAPE = (AttributeError, KeyError, TypeError, ValueError, RecursionError)


class StreamDecoder:
    """Decodes one answer, streamed or (from vendors that do not stream) whole.

    What came in one `feed` is one batch. A failure behind chunks is raised by `close`, so that no chunk is lost to it.
    """

    __slots__ = (
        "_batch",
        "_body",
        "_body_bytes",
        "_calls",
        "_events",
        "_failure",
        "_failures",
        "_has_answer",
        "_has_begun",
        "_has_told",
        "_reason",
        "_usage",
        "done",
    )

    def __init__(self, failures: CallFailures) -> None:
        self._failures = failures
        self._events = EventReader()
        self._batch = Batch()
        self._body: list[bytes] | None = None
        self._body_bytes = 0
        self._calls = ToolCalls()
        self._usage: Any = None
        self._reason: str | None = None
        self._failure: ModelFailure | None = None
        # Bytes that tell a stream from a whole body have come; a choice has come; chunks have been given.
        self._has_begun = False
        self._has_answer = False
        self._has_told = False
        # Nothing more is to be fed: the answer is complete or has failed.
        self.done = False

    @property
    def is_answered(self) -> bool:
        """Whether the model has stopped, though the vendor may have more to say."""
        return self._reason not in _NO_REASONS

    def feed(self, received: bytes) -> list[ModelChunk]:
        """Return the chunks in what came."""
        if self.done:
            return []
        if not self._has_begun:
            self._begin(received)
            if self.done:
                return []
        if self._body is not None:
            self._keep(received, self._body)
            return []
        batch = self._batch
        try:
            self._take_events(self._events.feed(received), batch)
        except EventTooLargeError:
            self._fail(self._failures.invalid("an event without an end"))
        except ModelFailure as failure:
            self._fail(failure)
        except _WRONG_SHAPE:
            logger.warning("a chunk has a shape that the protocol does not know", exc_info=True)
            self._fail(self._failures.invalid("a chunk of an unknown shape"))
        self._has_told = self._has_told or bool(batch)
        return batch.chunks(is_last=self.done)

    def close(self) -> list[ModelChunk]:
        """Return what was left when the bytes ended. Raises the failure that ended them, InvalidModelOutput for a cut."""
        if not self.done:
            try:
                self._take_rest(self._batch)
            except _WRONG_SHAPE as error:
                raise self._failures.invalid("an answer of an unknown shape") from error
        if self._failure is not None:
            raise self._failure
        return self._batch.chunks(is_last=True)

    def _fail(self, failure: ModelFailure) -> None:
        self._failure = failure
        self.done = True

    def _begin(self, received: bytes) -> None:
        """Tell an answer that is not streamed: no line of a stream begins like a JSON value."""
        start = received.lstrip()[:1]
        self._has_begun = bool(start)
        if start in (b"{", b"["):
            self._body = []
        elif start == b"<":
            self._fail(self._failures.invalid("a web page instead of an answer: is its base URL right?"))

    def _keep(self, received: bytes, body: list[bytes]) -> None:
        body.append(received)
        self._body_bytes += len(received)
        if self._body_bytes > MAX_EVENT_BYTES:
            self._fail(self._failures.invalid("an answer without an end"))

    def _take_rest(self, batch: Batch) -> None:
        if self._body is not None:
            self._take_event(b"".join(self._body), batch)
        else:
            for event in self._events.close():
                if _is_json(event) or event.strip() == b"[DONE]":
                    self._take_event(event, batch)
        if self.done:
            return
        # A whole body is complete by its nature.
        if self._reason is None and not (self._body is not None and self._has_answer):
            raise self._failures.cut()
        self._finish(batch)

    def _take_events(self, events: list[bytes], batch: Batch) -> None:
        if len(events) >= _BURST:
            # The second is the model of those behind it: the first may be the opening, which tells the role.
            self._take_each(events[:2], batch)
            texts = [] if self.done else list(texts_like(events[1], events[2:]))
            if text := "".join(texts):
                batch.words(TextChunk, text)
            events = events[2 + len(texts) :]
        self._take_each(events, batch)

    def _take_each(self, events: list[bytes], batch: Batch) -> None:
        for event in events:
            if self.done:
                return
            self._take_event(event, batch)

    def _take_event(self, event: bytes, batch: Batch) -> None:
        try:
            chunk = orjson.loads(event)
        except orjson.JSONDecodeError:
            text = event.strip()
            if text == b"[DONE]":
                self._finish(batch)
                return
            if not text:
                return
            chunk = self._loads_leniently(text)
            batch.has_lone_surrogates = True
        self._take(chunk, batch)

    def _loads_leniently(self, text: bytes) -> Any:  # noqa: ANN401 - a vendor's
        """Return what orjson refuses and vendors send: half of a surrogate pair, NaN."""
        try:
            return json.loads(text)
        except ValueError as error:
            # Not the bytes themselves: a proxy's error page may repeat the key.
            logger.warning("a chunk of %s bytes is not JSON: %s", len(text), error)
            raise self._failures.invalid("a chunk that is not JSON") from error

    def _take(self, chunk: Any, batch: Batch) -> None:  # noqa: ANN401 - a vendor's
        if chunk is None:
            return
        if chunk.get("error"):
            raise self._failures.in_answer(chunk["error"])
        if chunk.get("usage"):
            self._usage = chunk["usage"]
        choices = chunk.get("choices")
        if not choices:
            if complaint := complaint_in(chunk, is_whole=self._body is not None):
                raise self._failures.in_answer(complaint)
            return
        for choice in choices:
            if choice and choice.get("index") in _FIRST:
                self._take_choice(choice, batch)

    def _take_choice(self, choice: dict[str, Any], batch: Batch) -> None:
        self._has_answer = True
        if delta := choice.get("delta"):
            self._take_delta(delta, batch)
        # MiniMax closes a stream with the whole message once more.
        elif (message := choice.get("message")) and not (self._has_told or batch):
            self._take_delta(message, batch)
        reason = choice.get("finish_reason")
        if not reason:
            return
        if choice.get("usage"):
            self._usage = choice["usage"]
        if choice.get("error") or reason in _FAILED_REASONS:
            raise self._failures.in_answer(choice.get("error") or {"type": "server_error", "message": reason})
        self._reason = reason

    def _take_delta(self, delta: dict[str, Any], batch: Batch) -> None:
        get = delta.get
        content = get("content")
        if len(delta) == 1 and content.__class__ is str:
            # Nearly every chunk of nearly every vendor.
            if content:
                batch.words(TextChunk, content)
            return
        # OpenRouter says the same thing in two fields, vLLM during a change of spelling too: the one that says most counts.
        details = get("reasoning_details")
        reasoning = get("reasoning_content") or get("reasoning")
        if details and isinstance(details, list):
            take_details(details, batch)
        elif isinstance(reasoning, str) and reasoning:
            batch.words(ReasoningChunk, reasoning)
        if content:
            if isinstance(content, str):
                batch.words(TextChunk, content)
            else:
                _take_parts(content, batch)
        if get("refusal"):
            batch.words(TextChunk, str(delta["refusal"]))
        if get("tool_calls"):
            self._calls.take(delta["tool_calls"], batch)
        elif get("function_call"):
            self._calls.take_legacy(delta["function_call"], batch)

    def _finish(self, batch: Batch) -> None:
        if not self._has_answer:
            raise self._nothing()
        if not self._calls.are_named:
            raise self._failures.invalid("a tool call without a name")
        otherwise = FinishReason.TOOL_CALLS if self._calls else FinishReason.STOP
        reason = _FINISH_REASONS.get(self._reason or "", otherwise)
        batch.whole(ModelFinished(reason, usage_of(self._usage)))
        self.done = True

    def _nothing(self) -> ModelFailure:
        failure = self._failures.invalid("an empty answer")
        failure.retry_delay_seconds = 0.0
        return failure


def _take_parts(parts: list[dict[str, Any]], batch: Batch) -> None:
    """Take content that comes as a list of typed parts, as Mistral's reasoning models send it."""
    for part in parts:
        if part.get("type") == "thinking":
            batch.words(ReasoningChunk, "".join(piece.get("text") or "" for piece in part.get("thinking") or ()))
        elif part.get("text"):
            batch.words(TextChunk, str(part["text"]))


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True
