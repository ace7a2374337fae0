"""The SDK, set up by its own variables. Needs the `[otel]` extra."""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import entry_points, version
from threading import Thread
from typing import Any

from opentelemetry.metrics import MeterProvider, NoOpMeterProvider
from opentelemetry.sdk import metrics as sdk_metrics
from opentelemetry.sdk import trace as sdk_trace
from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NoOpTracerProvider, TracerProvider

from letta_grpc.telemetry.interface import Telemetry
from letta_grpc.telemetry.rpc import OpenTelemetryRpcs
from letta_grpc.telemetry.tracing import OpenTelemetryTracing

logger = logging.getLogger(__name__)

_SCOPE = "letta_grpc"
_SHUTDOWN_SECONDS = 5


def started_telemetry(trace_exporters: Sequence[str], metric_exporters: Sequence[str]) -> Telemetry:
    """Set up providers of our own, not the process's global ones: who embeds the server keeps his.

    Raises what the SDK raises, of many kinds, where a variable has a value that it cannot use.
    """
    closers: list[Callable[[], None]] = []
    try:
        return _started(trace_exporters, metric_exporters, closers)
    except BaseException:
        close_all(closers, _SHUTDOWN_SECONDS)
        raise


def _started(trace_exporters: Sequence[str], metric_exporters: Sequence[str], closers: list[Callable[[], None]]) -> Telemetry:
    resource = _resource()
    # Without exporters no span of ours may stand in the caller's trace: the no-op tracer hands his context on unchanged.
    tracers: TracerProvider = NoOpTracerProvider()
    meters: MeterProvider = NoOpMeterProvider()
    if spans := list(_load("opentelemetry_traces_exporter", trace_exporters)):
        tracers = sdk_tracers = sdk_trace.TracerProvider(resource=resource, shutdown_on_exit=False)
        for exporter in spans:
            sdk_tracers.add_span_processor(BatchSpanProcessor(exporter))
        closers.append(sdk_tracers.shutdown)
    if readers := [_reader(exporter) for exporter in _load("opentelemetry_metrics_exporter", metric_exporters)]:
        meters = sdk_meters = sdk_metrics.MeterProvider(readers, resource, shutdown_on_exit=False)
        closers.append(sdk_meters.shutdown)

    return telemetry_over(tracers, meters, lambda: close_all(closers, _SHUTDOWN_SECONDS))


def telemetry_over(tracers: TracerProvider, meters: MeterProvider, shutdown: Callable[[], None] = lambda: None) -> Telemetry:
    """Return telemetry that goes to these providers."""
    tracer = tracers.get_tracer(_SCOPE, version("letta-grpc"))
    meter = meters.get_meter(_SCOPE, version("letta-grpc"))
    return Telemetry(tracing=OpenTelemetryTracing(tracer, meter), rpc=OpenTelemetryRpcs(tracer, meter), shutdown=shutdown)


def close_all(closers: Sequence[Callable[[], None]], seconds: float) -> None:
    """Send what waits, for `seconds` at most: to a collector that is gone the SDK would go on for 10 s per signal."""
    # Threads, since the SDK gives no way to end a `shutdown` that has begun.
    threads = [Thread(target=close, daemon=True) for close in closers]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
    if any(thread.is_alive() for thread in threads):
        logger.warning("telemetry that nobody took is lost")


def _reader(exporter: MetricReader | MetricExporter) -> MetricReader:
    return exporter if isinstance(exporter, MetricReader) else PeriodicExportingMetricReader(exporter)


def _resource() -> Resource:
    attributes = dict(Resource.create().attributes)
    attributes.setdefault(SERVICE_VERSION, version("letta-grpc"))
    # The SDK's word for "nobody has said".
    if str(attributes.get(SERVICE_NAME)).startswith("unknown_service"):
        attributes[SERVICE_NAME] = "letta-grpc"
    return Resource(attributes)


def _load(group: str, names: Sequence[str]) -> Iterator[Any]:
    for name in names:
        found = next(iter(entry_points(group=group, name=name)), None)
        if found is None:
            logger.warning("no package offers this telemetry exporter: it is left out", extra={"exporter": name})
        elif name == "console":
            # Standard output is for what scripts read.
            yield found.load()(out=sys.stderr)
        else:
            yield found.load()()
