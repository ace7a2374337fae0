"""The engine's spans, by OpenTelemetry."""

from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.metrics import Meter
from opentelemetry.trace import SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from letta_grpc.domain.completions import ModelRequest
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.messages import ToolCall
from letta_grpc.domain.runs import Run
from letta_grpc.telemetry import names
from letta_grpc.telemetry.instruments import RunInstruments
from letta_grpc.telemetry.spans import Measures, OpenSpan

# What is stored with a run and sent to providers is W3C's, whatever OTEL_PROPAGATORS says.
_W3C = TraceContextTextMapPropagator()
Attributes = dict[str, str | int | float | bool]


class OpenTelemetryTracing:
    """Nests spans by the context of the task that opens them."""

    def __init__(self, tracer: Tracer, meter: Meter) -> None:
        self._tracer = tracer
        self._instruments = RunInstruments(meter)

    def run(self, run: Run, traceparent: str | None) -> OpenSpan:
        """Open the span of a run, in the trace of whoever started it: its task belongs to the supervisor, which has none."""
        parent = _W3C.extract({"traceparent": traceparent} if traceparent else {}, Context())
        provider, _, model = run.model.partition("/")
        labels = _model_labels(provider, model)
        attributes: Attributes = {
            names.OPERATION_NAME: "invoke_agent",
            names.AGENT_ID: run.agent_id,
            names.CONVERSATION_ID: run.conversation_id,
            names.RUN_ID: run.id,
            names.RUN_ATTEMPT: run.attempt,
            **labels,
        }
        instruments = self._instruments
        measures = Measures(
            labels=labels,
            duration=instruments.run_duration,
            first_token=instruments.run_first_token,
            first_token_spans=self._tracer,
            active=instruments.active_runs,
        )
        return OpenSpan(self._tracer.start_span("invoke_agent", parent, attributes=attributes), measures)

    def step(self, run_id: RunId, index: int) -> OpenSpan:
        """Open the span of one step."""
        attributes: Attributes = {names.RUN_ID: run_id, names.STEP_INDEX: index}
        return OpenSpan(self._tracer.start_span("step", attributes=attributes), Measures())

    def model_call(self, handle: str, request: ModelRequest) -> OpenSpan:
        """Open the span of one call of a model: what was asked for, but not what was said."""
        labels = {names.OPERATION_NAME: "chat", **_model_labels(handle.partition("/")[0], request.model)}
        span = self._tracer.start_span(
            f"chat {request.model}", kind=SpanKind.CLIENT, attributes={**labels, **_settings(request)}
        )
        instruments = self._instruments
        measures = Measures(
            labels=labels,
            duration=instruments.call_duration,
            first_token=instruments.call_first_chunk,
            tokens=instruments.tokens,
        )
        return OpenSpan(span, measures)

    def tool_call(self, call: ToolCall) -> OpenSpan:
        """Open the span of one execution of a tool, without its arguments."""
        labels = {names.OPERATION_NAME: "execute_tool", names.TOOL_NAME: call.name}
        attributes = {**labels, names.TOOL_CALL_ID: call.id, names.TOOL_TYPE: "function"}
        span = self._tracer.start_span(f"execute_tool {call.name}", attributes=attributes)
        return OpenSpan(span, Measures(labels=labels, duration=self._instruments.tool_duration))

    def headers(self) -> Mapping[str, str]:
        """Return the W3C trace context of the open span; nothing outside of any."""
        carrier: dict[str, str] = {}
        _W3C.inject(carrier)
        return carrier


def _model_labels(provider: str, model: str) -> dict[str, str]:
    return {names.PROVIDER_NAME: names.provider_name(provider), names.REQUEST_MODEL: model}


def _settings(request: ModelRequest) -> Attributes:
    settings: Attributes = {names.REQUEST_STREAM: True}
    if request.settings.temperature is not None:
        settings[names.REQUEST_TEMPERATURE] = request.settings.temperature
    if request.settings.max_output_tokens is not None:
        settings[names.REQUEST_MAX_TOKENS] = request.settings.max_output_tokens
    return settings
