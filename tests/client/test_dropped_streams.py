"""A stream that is left in the middle, and that nobody holds any more, ends its call: the server sees its reader go."""

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable
from contextlib import aclosing, closing

import grpc
import pytest

from letta_grpc.client import AsyncClient, Client, run_start
from tests.support.scripted_server import AGENT_ID, ScriptedRuns, Turn, log_of, serving

LOG = log_of(["Hel", "lo"])


async def leave_a_stream(client: AsyncClient) -> None:
    async for _ in client.stream(AGENT_ID, "hi"):
        return


async def leave_the_text(client: AsyncClient) -> None:
    async for _ in client.stream(AGENT_ID, "hi").text_deltas():
        return


async def leave_several(client: AsyncClient) -> None:
    async for _ in client.stream_many([run_start(AGENT_ID, "hi")]):
        return


async def leave_a_dialogue(client: AsyncClient) -> None:
    dialogue = client.converse()
    await dialogue.start(AGENT_ID, "hi")
    async for _ in dialogue:
        return


async def leave_a_turn(client: AsyncClient) -> None:
    async for _ in client.turn(AGENT_ID, "hi"):
        return


LEAVING = [leave_a_stream, leave_the_text, leave_several, leave_a_dialogue, leave_a_turn]


def quiet() -> ScriptedRuns:
    """A run that says something, and then nothing for as long as anybody listens."""
    return ScriptedRuns([Turn(batches=[LOG[:5]], silent=True)])


@pytest.mark.parametrize("leave", LEAVING)
async def test_what_is_left_by_break_or_return_ends_its_call(leave: Callable[[AsyncClient], Awaitable[None]]) -> None:
    runs = quiet()
    async with serving(runs) as target, AsyncClient(target) as client, asyncio.timeout(10):
        await leave(client)
        gc.collect()
        await runs.reader_gone.wait()


async def close_a_stream(client: AsyncClient) -> object:
    async with aclosing(client.stream(AGENT_ID, "hi")) as stream:
        await anext(stream)
    return stream


async def close_the_text(client: AsyncClient) -> object:
    async with aclosing(client.stream(AGENT_ID, "hi").text_deltas()) as deltas:
        await anext(deltas)
    return deltas


async def close_several(client: AsyncClient) -> object:
    async with aclosing(client.stream_many([run_start(AGENT_ID, "hi")])) as streams:
        await anext(streams)
    return streams


async def close_a_turn(client: AsyncClient) -> object:
    async with aclosing(client.turn(AGENT_ID, "hi")) as turn:
        await anext(turn)
    return turn


@pytest.mark.parametrize("use", [close_a_stream, close_the_text, close_several, close_a_turn])
async def test_what_contextlib_closes_ends_its_call(use: Callable[[AsyncClient], Awaitable[object]]) -> None:
    runs = quiet()
    async with serving(runs) as target, AsyncClient(target) as client, asyncio.timeout(10):
        held = await use(client)
        await runs.reader_gone.wait()
        del held


async def test_contextlib_closes_the_blocking_twins_too() -> None:
    def read(target: str) -> None:
        with Client(target) as client, closing(client.stream(AGENT_ID, "hi")) as stream:
            next(stream)

    runs = quiet()
    async with serving(runs) as target, asyncio.timeout(10):
        await asyncio.to_thread(read, target)
        await runs.reader_gone.wait()


async def test_a_stream_may_be_dropped_in_another_thread() -> None:
    runs = quiet()
    async with serving(runs) as target, AsyncClient(target) as client, asyncio.timeout(10):
        held = [client.stream(AGENT_ID, "hi")]
        await anext(held[0])
        dropping = threading.Thread(target=held.clear)
        dropping.start()
        await asyncio.to_thread(dropping.join)
        gc.collect()
        await runs.reader_gone.wait()


def test_a_stream_may_outlive_its_loop() -> None:
    async def begin() -> object:
        async with serving(quiet()) as target, grpc.aio.insecure_channel(target) as channel:
            stream = AsyncClient(channel=channel).stream(AGENT_ID, "hi")
            await anext(stream)
            return stream

    held = [asyncio.run(begin())]
    # pytest makes an error of an exception in a `__del__`.
    held.clear()
    gc.collect()
