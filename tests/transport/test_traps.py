"""What grpc.aio punishes silently: each of these tests shows one trap that the server does not fall into."""

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import grpc
import pytest

from letta_grpc.transport.calls import Limits
from letta_grpc.transport.exchange import Exchange
from letta_grpc.transport.handlers import generic_handlers
from letta_grpc.transport.methods import Call, Response, StreamMethod, UnaryMethod
from letta_grpc.transport.server import Server, ServerOptions
from letta_grpc.v1 import run_service_pb2 as pb
from letta_grpc.v1.run_service_pb2_grpc import RunServiceStub
from tests.requirements.registry import requirement
from tests.support.wires import (
    ATTACH_RUN,
    GET_RUN,
    Watched,
    Way,
    call_raw,
    channel_to,
    failure_of,
    info_of,
    lone_calls,
    serving,
)

ONE = Response(pb.AttachRunResponse(run_id="run").SerializeToString(), 1)
LARGE = Response(pb.AttachRunResponse(run_id="x" * 500_000).SerializeToString(), 1)
pytestmark = pytest.mark.timeout(20)


class Endless:
    """A stream that says one thing and waits, or floods; tells in which task it was closed."""

    def __init__(self, *, flood: bool = False) -> None:
        self.flood = flood
        self.closed = asyncio.Event()
        self.began = self.ended = ""

    async def __call__(self, _request: pb.AttachRunRequest, _call: Call) -> AsyncGenerator[Response, None]:
        self.began = _task_name()
        try:
            yield ONE
            while self.flood:
                yield LARGE
            await asyncio.Event().wait()
        finally:
            self.ended = _task_name()
            self.closed.set()


def _task_name() -> str:
    task = asyncio.current_task()
    assert task is not None
    return task.get_name()


async def cancelled_elsewhere() -> None:
    async with asyncio.TaskGroup() as group:
        sleeper = group.create_task(asyncio.Event().wait())
        await asyncio.sleep(0)
        sleeper.cancel()
    await sleeper


# 1


async def test_a_cancellation_that_leaks_from_inside_a_unary_call_is_told_as_a_status(way: Way) -> None:
    async def get(_request: pb.GetRunRequest, _call: Call) -> pb.GetRunResponse:
        await cancelled_elsewhere()
        return pb.GetRunResponse()

    async with channel_to(lone_calls(unary=get), way) as channel:
        error = await failure_of(RunServiceStub(channel).GetRun(pb.GetRunRequest()))
    assert info_of(error)[:2] == (grpc.StatusCode.INTERNAL, "INTERNAL")


async def test_a_cancellation_that_leaks_from_inside_a_stream_is_told_as_a_status(way: Way) -> None:
    async def attach(_request: pb.AttachRunRequest, _call: Call) -> AsyncGenerator[Response, None]:
        yield ONE
        await cancelled_elsewhere()

    async with channel_to(lone_calls(stream=attach), way) as channel:
        error = await failure_of(RunServiceStub(channel).AttachRun(pb.AttachRunRequest()))
    assert info_of(error)[:2] == (grpc.StatusCode.INTERNAL, "INTERNAL")


