"""What a client that is closed says, in both twins: the same, and nothing besides."""

import asyncio
import gc
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from letta_grpc.client import AsyncClient, Client, RetryPolicy, RunStream, ServerUnavailable, StreamClosed, run_start
from tests.support.scripted_server import AGENT_ID, RUN_ID

# Nobody is there: a closed client does not dial.
TARGET = "127.0.0.1:1"
STARTS = [run_start(AGENT_ID, "hi")]

BLOCKING: dict[str, Callable[[Client], object]] = {
    "a stream": lambda client: list(client.stream(AGENT_ID, "hi")),
    "an attached stream": lambda client: client.attach(RUN_ID).final(),
    "several streams": lambda client: client.stream_many(STARTS).final(),
    "a dialogue": lambda client: client.converse().start(AGENT_ID, "hi"),
    "a call that reads": lambda client: client.runs.get(RUN_ID),
    "a call that makes something": lambda client: client.agents.create(name="ada", model="scripted/demo"),
    "a list": lambda client: list(client.agents.list()),
}
ASKING: dict[str, Callable[[AsyncClient], Awaitable[object]]] = {
    "a stream": lambda client: client.stream(AGENT_ID, "hi").started(),
    "an attached stream": lambda client: client.attach(RUN_ID).final(),
    "several streams": lambda client: client.stream_many(STARTS).final(),
    "a dialogue": lambda client: client.converse().start(AGENT_ID, "hi"),
    "a call that reads": lambda client: client.runs.get(RUN_ID),
    "a call that makes something": lambda client: client.agents.create(name="ada", model="scripted/demo"),
    "a list": lambda client: anext(client.agents.list()),
}


@pytest.mark.parametrize("use", BLOCKING.values(), ids=BLOCKING)
def test_a_closed_blocking_client_raises_that_it_is_closed(use: Callable[[Client], object]) -> None:
    client = Client(TARGET)
    client.close()
    with pytest.raises(StreamClosed, match="the client is closed"):
        use(client)
    # What is thrown away says nothing either: pytest makes an error of an exception in a `__del__`.
    gc.collect()


@pytest.mark.parametrize("use", ASKING.values(), ids=ASKING)
async def test_a_closed_async_client_raises_that_it_is_closed(
    use: Callable[[AsyncClient], Awaitable[object]],
) -> None:
    client = AsyncClient(TARGET)
    await client.close()
    async with asyncio.timeout(5):
        with pytest.raises(StreamClosed, match="the client is closed"):
            await use(client)
    gc.collect()


@pytest.mark.parametrize("use", BLOCKING.values(), ids=BLOCKING)
def test_a_channel_that_its_owner_closed_is_told_alike(use: Callable[[Client], object]) -> None:
    channel = grpc.insecure_channel(TARGET)
    client = Client(channel=channel)
    channel.close()
    with pytest.raises(StreamClosed):
        use(client)
    gc.collect()


@pytest.mark.parametrize("use", ASKING.values(), ids=ASKING)
async def test_an_async_channel_that_its_owner_closed_is_told_alike(
    use: Callable[[AsyncClient], Awaitable[object]],
) -> None:
    channel = grpc.aio.insecure_channel(TARGET)
    client = AsyncClient(channel=channel)
    await channel.close()
    with pytest.raises(StreamClosed):
        await use(client)
    gc.collect()


async def test_a_closed_client_makes_no_calls_on_a_channel_that_stays_open() -> None:
    async with grpc.aio.insecure_channel(TARGET) as channel:
        client = AsyncClient(channel=channel, retry=RetryPolicy(call_attempts=1))
        with pytest.raises(ServerUnavailable):
            await client.runs.get(RUN_ID)
        await client.close()
        with pytest.raises(StreamClosed):
            await client.runs.get(RUN_ID)


@pytest.mark.parametrize("use", ASKING.values(), ids=ASKING)
async def test_nothing_is_asked_of_a_channel_once_its_client_is_closed(
    use: Callable[[AsyncClient], Awaitable[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with grpc.aio.insecure_channel(TARGET) as channel:
        client = AsyncClient(channel=channel)
        await client.close()
        # Of a closed channel grpc cannot even make a stub: it may end the process.
        for kind in ("unary_unary", "unary_stream", "stream_stream"):
            monkeypatch.setattr(channel, kind, None)
        with pytest.raises(StreamClosed, match="the client is closed"):
            await use(client)


def test_a_call_that_is_being_repeated_ends_when_the_client_is_closed() -> None:
    client = Client(TARGET, sleep=lambda _: client.close())
    with pytest.raises(StreamClosed):
        client.runs.get(RUN_ID)


# One round shows nothing: the threads have to meet in the midst of the closing.
def test_a_blocking_client_closes_while_another_thread_begins_streams() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(40):
            client = Client(TARGET)
            kept = [client.attach(RUN_ID) for _ in range(200)]
            closed = threading.Event()

            def begin(client: Client = client, kept: list[RunStream] = kept, closed: threading.Event = closed) -> None:
                while not closed.is_set():
                    kept.append(client.attach(RUN_ID))

            with ThreadPoolExecutor(max_workers=1) as thread:
                beginning = thread.submit(begin)
                try:
                    client.close()
                finally:
                    closed.set()
            beginning.result()
    finally:
        sys.setswitchinterval(interval)
