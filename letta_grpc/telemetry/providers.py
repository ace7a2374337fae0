"""The SDK, set up by its own variables. Needs the `[otel]` extra."""

import logging
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points, version
from typing import Any

from opentelemetry.metrics import MeterProvider, NoOpMeterProvider
from opentelemetry.sdk import metrics as sdk_metrics
from opentelemetry.sdk import trace as sdk_trace
from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NoOpTracerProvider, TracerProvider

from letta_grpc.telemetry.environment import Exporters, Telemetry
from letta_grpc.telemetry.rpc import OpenTelemetryRpcs
from letta_grpc.telemetry.tracing import OpenTelemetryTracing

logger = logging.getLogger(__name__)

_SCOPE = "letta_grpc"


def started_telemetry(exporters: Exporters) -> Telemetry:
    """Set up providers of our own, not the process's global ones: who embeds the server keeps his."""
    resource = _resource()
    closers: list[Callable[[], None]] = []
    # Without exporters no span of ours may stand in the caller's trace: the no-op tracer hands his context on unchanged.
    tracers: TracerProvider = NoOpTracerProvider()
    meters: MeterProvider = NoOpMeterProvider()
    if spans := list(_load("opentelemetry_traces_exporter", exporters.traces)):
        tracers = sdk_tracers = sdk_trace.TracerProvider(resource=resource, shutdown_on_exit=False)
        for exporter in spans:
            sdk_tracers.add_span_processor(BatchSpanProcessor(exporter))
        closers.append(sdk_tracers.shutdown)
    if readers := [_reader(exporter) for exporter in _load("opentelemetry_metrics_exporter", exporters.metrics)]:
        meters = sdk_meters = sdk_metrics.MeterProvider(readers, resource, shutdown_on_exit=False)
        closers.append(sdk_meters.shutdown)

    def shutdown() -> None:
        for close in closers:
            close()

    return telemetry_over(tracers, meters, shutdown)


def telemetry_over(tracers: TracerProvider, meters: MeterProvider, shutdown: Callable[[], None] = lambda: None) -> Telemetry:
    """Return telemetry that goes to these providers."""
    tracer = tracers.get_tracer(_SCOPE, version("letta-grpc"))
    meter = meters.get_meter(_SCOPE, version("letta-grpc"))
    return Telemetry(tracing=OpenTelemetryTracing(tracer, meter), rpc=OpenTelemetryRpcs(tracer, meter), shutdown=shutdown)


def _reader(exporter: MetricReader | MetricExporter) -> MetricReader:
    return exporter if isinstance(exporter, MetricReader) else PeriodicExportingMetricReader(exporter)


def _resource() -> Resource:
    resource = Resource.create()
    own = {SERVICE_VERSION: version("letta-grpc")}
    # The SDK's word for "nobody has said".
    if str(resource.attributes.get(SERVICE_NAME)).startswith("unknown_service"):
        own[SERVICE_NAME] = "letta-grpc"
    return Resource({**own, **{k: v for k, v in resource.attributes.items() if k not in own}})


def _load(group: str, names: tuple[str, ...]) -> Iterator[Any]:
    for name in names:
        found = next(iter(entry_points(group=group, name=name)), None)
        if found is None:
            logger.warning("no package offers this telemetry exporter: it is left out", extra={"exporter": name})
        elif name == "console":
            # Standard output is for what scripts read.
            yield found.load()(out=sys.stderr)
        else:
            yield found.load()()
