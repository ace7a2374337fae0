import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from letta_grpc.ports.tracing import NoTracing, Tracing
from letta_grpc.telemetry import telemetry_from_env
from letta_grpc.telemetry.environment import Exporters, exporters_of
from letta_grpc.telemetry.providers import close_all
from letta_grpc.testing.tracing import TRACEPARENT
from tests.support.values import run

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"}
OFF: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


def output_of(program: str, environ: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run a program in a process of its own; it must end well."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=True)  # noqa: S603 - our own


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, OFF),
        ({"OTEL_SERVICE_NAME": "ada"}, OFF),
        (ENDPOINT, (("otlp_proto_grpc",), ("otlp_proto_grpc",))),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "True"}, OFF),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "no"}, (("otlp_proto_grpc",), ("otlp_proto_grpc",))),
        (ENDPOINT | {"OTEL_METRICS_EXPORTER": "none"}, (("otlp_proto_grpc",), ())),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": ""}, (("otlp_proto_grpc",), ("otlp_proto_grpc",))),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, (("otlp_proto_http",), ("otlp_proto_http",))),
        (
            ENDPOINT | {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"},
            (("otlp_proto_http",), ("otlp_proto_grpc",)),
        ),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4317"}, (("otlp_proto_grpc",), ())),
        ({"OTEL_TRACES_EXPORTER": "otlp, console"}, (("otlp_proto_grpc", "console"), ())),
        ({"OTEL_METRICS_EXPORTER": "prometheus"}, ((), ("prometheus",))),
    ],
)
def test_the_variables_say_where_telemetry_goes(
    environ: dict[str, str], expected: tuple[tuple[str, ...], tuple[str, ...]]
) -> None:
    traces, metrics = expected
    assert exporters_of(environ) == Exporters(traces=traces, metrics=metrics)


def test_without_variables_it_is_off_and_nothing_of_opentelemetry_is_imported() -> None:
    program = (
        "import sys; from letta_grpc.telemetry import telemetry_from_env; assert telemetry_from_env({}) is None; "
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    assert output_of(program, os.environ).stdout.strip() == "[]"


def test_console_goes_to_standard_error_since_scripts_read_standard_output() -> None:
    program = (
        "import os; from grpc import StatusCode; from letta_grpc.telemetry import telemetry_from_env; "
        "telemetry = telemetry_from_env(os.environ); "
        "telemetry.rpc.started('service/Method', {}).ended(StatusCode.OK, None); telemetry.shutdown()"
    )
    environ = os.environ | {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "console"}
    done = output_of(program, environ)
    assert done.stdout == ""
    assert '"name": "service/Method"' in done.stderr
    assert "rpc.server.call.duration" in done.stderr
    assert '"service.name": "letta-grpc"' in done.stderr


def test_an_exporter_that_is_not_installed_is_left_out_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    telemetry = telemetry_from_env({"OTEL_TRACES_EXPORTER": "carrier-pigeon"})
    assert telemetry
    telemetry.shutdown()
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.__dict__["exporter"] == "carrier-pigeon"


def test_without_the_extra_it_stays_off_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "letta_grpc.telemetry.providers", None)
    assert telemetry_from_env(ENDPOINT) is None
    assert "letta-grpc[otel] is not installed" in caplog.text


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_EXPORTER_OTLP_COMPRESSION": "bogus"},
        {"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"},
        {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "many"},
        # Of the metrics, which are set up when there are tracers already.
        {"OTEL_METRIC_EXPORT_INTERVAL": "-5"},
    ],
)
def test_a_server_starts_without_telemetry_where_the_variables_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, variables: dict[str, str]
) -> None:
    for name, value in (ENDPOINT | variables).items():
        monkeypatch.setenv(name, value)
    threads = set(threading.enumerate())
    assert telemetry_from_env(os.environ) is None
    assert "telemetry is off: the OTEL_ variables cannot be used" in caplog.text
    # What was set up before the variable was looked at does not go on.
    assert not [thread.name for thread in set(threading.enumerate()) - threads if thread.is_alive()]


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("tracecontext,baggage,b3", "tracecontext,baggage"),
        ("b3, tracecontext,", "tracecontext"),
        ("none", "none"),
        # As if it were not set.
        ("b3", ""),
    ],
)
def test_a_propagator_that_is_not_installed_is_left_out_with_or_without_telemetry(given: str, left: str) -> None:
    program = (
        "import os; from letta_grpc.telemetry import telemetry_from_env; telemetry_from_env(os.environ); "
        # As MCP's package does.
        "import opentelemetry.propagate; print(os.environ['OTEL_PROPAGATORS'])"
    )
    done = output_of(program, os.environ | {"OTEL_PROPAGATORS": given})
    assert done.stdout.strip() == left
    assert ("telemetry propagator" in done.stderr) is ("b3" in given)
    output_of(program, os.environ | {"OTEL_PROPAGATORS": given, "OTEL_TRACES_EXPORTER": "console"})