async def test_a_cancellation_that_leaks_while_the_server_stops_sends_the_reader_elsewhere(way: Way) -> None:
    gate = asyncio.Event()

    async def attach(_request: pb.AttachRunRequest, _call: Call) -> AsyncGenerator[Response, None]:
        yield ONE
        await gate.wait()
        await cancelled_elsewhere()

    calls = lone_calls(stream=attach)
    async with channel_to(calls, way) as channel:
        call = RunServiceStub(channel).AttachRun(pb.AttachRunRequest())
        await call.read()
        calls.drain()
        gate.set()
        error = await failure_of(call)
    assert info_of(error)[:2] == (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")


# 2


@requirement("defect_left_stream")
@pytest.mark.parametrize("flood", [False, True], ids=["while it waits", "while it writes"])
async def test_a_stream_that_its_client_leaves_is_closed_at_once_in_its_own_task(way: Way, flood: bool) -> None:  # noqa: FBT001
    stream, watched = Endless(flood=flood), Watched()
    async with channel_to(lone_calls(stream=stream, observer=watched), way) as channel:
        call = RunServiceStub(channel).AttachRun(pb.AttachRunRequest())
        await call.read()
        call.cancel()
        await stream.closed.wait()
        await watched.until_ended()
    assert stream.began == stream.ended
    assert watched.ends == [(grpc.StatusCode.CANCELLED, None)]


@requirement("defect_left_stream")
async def test_a_writer_that_is_held_up_by_its_reader_leaves_no_traceback_when_the_client_goes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stream, watched = Endless(flood=True), Watched()
    async with (
        serving(lone_calls(stream=stream, observer=watched)) as (_, address),
        grpc.aio.insecure_channel(address, [("grpc.http2.bdp_probe", 0)]) as channel,
    ):
        call = RunServiceStub(channel).AttachRun(pb.AttachRunRequest())
        await call.read()
        await _stands_still(watched)
        call.cancel()
        await stream.closed.wait()
        await watched.until_ended()
    assert watched.ends == [(grpc.StatusCode.CANCELLED, None)]
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


async def _stands_still(watched: Watched) -> None:
    """Return once nothing was sent for a while: the writer waits for its reader."""
    before = -1
    while watched.events != before:
        before = watched.events
        # Real time on purpose: that something does not happen shows in no other way.
        await asyncio.sleep(0.2)


async def test_a_stream_whose_deadline_comes_is_closed(way: Way) -> None:
    stream, watched = Endless(), Watched()
    async with channel_to(lone_calls(stream=stream, observer=watched), way) as channel:
        error = await failure_of(RunServiceStub(channel).AttachRun(pb.AttachRunRequest(), timeout=0.2))
        await stream.closed.wait()
        await watched.until_ended()
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert watched.ends == [(grpc.StatusCode.DEADLINE_EXCEEDED, None)]


# 3


@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_the_cancellation_of_a_call_goes_on_upwards(kind: str) -> None:
    reached = asyncio.Event()

    async def get(_request: pb.GetRunRequest, _call: Call) -> pb.GetRunResponse:
        reached.set()
        await asyncio.Event().wait()
        return pb.GetRunResponse()

    async def attach(_request: pb.AttachRunRequest, _call: Call) -> AsyncGenerator[Response, None]:
        reached.set()
        await asyncio.Event().wait()
        yield ONE

    calls, wire = lone_calls(unary=get, stream=attach), Exchange((), None)
    unary, stream = calls.methods[GET_RUN], calls.methods[ATTACH_RUN]
    assert isinstance(unary, UnaryMethod)
    assert isinstance(stream, StreamMethod)
    async with asyncio.TaskGroup() as group:
        work = calls.unary(unary, b"", wire) if kind == "unary" else calls.stream(stream, b"", wire)
        task = group.create_task(work)
        await reached.wait()
        task.cancel()
    assert task.cancelled()
    # No status was sent on the dead call either: grpc would leak it.
    assert wire.code is None
    assert calls.live == 0


# 4


async def test_an_observer_learns_that_a_call_was_cancelled_and_not_that_it_went_well(way: Way) -> None:
    reached, watched = asyncio.Event(), Watched()

    async def get(_request: pb.GetRunRequest, _call: Call) -> pb.GetRunResponse:
        reached.set()
        await asyncio.Event().wait()
        return pb.GetRunResponse()

    async with channel_to(lone_calls(unary=get, observer=watched), way) as channel:
        call = RunServiceStub(channel).GetRun(pb.GetRunRequest())
        async with asyncio.TaskGroup() as group:
            waiter = group.create_task(_answer_of(call))
            await reached.wait()
            call.cancel()
        await watched.until_ended()
    assert waiter.result() == "cancelled"
    assert watched.ends == [(grpc.StatusCode.CANCELLED, None)]


async def _answer_of(call: Any) -> str:  # noqa: ANN401 - a call of either channel
    try:
        await call
    except asyncio.CancelledError:
        return "cancelled"
    return "answered"


# 5


def test_every_handler_is_what_grpc_takes_for_an_asynchronous_one() -> None:
    calls = lone_calls(unary=_get_nothing, stream=Endless())
    details: Any = type("Details", (), {"invocation_metadata": ()})
    (service,) = generic_handlers(calls)
    for name, kind in ((GET_RUN, "unary_unary"), (ATTACH_RUN, "unary_stream")):
        details.method = f"/{name}"
        assert inspect.iscoroutinefunction(getattr(service.service(details), kind))


async def _get_nothing(_request: pb.GetRunRequest, _call: Call) -> pb.GetRunResponse:
    return pb.GetRunResponse()


class Counting(grpc.aio.ServerInterceptor):
    def __init__(self) -> None:
        self.methods: list[str] = []

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], handler_call_details: grpc.HandlerCallDetails
    ) -> Any:  # noqa: ANN401 - a handler
        self.methods.append(handler_call_details.method)
        return await continuation(handler_call_details)


async def test_streams_pass_through_interceptors() -> None:
    async def attach(_request: pb.AttachRunRequest, _call: Call) -> AsyncGenerator[Response, None]:
        yield ONE
        yield ONE

    counting = Counting()
    server = Server(lone_calls(stream=attach), ServerOptions(listen=("127.0.0.1:0",)), [counting])
    (address,) = server.bind()
    await server.start()
    async with grpc.aio.insecure_channel(address) as channel:
        responses = [response.run_id async for response in RunServiceStub(channel).AttachRun(pb.AttachRunRequest())]
    await server.stop(0)
    assert (responses, counting.methods) == (["run", "run"], [f"/{ATTACH_RUN}"])


# 6


