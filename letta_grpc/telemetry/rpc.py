"""Spans and measures of calls."""

import time
from collections.abc import Mapping

from grpc import StatusCode
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.metrics import Meter
from opentelemetry.trace import SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from letta_grpc.telemetry import names
from letta_grpc.telemetry.instruments import RpcInstruments

_W3C = TraceContextTextMapPropagator()
# The server's own faults, as the conventions for gRPC count them; all other codes are about the caller.
_SERVER_FAULTS = frozenset(
    {
        StatusCode.UNKNOWN,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.UNIMPLEMENTED,
        StatusCode.INTERNAL,
        StatusCode.UNAVAILABLE,
        StatusCode.DATA_LOSS,
    }
)


class OpenTelemetryRpcs:
    """Observes the calls of a server, over a socket and in process alike."""

    def __init__(self, tracer: Tracer, meter: Meter) -> None:
        self._tracer = tracer
        self._instruments = RpcInstruments(meter)

    def started(self, method: str, metadata: Mapping[str, str]) -> "ObservedRpc":
        """Open the call's span under the caller's, by whatever OTEL_PROPAGATORS names."""
        parent = propagate.extract(metadata, Context())
        labels = {names.RPC_SYSTEM_NAME: "grpc", names.RPC_METHOD: method}
        span = self._tracer.start_span(method, parent, kind=SpanKind.SERVER, attributes=labels)
        return ObservedRpc(span, self._instruments, labels)


class ObservedRpc:
    """One call. Its span is never the current one of a task: a stream lives across too many of them."""

    def __init__(self, span: trace.Span, instruments: RpcInstruments, labels: Mapping[str, str]) -> None:
        self._span = span
        self._instruments = instruments
        self._labels = labels
        self._begin = time.perf_counter()
        self._events = 0
        instruments.active.add(1, labels)

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context of the call's span: the run that it starts hangs there."""
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, trace.set_span_in_context(self._span, Context()))
        return carrier.get("traceparent")

    def run(self, run_id: str) -> None:
        """Name the run that the call is about."""
        self._span.set_attribute(names.RUN_ID, run_id)

    def sent(self, events: int) -> None:
        """Count what went out; heartbeats carry none."""
        if not events:
            return
        if not self._events:
            seconds = time.perf_counter() - self._begin
            self._span.set_attribute(names.TIME_TO_FIRST_EVENT, seconds)
            self._instruments.first_event.record(seconds, self._labels)
        self._events += events
        self._instruments.events_sent.add(events, self._labels)

    def ended(self, code: StatusCode, reason: str | None) -> None:
        """Close the span with the code that the caller saw, or would have seen."""
        outcome = {names.RPC_STATUS_CODE: code.name}
        if code in _SERVER_FAULTS:
            outcome[names.ERROR_TYPE] = reason or code.name
            self._span.set_status(trace.StatusCode.ERROR)
        self._span.set_attributes({**outcome, names.EVENTS_SENT: self._events})
        if reason:
            self._span.set_attribute(names.ERROR_REASON, reason)
        self._instruments.duration.record(time.perf_counter() - self._begin, {**self._labels, **outcome})
        self._instruments.active.add(-1, self._labels)
        self._span.end()
