"""What is closed while it waits between two tries, in both twins: it waits no longer."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from letta_grpc.client import AsyncClient, Client, RetryPolicy, StreamClosed, run_start
from tests.support.scripted_server import AGENT_ID, RUN_ID, Refusal, ScriptedRuns, Turn, serving

# Nobody is there.
TARGET = "127.0.0.1:1"
STARTS = [run_start(AGENT_ID, "hi")]
# Less than a wait takes whose end nobody brings about.
PROMPT_SECONDS = 10

Disconnect = Callable[[], Awaitable[None]]
Use = Callable[[AsyncClient], tuple[Awaitable[object], Disconnect]]
BlockingUse = Callable[[Client], tuple[Callable[[], object], Callable[[], None]]]


def patient(begin: Callable[[], None]) -> RetryPolicy:
    """Tell when a wait begins, and wait for long."""

    def draw() -> float:
        begin()
        return 1.0

    return RetryPolicy(initial_seconds=60, maximum_seconds=60, draw=draw)


def _a_stream(client: AsyncClient) -> tuple[Awaitable[object], Disconnect]:
    stream = client.stream(AGENT_ID, "hi")
    return stream.started(), stream.disconnect


def _an_attached_stream(client: AsyncClient) -> tuple[Awaitable[object], Disconnect]:
    stream = client.attach(RUN_ID)
    return stream.final(), stream.disconnect


def _several_streams(client: AsyncClient) -> tuple[Awaitable[object], Disconnect]:
    streams = client.stream_many(STARTS)
    return streams.final(), streams.disconnect


def _a_dialogue(client: AsyncClient) -> tuple[Awaitable[object], Disconnect]:
    dialogue = client.converse()
    return dialogue.start(AGENT_ID, "hi"), dialogue.disconnect


def _a_turn(client: AsyncClient) -> tuple[Awaitable[object], Disconnect]:
    turn = client.turn(AGENT_ID, "hi")
    return turn.final(), turn.disconnect


def _a_call(client: AsyncClient) -> tuple[Awaitable[object], Disconnect]:
    return client.runs.get(RUN_ID), client.close


def _a_clients_stream(client: AsyncClient) -> tuple[Awaitable[object], Disconnect]:
    return client.attach(RUN_ID).final(), client.close


def _blocking_stream(client: Client) -> tuple[Callable[[], object], Callable[[], None]]:
    stream = client.stream(AGENT_ID, "hi")
    return stream.started, stream.disconnect


def _blocking_streams(client: Client) -> tuple[Callable[[], object], Callable[[], None]]:
    streams = client.stream_many(STARTS)
    return streams.final, streams.disconnect


def _blocking_call(client: Client) -> tuple[Callable[[], object], Callable[[], None]]:
    return lambda: client.runs.get(RUN_ID), client.close


@pytest.mark.parametrize(
    "use", [_a_stream, _an_attached_stream, _several_streams, _a_dialogue, _a_turn, _a_call, _a_clients_stream]
)
async def test_a_wait_ends_with_what_waits(use: Use) -> None:
    begun = asyncio.Event()
    async with AsyncClient(TARGET, retry=patient(begun.set)) as client, asyncio.timeout(PROMPT_SECONDS):
        reading, disconnect = use(client)
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(_closed(reading))
            await begun.wait()
            await disconnect()
        assert reader.result()


@pytest.mark.parametrize("use", [_blocking_stream, _blocking_streams, _blocking_call])
def test_a_blocking_wait_is_ended_from_another_thread(use: BlockingUse) -> None:
    begun, ended = threading.Event(), threading.Event()
    with Client(TARGET, retry=patient(begun.set)) as client:
        read, disconnect = use(client)

        def reading() -> None:
            with pytest.raises(StreamClosed):
                read()
            ended.set()

        threading.Thread(target=reading, daemon=True).start()
        assert begun.wait(PROMPT_SECONDS)
        disconnect()
        assert ended.wait(PROMPT_SECONDS)


async def test_the_wait_of_a_stream_that_asks_how_its_run_stands_ends_with_it() -> None:
    runs = ScriptedRuns([Turn()])
    runs.answers = [Refusal()]
    begun = asyncio.Event()
    async with serving(runs) as target, AsyncClient(target, retry=patient(begun.set)) as client:
        stream = client.stream(AGENT_ID, "hi")
        async with asyncio.timeout(PROMPT_SECONDS), asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(_closed(stream.final()))
            await begun.wait()
            await stream.disconnect()
        assert reader.result()


async def _closed(reading: Awaitable[object]) -> bool:
    with pytest.raises(StreamClosed):
        await reading
    return True
