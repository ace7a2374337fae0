import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from letta_grpc.ports.tracing import NoTracing, Tracing
from letta_grpc.telemetry.providers import telemetry_over
from letta_grpc.testing.tracing import RecordingTracing, TracingContract


class TestNoTracing(TracingContract):
    has_context = False

    @pytest.fixture
    def tracing(self) -> Tracing:
        return NoTracing()


class TestRecordingTracing(TracingContract):
    @pytest.fixture
    def tracing(self) -> Tracing:
        return RecordingTracing()


class TestOpenTelemetryTracing(TracingContract):
    @pytest.fixture
    def tracing(self) -> Tracing:
        return telemetry_over(TracerProvider(), NoOpMeterProvider()).tracing


class TestOpenTelemetryTracingThatIsSampledOut(TracingContract):
    @pytest.fixture
    def tracing(self) -> Tracing:
        return telemetry_over(TracerProvider(sampler=ALWAYS_OFF), NoOpMeterProvider()).tracing