async def test_nothing_of_an_unexpected_exception_reaches_the_client_and_all_of_it_the_log(
    way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    async def get(_request: pb.GetRunRequest, _call: Call) -> pb.GetRunResponse:
        raise RuntimeError("password=hunter2")

    async with channel_to(lone_calls(unary=get), way) as channel:
        error = await failure_of(RunServiceStub(channel).GetRun(pb.GetRunRequest()))
    code, reason, metadata = info_of(error)
    assert (code, reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "hunter2" not in f"{error.details()}{error.trailing_metadata()}{error.debug_error_string()}"
    (record,) = [record for record in caplog.records if record.name == "letta_grpc.transport.calls"]
    assert "hunter2" in str(record.exc_info)
    assert vars(record)["error_id"] == metadata["error_id"]


# 7


async def test_a_server_that_has_stopped_has_no_handler_left_at_work() -> None:
    gate, cleaning, cleaned = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def attach(_request: pb.AttachRunRequest, _call: Call) -> AsyncGenerator[Response, None]:
        try:
            yield ONE
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await gate.wait()
            cleaned.set()

    calls = lone_calls(stream=attach)
    async with serving(calls) as (server, address), grpc.aio.insecure_channel(address) as channel:
        call = RunServiceStub(channel).AttachRun(pb.AttachRunRequest())
        await call.read()
        async with asyncio.TaskGroup() as group:
            stopping = group.create_task(server.stop(0))
            await cleaning.wait()
            # Nothing of the server's is in the way of its stop any more, except the handler.
            for _ in range(1000):
                await asyncio.sleep(0)
            assert not stopping.done()
            gate.set()
        assert (cleaned.is_set(), calls.live) == (True, 0)
        error = await failure_of(call)
    assert error.code() is grpc.StatusCode.UNAVAILABLE


# 8


async def test_one_stream_too_many_is_refused_and_other_calls_are_not(way: Way) -> None:
    watched = Watched()
    calls = lone_calls(unary=_get_nothing, stream=Endless(), limits=Limits(max_run_streams=2), observer=watched)
    async with channel_to(calls, way) as channel:
        stub = RunServiceStub(channel)
        open_calls = [stub.AttachRun(pb.AttachRunRequest()) for _ in range(2)]
        for call in open_calls:
            await call.read()
        error = await failure_of(stub.AttachRun(pb.AttachRunRequest()))
        await stub.GetRun(pb.GetRunRequest())
        assert info_of(error) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS", {"limit": "2"})
        open_calls[0].cancel()
        await watched.until_ended(3)
        assert await stub.AttachRun(pb.AttachRunRequest()).read()


async def test_a_refused_stream_takes_no_place(way: Way) -> None:
    watched = Watched()
    calls = lone_calls(stream=Endless(), limits=Limits(max_run_streams=1), observer=watched)
    async with channel_to(calls, way) as channel:
        stub = RunServiceStub(channel)
        first = stub.AttachRun(pb.AttachRunRequest())
        await first.read()
        for _ in range(3):
            await failure_of(stub.AttachRun(pb.AttachRunRequest()))
        first.cancel()
        await watched.until_ended(4)
        again = stub.AttachRun(pb.AttachRunRequest())
        assert await again.read()


# 11


async def test_an_answer_that_no_client_would_take_is_told_by_us(way: Way) -> None:
    async def get(_request: pb.GetRunRequest, _call: Call) -> pb.GetRunResponse:
        response = pb.GetRunResponse()
        response.run.model = "x" * 5_000_000
        return response

    async with channel_to(lone_calls(unary=get), way) as channel:
        error = await failure_of(RunServiceStub(channel).GetRun(pb.GetRunRequest()))
    code, reason, metadata = info_of(error)
    assert (code, reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE")
    assert int(metadata["size"]) > int(metadata["limit"])


async def test_a_request_that_is_too_large_is_told_its_size_and_the_limit(way: Way) -> None:
    request = pb.GetRunRequest(run_id="x" * 5_000_000)
    async with channel_to(lone_calls(unary=_get_nothing), way) as channel:
        error = await failure_of(RunServiceStub(channel).GetRun(request))
    size, limit = str(request.ByteSize()), str(4 * 1024 * 1024)
    assert info_of(error) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE", {"size": size, "limit": limit})


async def test_garbage_is_an_invalid_request(way: Way) -> None:
    async with channel_to(lone_calls(unary=_get_nothing), way) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call_raw(channel, GET_RUN, b"\xff\xff\xff")
    assert info_of(failed.value)[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


# 16


async def test_a_stream_that_is_old_enough_is_recycled_and_nothing_else_happens_to_it(way: Way) -> None:
    stream, watched = Endless(), Watched()
    calls = lone_calls(stream=stream, limits=Limits(max_stream_age_seconds=0.05), observer=watched)
    async with channel_to(calls, way) as channel:
        error = await failure_of(RunServiceStub(channel).AttachRun(pb.AttachRunRequest()))
    assert info_of(error)[:2] == (grpc.StatusCode.ABORTED, "STREAM_RECYCLED")
    assert stream.closed.is_set()
    assert watched.ends == [(grpc.StatusCode.ABORTED, "STREAM_RECYCLED")]
