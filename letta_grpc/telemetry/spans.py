"""A span that is open in the task that works on it, and the measures that go with it."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.metrics import Histogram, UpDownCounter

from letta_grpc.domain.errors import CancelRequested, LettaError
from letta_grpc.domain.usage import Usage
from letta_grpc.telemetry import names

Labels = Mapping[str, str]
_NOT_FAILURES = (asyncio.CancelledError, GeneratorExit, CancelRequested)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What to record of a span beside itself, all under the same labels.

    `first_token_spans`: where the time to the first token is a span of its own, inside; without a token there is none.
    """

    labels: Labels = field(default_factory=dict)
    duration: Histogram | None = None
    first_token: Histogram | None = None
    first_token_spans: trace.Tracer | None = None
    tokens: Histogram | None = None
    active: UpDownCounter | None = None


class OpenSpan:
    """One use of `with`. Exceptions go through; of them only the kind is told, never the text, which may quote people."""

    def __init__(self, span: trace.Span, measures: Measures) -> None:
        self._span = span
        self._measures = measures
        self._begin, self._begin_ns = time.perf_counter(), time.time_ns()
        self._waits_for_token = True
        self._error: str | None = None

    def __enter__(self) -> Self:
        self._token = otel_context.attach(trace.set_span_in_context(self._span))
        if self._measures.active:
            self._measures.active.add(1)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None, /) -> None:
        if isinstance(error, _NOT_FAILURES):
            self._span.set_attribute(names.CANCELLED, value=True)
        elif error:
            self.fail(error.reason if isinstance(error, LettaError) else type(error).__qualname__)
        measures, labels = self._measures, dict(self._measures.labels)
        if self._error:
            labels[names.ERROR_TYPE] = self._error
        if measures.duration:
            measures.duration.record(time.perf_counter() - self._begin, labels)
        if measures.active:
            measures.active.add(-1)
        otel_context.detach(self._token)
        self._span.end()

    def fail(self, reason: str) -> None:
        """Say that it went wrong; the first reason stays."""
        if self._error is None:
            self._error = reason
            self._span.set_attribute(names.ERROR_TYPE, reason)
            self._span.set_status(trace.StatusCode.ERROR)

    def first_token(self) -> None:
        """Say that the first token came now; later ones are not first."""
        if not self._waits_for_token:
            return
        self._waits_for_token = False
        seconds = time.perf_counter() - self._begin
        self._span.set_attribute(names.TIME_TO_FIRST_CHUNK, seconds)
        if self._measures.first_token:
            self._measures.first_token.record(seconds, self._measures.labels)
        if self._measures.first_token_spans:
            self._span_first_token(self._measures.first_token_spans, seconds)

    def _span_first_token(self, tracer: trace.Tracer, seconds: float) -> None:
        # Made when it ends: nothing is left open where no token comes.
        here = trace.set_span_in_context(self._span)
        span = tracer.start_span(names.FIRST_TOKEN_SPAN, here, attributes=self._measures.labels, start_time=self._begin_ns)
        end_ns = self._begin_ns + round(seconds * 1e9)
        span.add_event(names.FIRST_TOKEN_EVENT, {names.FIRST_TOKEN_MS: int(seconds * 1000)}, end_ns)
        span.end(end_ns)

    def used(self, usage: Usage) -> None:
        """Say what it cost; what the provider did not report is left out."""
        counts = {
            names.INPUT_TOKENS: usage.prompt_tokens,
            names.OUTPUT_TOKENS: usage.completion_tokens,
            names.CACHE_READ_TOKENS: usage.cached_input_tokens,
            names.CACHE_CREATION_TOKENS: usage.cache_write_tokens,
            names.REASONING_TOKENS: usage.reasoning_tokens,
        }
        self._span.set_attributes({name: count for name, count in counts.items() if count is not None})
        for kind, count in (("input", usage.prompt_tokens), ("output", usage.completion_tokens)):
            if self._measures.tokens and count is not None:
                self._measures.tokens.record(count, {**self._measures.labels, names.TOKEN_TYPE: kind})
