"""Telemetry into memory, and an engine that tells it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from letta_grpc.adapters.memory.database import MemoryDatabase
from letta_grpc.ports.tracing import Tracing
from letta_grpc.telemetry.interface import Telemetry
from letta_grpc.telemetry.providers import telemetry_over
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.transport.convert.codec import ProtoEventCodec
from tests.support.engine import DirectedModel, DirectedTools, Engine, Move, engine

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER_SPAN = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{CALLER_SPAN}-01"


class Collected:
    """What a telemetry has told, as an exporter would see it."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.telemetry: Telemetry = telemetry_over(tracers, meters)

    @property
    def spans(self) -> list[ReadableSpan]:
        """All spans that have ended, in the order of their beginning."""
        return sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def span(self, name: str) -> ReadableSpan:
        """The only span of this name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def all_metrics(self) -> object:
        """Everything that was measured."""
        return self._reader.get_metrics_data()

    def points(self, metric: str) -> list[HistogramDataPoint | NumberDataPoint]:
        """The data points of a metric; reading them out resets nothing."""
        data = self._reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for found in scope.metrics
            if found.name == metric
            for point in found.data.data_points
            if isinstance(point, HistogramDataPoint | NumberDataPoint)
        ]

    def measured(self, metric: str) -> list[Mapping[str, object]]:
        """The labels under which something was measured."""
        return [dict(point.attributes or {}) for point in self.points(metric)]


def attributes(span: ReadableSpan) -> dict[str, object]:
    """A span's attributes."""
    return dict(span.attributes or {})


def id_of(span: ReadableSpan) -> str:
    """A span's own id."""
    assert span.context
    return f"{span.context.span_id:016x}"


def trace_of(span: ReadableSpan) -> str:
    """The id of a span's trace."""
    assert span.context
    return f"{span.context.trace_id:032x}"


def parent_of(span: ReadableSpan) -> str | None:
    """The id of a span's parent."""
    return f"{span.parent.span_id:016x}" if span.parent else None


@dataclass(frozen=True, slots=True)
class Home:
    """What two engines that follow each other share."""

    clock: FakeClock
    database: MemoryDatabase


def home() -> Home:
    """An empty database."""
    clock = FakeClock()
    return Home(clock, MemoryDatabase(clock, ProtoEventCodec()))


@asynccontextmanager
async def traced_engine(
    tracing: Tracing, *turns: list[Move], at: Home | None = None, tools: DirectedTools | None = None
) -> AsyncIterator[Engine]:
    """Run an engine that tells this tracing, with these turns of the model's."""
    at = at or home()
    model = DirectedModel(list(turns))
    async with engine(database=at.database, clock=at.clock, model=model, tools=tools, tracing=tracing) as house:
        yield house
