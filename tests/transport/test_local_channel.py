"""What a client sees of the channel without a socket: the same as of one with it."""

import asyncio
import gc
from collections.abc import AsyncGenerator

import grpc
import pytest

from letta_grpc.transport.exchange import MAX_WAITING
from letta_grpc.transport.local import LocalChannel
from letta_grpc.transport.methods import Call, Response
from letta_grpc.v1 import run_service_pb2 as pb
from letta_grpc.v1.run_service_pb2_grpc import RunServiceStub
from tests.support.wires import Way, call_raw, channel_to, lone_calls

pytestmark = pytest.mark.timeout(20)
REQUEST = pb.AttachRunRequest()


class Counted:
    """Sends so many responses, each with its number, then waits for ever if it is to."""

    def __init__(self, count: int, *, then_wait: bool = False) -> None:
        self.count = count
        self.then_wait = then_wait
        self.sent = 0
        self.closed = asyncio.Event()

    async def __call__(self, _request: pb.AttachRunRequest, _call: Call) -> AsyncGenerator[Response, None]:
        try:
            for number in range(self.count):
                self.sent = number + 1
                yield Response(pb.AttachRunResponse(run_id=str(number)).SerializeToString(), 1)
            if self.then_wait:
                await asyncio.Event().wait()
        finally:
            self.closed.set()


async def test_a_stream_can_be_iterated_and_ends_with_ok(way: Way) -> None:
    async with channel_to(lone_calls(stream=Counted(20)), way) as channel:
        call = RunServiceStub(channel).AttachRun(REQUEST)
        assert [response.run_id async for response in call] == [str(number) for number in range(20)]
        assert await call.code() is grpc.StatusCode.OK
        assert (call.done(), call.cancelled()) == (True, False)


async def test_a_stream_can_be_read_to_its_end(way: Way) -> None:
    async with channel_to(lone_calls(stream=Counted(2)), way) as channel:
        call = RunServiceStub(channel).AttachRun(REQUEST)
        found = [await call.read() for _ in range(3)]
    assert found[2] is grpc.aio.EOF


async def test_a_cancelled_stream_raises_in_its_reader(way: Way) -> None:
    stream = Counted(1, then_wait=True)
    async with channel_to(lone_calls(stream=stream), way) as channel:
        call = RunServiceStub(channel).AttachRun(REQUEST)
        await call.read()
        assert call.cancel()
        assert not call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call.read()
        await stream.closed.wait()
        assert (call.cancelled(), await call.code()) == (True, grpc.StatusCode.CANCELLED)


async def test_a_reader_that_is_cancelled_ends_its_call(way: Way) -> None:
    stream = Counted(0, then_wait=True)
    async with channel_to(lone_calls(stream=stream), way) as channel:
        call = RunServiceStub(channel).AttachRun(REQUEST)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await call.read()
        assert call.cancelled()


async def test_a_done_callback_is_told_the_call(way: Way) -> None:
    told = asyncio.Queue[object]()
    async with channel_to(lone_calls(stream=Counted(1)), way) as channel:
        call = RunServiceStub(channel).AttachRun(REQUEST)
        call.add_done_callback(told.put_nowait)
        async for _ in call:
            pass
        assert await told.get() is call


async def test_a_method_that_is_not_there_is_unimplemented(way: Way) -> None:
    async with channel_to(lone_calls(), way) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call_raw(channel, "letta_grpc.v1.RunService/Nothing", b"")
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_closed_channel_takes_no_calls(way: Way) -> None:
    async with channel_to(lone_calls(stream=Counted(1)), way) as channel:
        # Made before: of a closed channel grpc's own stub can end the process.
        stub = RunServiceStub(channel)
        await channel.close()
        assert channel.get_state() is grpc.ChannelConnectivity.SHUTDOWN
        with pytest.raises(grpc.aio.UsageError):
            await stub.AttachRun(REQUEST).read()


async def test_closing_a_channel_ends_its_calls(way: Way) -> None:
    stream = Counted(1, then_wait=True)
    async with channel_to(lone_calls(stream=stream), way) as channel:
        call = RunServiceStub(channel).AttachRun(REQUEST)
        await call.read()
        await channel.close()
        await stream.closed.wait()
        assert call.done()


async def test_a_reader_that_stops_holds_its_handler_up() -> None:
    stream = Counted(1000)
    async with LocalChannel(lone_calls(stream=stream)) as channel:
        call = RunServiceStub(channel).AttachRun(REQUEST)
        first = await call.read()
        for _ in range(5000):
            await asyncio.sleep(0)
        assert stream.sent <= MAX_WAITING + 2
        rest = [first]
        while (response := await call.read()) is not grpc.aio.EOF:
            rest.append(response)
    assert len(rest) == 1000


async def test_a_call_that_nobody_holds_any_more_is_over() -> None:
    stream = Counted(1, then_wait=True)
    async with LocalChannel(lone_calls(stream=stream)) as channel:
        call = RunServiceStub(channel).AttachRun(REQUEST)
        await call.read()
        del call
        gc.collect()
        await stream.closed.wait()


async def test_a_call_that_is_let_go_in_another_thread_ends_on_its_loop() -> None:
    """A call that was iterated over is part of a cycle: whichever thread collects the garbage finds it."""
    stream = Counted(1, then_wait=True)
    # A loop in debug mode complains about calls from other threads.
    asyncio.get_running_loop().set_debug(True)
    async with LocalChannel(lone_calls(stream=stream)) as channel:
        call = RunServiceStub(channel).AttachRun(REQUEST)
        await anext(aiter(call))
        del call
        await asyncio.to_thread(gc.collect)
        await stream.closed.wait()


async def test_the_channel_is_ready_at_once_and_tells_its_end() -> None:
    channel = LocalChannel(lone_calls())
    await channel.channel_ready()
    assert channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(channel.wait_for_state_change(grpc.ChannelConnectivity.READY))
        await asyncio.sleep(0)
        assert not waiting.done()
        await channel.close()
