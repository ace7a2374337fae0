import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import grpc
import pytest
from opentelemetry.sdk.metrics.export import HistogramDataPoint, NumberDataPoint
from opentelemetry.trace import SpanKind, StatusCode

from letta_grpc.domain.errors import RunNotFound
from letta_grpc.transport.calls import Calls
from letta_grpc.transport.methods import Call, Response, StreamMethod, UnaryMethod
from letta_grpc.transport.observers import RpcObserver
from letta_grpc.v1 import run_service_pb2 as pb
from letta_grpc.v1.run_service_pb2_grpc import RunServiceStub
from tests.support.traced import CALLER_SPAN, TRACE_ID, TRACEPARENT, Collected, attributes, id_of, parent_of, trace_of
from tests.support.wires import ATTACH_RUN, GET_RUN, WAYS, Way, channel_to

RUN_ID = "run-00000000-0000-4000-8000-000000000001"
METADATA = (("traceparent", TRACEPARENT),)


@pytest.fixture(autouse=True)
async def bounded() -> AsyncIterator[None]:
    async with asyncio.timeout(10):
        yield


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    found: Way = request.param
    return found


class Handlers:
    """GetRun and AttachRun of this test's own."""

    def __init__(self) -> None:
        self.traceparents: list[str | None] = []
        self.quiet = asyncio.Event()
        self.left = asyncio.Event()

    async def get(self, request: pb.GetRunRequest, call: Call) -> pb.GetRunResponse:
        self.traceparents.append(call.traceparent)
        if request.run_id == "missing":
            raise RunNotFound(run_id=request.run_id)
        if request.run_id == "broken":
            raise RuntimeError("secret")
        return pb.GetRunResponse()

    async def attach(self, request: pb.AttachRunRequest, call: Call) -> AsyncGenerator[Response, None]:
        await call.announce(RUN_ID)
        for events in (0, 2, 3):
            yield Response(pb.AttachRunResponse().SerializeToString(), events)
        if request.run_id == "live":
            self.quiet.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.left.set()


def calls(handlers: Handlers, collected: Collected) -> Calls:
    assert collected.telemetry.rpc
    observer: RpcObserver = collected.telemetry.rpc
    methods: dict[str, UnaryMethod | StreamMethod] = {
        GET_RUN: UnaryMethod(name=GET_RUN, request=pb.GetRunRequest, answer=handlers.get),
        ATTACH_RUN: StreamMethod(name=ATTACH_RUN, request=pb.AttachRunRequest, answer=handlers.attach),
    }
    return Calls(methods, observer=observer)


def value(collected: Collected, metric: str) -> int | float:
    (point,) = collected.points(metric)
    assert isinstance(point, NumberDataPoint)
    return point.value


async def test_a_call_is_a_span_under_the_callers_and_its_run_hangs_on_it(way: Way) -> None:
    handlers, collected = Handlers(), Collected()
    async with channel_to(calls(handlers, collected), way) as channel:
        await RunServiceStub(channel).GetRun(pb.GetRunRequest(run_id=RUN_ID), metadata=METADATA)
    (span,) = collected.spans
    assert (span.name, span.kind, span.status.status_code) == (GET_RUN, SpanKind.SERVER, StatusCode.UNSET)
    assert (trace_of(span), parent_of(span)) == (TRACE_ID, CALLER_SPAN)
    assert handlers.traceparents == [f"00-{TRACE_ID}-{id_of(span)}-01"]
    assert attributes(span) == {
        "rpc.system.name": "grpc",
        "rpc.method": GET_RUN,
        "rpc.response.status_code": "OK",
        "letta_grpc.rpc.events_sent": 0,
    }
    assert collected.measured("rpc.server.call.duration") == [
        {"rpc.system.name": "grpc", "rpc.method": GET_RUN, "rpc.response.status_code": "OK"}
    ]


