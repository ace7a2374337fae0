"""One stream out of what several tasks say, and the streams that are made of it."""

import asyncio
from contextlib import aclosing
from typing import Any

import grpc
import pytest

from letta_grpc.domain.errors import StoreUnavailable
from letta_grpc.transport.merging import StreamTasks, merged
from letta_grpc.transport.methods import Response
from letta_grpc.v1 import run_service_pb2 as pb
from tests.support.engine import engine
from tests.support.houses import spec_of
from tests.support.wires import WAYS, Stubs, Way, channel_to, failure_of, house_calls, info_of


def says(text: str) -> Response:
    return Response(text.encode(), 1)


async def speak(tasks: StreamTasks, word: str, times: int) -> None:
    for _ in range(times):
        await tasks.send(says(word))


async def test_tasks_take_turns_and_the_stream_ends_with_the_last_of_them() -> None:
    async def lead(tasks: StreamTasks) -> None:
        tasks.start(speak(tasks, "a", 50), "a")
        tasks.start(speak(tasks, "b", 50), "b")

    async with asyncio.timeout(5), aclosing(merged(lead)) as said:
        words = "".join([response.body.decode() async for response in said])
    assert (words.count("a"), words.count("b")) == (50, 50)
    assert "aaa" not in words
    assert "bbb" not in words


async def test_the_first_error_ends_all() -> None:
    ended = asyncio.Event()

    async def fail() -> None:
        raise StoreUnavailable

    async def stay() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def lead(tasks: StreamTasks) -> None:
        tasks.start(stay(), "stays")
        await tasks.send(says("before"))
        tasks.start(fail(), "fails")

    async with asyncio.timeout(5), aclosing(merged(lead)) as said:
        assert (await anext(said)).body == b"before"
        with pytest.raises(StoreUnavailable):
            await anext(said)
    assert ended.is_set()


async def test_a_stream_that_is_left_early_leaves_no_task_behind() -> None:
    async def lead(tasks: StreamTasks) -> None:
        tasks.start(speak(tasks, "word", 1000), "speaks")

    async with asyncio.timeout(5):
        async with aclosing(merged(lead)) as said:
            assert await anext(said)
        assert [task.get_name() for task in asyncio.all_tasks() if task.get_name() in {"merged", "speaks"}] == []


@pytest.mark.parametrize("way", WAYS)
async def test_a_server_that_drains_sends_an_idle_stream_away(way: Way) -> None:
    async with engine() as house, asyncio.timeout(10):
        calls = house_calls(house)
        async with channel_to(calls, way) as channel:
            call = Stubs(channel).runs.Converse()
            # An answer shows that the server has the call.
            await call.write(pb.ConverseRequest(tag="nothing"))
            response = await call.read()
            assert isinstance(response, pb.ConverseResponse)
            assert response.refusal.reason == "INVALID_REQUEST"
            calls.drain()
            error = await failure_of(call)
            assert info_of(error)[:2] == (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")
            await calls.settled()


async def test_a_server_that_drains_refuses_several_starts_as_a_whole() -> None:
    async with engine() as house, asyncio.timeout(10):
        calls = house_calls(house)
        async with channel_to(calls, "local") as channel:
            calls.drain()
            start = pb.RunStart(agent_id=house.agent.id, run=spec_of("hello"))
            error = await failure_of(Stubs(channel).runs.StreamRuns(pb.StreamRunsRequest(starts=[start, start])))
            assert info_of(error)[:2] == (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")


@pytest.mark.parametrize("way", WAYS)
async def test_a_client_that_leaves_ends_the_stream_and_not_the_run(way: Way) -> None:
    async with engine() as house, asyncio.timeout(10):
        house.model.turns.append([asyncio.Event()])
        calls = house_calls(house)
        async with channel_to(calls, way) as channel:
            call = Stubs(channel).runs.Converse()
            await call.write(pb.ConverseRequest(start=pb.ConverseStart(agent_id=house.agent.id, run=spec_of("hello"))))
            response = await call.read()
            assert isinstance(response, pb.ConverseResponse)
            call.cancel()
            await calls.settled()
            assert house.supervisor.active == 1


@pytest.mark.parametrize("way", WAYS)
async def test_bytes_that_are_no_request_are_refused_and_end_nothing(way: Way) -> None:
    async with engine() as house, asyncio.timeout(10), channel_to(house_calls(house), way) as channel:
        call: Any = channel.stream_stream("/letta_grpc.v1.RunService/Converse")()
        for _ in range(2):
            await call.write(b"\xff\xff")
            body = await call.read()
            assert isinstance(body, bytes)
            assert pb.ConverseResponse.FromString(body).refusal.reason == "INVALID_REQUEST"
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK


async def test_the_local_channel_takes_no_request_after_the_last_one() -> None:
    async with engine() as house, asyncio.timeout(10), channel_to(house_calls(house), "local") as channel:
        call = Stubs(channel).runs.Converse()
        await call.done_writing()
        with pytest.raises(asyncio.InvalidStateError):
            await call.write(pb.ConverseRequest())
        assert await call.read() is grpc.aio.EOF
        with pytest.raises(asyncio.InvalidStateError):
            await call.write(pb.ConverseRequest())
        with pytest.raises(grpc.aio.UsageError):
            Stubs(channel).runs.Converse(iter(()))