def test_with_metrics_alone_the_callers_trace_goes_through_unchanged() -> None:
    telemetry = telemetry_from_env({"OTEL_METRICS_EXPORTER": "carrier-pigeon"})
    assert telemetry
    assert telemetry.rpc
    assert telemetry.rpc.started("service/Method", {"traceparent": TRACEPARENT}).traceparent == TRACEPARENT
    with telemetry.tracing.run(run(), TRACEPARENT), telemetry.tracing.step(run().id, 0):
        assert telemetry.tracing.headers()["traceparent"] == TRACEPARENT


def test_no_tracing_costs_no_object() -> None:
    tracing: Tracing = NoTracing()
    assert tracing.step(run().id, 0) is tracing.step(run().id, 1)


def test_telemetry_that_nobody_takes_holds_nobody_up_for_long(caplog: pytest.LogCaptureFixture) -> None:
    never, closed = threading.Event(), threading.Event()

    def hang() -> None:
        never.wait(30)

    try:
        close_all([hang, closed.set], seconds=0.1)
    finally:
        never.set()
    assert closed.is_set()
    assert "is lost" in caplog.text


@dataclass
class Collector:
    """What has come by OTLP."""

    spans: list[str] = field(default_factory=list)
    metrics: set[str] = field(default_factory=set)
    services: set[str] = field(default_factory=set)


class TraceService(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def Export(  # noqa: N802 - the name that the protocol gives it
        self,
        request: trace_service_pb2.ExportTraceServiceRequest,
        context: grpc.ServicerContext,  # noqa: ARG002 - the shape of a servicer
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        for resource in request.resource_spans:
            attributes = resource.resource.attributes
            self._collector.services |= {a.value.string_value for a in attributes if a.key == "service.name"}
            self._collector.spans += [span.name for scope in resource.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()


class MetricsService(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def Export(  # noqa: N802 - the name that the protocol gives it
        self,
        request: metrics_service_pb2.ExportMetricsServiceRequest,
        context: grpc.ServicerContext,  # noqa: ARG002 - the shape of a servicer
    ) -> metrics_service_pb2.ExportMetricsServiceResponse:
        for resource in request.resource_metrics:
            self._collector.metrics |= {metric.name for scope in resource.scope_metrics for metric in scope.metrics}
        return metrics_service_pb2.ExportMetricsServiceResponse()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    found = Collector()
    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(TraceService(found), server)  # type: ignore[no-untyped-call]  # generated
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(MetricsService(found), server)  # type: ignore[no-untyped-call]  # generated
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    yield found
    server.stop(None).wait(5)


def test_an_endpoint_alone_sends_traces_and_metrics_there_at_the_latest_at_the_end(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "ada")
    telemetry = telemetry_from_env(os.environ)
    assert telemetry
    assert telemetry.rpc
    telemetry.rpc.started("service/Method", {}).ended(grpc.StatusCode.OK, None)
    with telemetry.tracing.run(run(), None):
        pass
    telemetry.shutdown()
    assert collector.spans == ["service/Method", "invoke_agent"]
    assert {"rpc.server.call.duration", "gen_ai.invoke_agent.duration"} <= collector.metrics
    assert collector.services == {"ada"}