async def test_a_call_without_a_trace_begins_one(way: Way) -> None:
    collected = Collected()
    async with channel_to(calls(Handlers(), collected), way) as channel:
        await RunServiceStub(channel).GetRun(pb.GetRunRequest(run_id=RUN_ID), metadata=(("traceparent", "nonsense"),))
    (span,) = collected.spans
    assert span.parent is None


async def test_a_stream_tells_its_run_and_the_events_that_went_out(way: Way) -> None:
    collected = Collected()
    async with channel_to(calls(Handlers(), collected), way) as channel:
        responses = [r async for r in RunServiceStub(channel).AttachRun(pb.AttachRunRequest(run_id=RUN_ID))]
    assert len(responses) == 3
    (span,) = collected.spans
    told = attributes(span)
    assert (told["letta_grpc.run.id"], told["letta_grpc.rpc.events_sent"]) == (RUN_ID, 5)
    assert isinstance(told["letta_grpc.rpc.time_to_first_event"], float)
    assert value(collected, "letta_grpc.rpc.events_sent") == 5
    (first,) = collected.points("letta_grpc.rpc.time_to_first_event")
    assert isinstance(first, HistogramDataPoint)
    assert first.count == 1


async def test_a_client_that_leaves_ends_its_call_as_cancelled_which_is_no_failure(way: Way) -> None:
    handlers, collected = Handlers(), Collected()
    serving = calls(handlers, collected)
    async with channel_to(serving, way) as channel:
        stream = RunServiceStub(channel).AttachRun(pb.AttachRunRequest(run_id="live"))
        await handlers.quiet.wait()
        assert value(collected, "letta_grpc.rpc.active") == 1
        assert collected.spans == []
        stream.cancel()
        await handlers.left.wait()
        await serving.settled()
    (span,) = collected.spans
    assert attributes(span)["rpc.response.status_code"] == "CANCELLED"
    assert "error.type" not in attributes(span)
    assert span.status.status_code is StatusCode.UNSET
    assert value(collected, "letta_grpc.rpc.active") == 0


async def test_a_deadline_that_passes_is_a_failure() -> None:
    # In process alone: grpc.aio crashes now and then when a server stops right after a call's deadline has passed.
    handlers, collected = Handlers(), Collected()
    serving = calls(handlers, collected)
    async with channel_to(serving, "local") as channel:
        stream = RunServiceStub(channel).AttachRun(pb.AttachRunRequest(run_id="live"), timeout=0.5)
        await handlers.quiet.wait()
        with pytest.raises(grpc.aio.AioRpcError):
            async for _ in stream:
                pass
        await serving.settled()
    (span,) = collected.spans
    assert attributes(span)["error.type"] == attributes(span)["rpc.response.status_code"] == "DEADLINE_EXCEEDED"


async def test_a_callers_mistake_has_its_reason_and_is_no_failure_of_the_server(way: Way) -> None:
    collected = Collected()
    async with channel_to(calls(Handlers(), collected), way) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await RunServiceStub(channel).GetRun(pb.GetRunRequest(run_id="missing"))
    (span,) = collected.spans
    told = attributes(span)
    assert (told["rpc.response.status_code"], told["letta_grpc.error.reason"]) == ("NOT_FOUND", "RUN_NOT_FOUND")
    assert "error.type" not in told
    assert span.status.status_code is StatusCode.UNSET


async def test_an_unexpected_exception_is_a_failure_whose_text_is_not_told(way: Way) -> None:
    collected = Collected()
    async with channel_to(calls(Handlers(), collected), way) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await RunServiceStub(channel).GetRun(pb.GetRunRequest(run_id="broken"))
    (span,) = collected.spans
    assert attributes(span)["error.type"] == "INTERNAL"
    assert span.status.status_code is StatusCode.ERROR
    assert "secret" not in span.to_json()
    (measured,) = collected.measured("rpc.server.call.duration")
    assert (measured["rpc.response.status_code"], measured["error.type"]) == ("INTERNAL", "INTERNAL")
