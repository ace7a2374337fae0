"""What is asked of a stream while somebody reads it: both twins, each with a reader that has only just begun."""

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import pytest
from google.protobuf.message import Message

from letta_grpc.client import AsyncClient, AsyncRunStream, Client, Lane, RunStream, RunStreams, StreamClosed, run_start
from letta_grpc.client.fair_lock import FairLock
from letta_grpc.v1 import run_service_pb2, runs_pb2
from tests.support.scripted_server import AGENT_ID, RUN_ID, ScriptedRuns, Turn, log_of, serving

LOG = log_of(["Hel", "lo"])
# It ends when it is cancelled, and says nothing before.
ENDLESS = json.dumps([[{"text": "so "}, {"wait_for_cancel": True}]])
# Less than what a stream would wait for a heartbeat.
PROMPT_SECONDS = 10


class Noticing(ScriptedRuns):
    """Tells when it is asked."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        super().__init__(turns)
        self.asked = asyncio.Event()

    def next_turn(self, request: Message) -> Turn:
        self.asked.set()
        return super().next_turn(request)


async def test_a_cancel_beside_a_reader_that_has_just_begun_ends_the_run(server: str) -> None:
    async with AsyncClient(server) as client, asyncio.timeout(PROMPT_SECONDS):
        agent = await client.agents.create(model="scripted/script")
        stream = client.stream(agent.id, ENDLESS)
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(stream.final())
            await asyncio.sleep(0)
            await stream.cancel()
        assert reader.result().state == runs_pb2.RUN_STATE_CANCELLED


async def test_a_cancel_does_not_wait_for_the_readers_next_event(server: str) -> None:
    async with AsyncClient(server) as client, asyncio.timeout(PROMPT_SECONDS):
        agent = await client.agents.create(model="scripted/script")
        async with client.stream(agent.id, ENDLESS) as stream:
            async for event in stream:
                if event.HasField("text_delta"):
                    break
            async with asyncio.TaskGroup() as tasks:
                reader = tasks.create_task(stream.final())
                await asyncio.sleep(0)
                await stream.cancel()
            assert reader.result().state == runs_pb2.RUN_STATE_CANCELLED


async def test_all_who_wait_for_the_start_share_one_call() -> None:
    runs = ScriptedRuns([Turn(batches=[LOG])])
    async with serving(runs) as target, AsyncClient(target) as client, asyncio.timeout(PROMPT_SECONDS):
        stream = client.stream(AGENT_ID, "hi")
        _, *started = await asyncio.gather(stream.final(), stream.started(), stream.started())
    assert started == [RUN_ID, RUN_ID]
    assert [type(request) for request in runs.requests] == [run_service_pb2.StreamRunRequest]


async def test_whoever_gives_up_waiting_for_the_start_takes_it_from_nobody() -> None:
    runs = Noticing([Turn(accepts=False, silent=True), Turn(batches=[LOG])])
    async with serving(runs) as target, AsyncClient(target) as client, asyncio.timeout(PROMPT_SECONDS):
        stream = client.stream(AGENT_ID, "hi")
        async with asyncio.TaskGroup() as tasks:
            impatient = tasks.create_task(stream.started())
            await asyncio.sleep(0)
            reader = tasks.create_task(stream.text())
            await runs.asked.wait()
            impatient.cancel()
        assert reader.result() == "Hello"
    assert runs.requests[0] == runs.requests[1]


async def test_a_disconnect_beside_a_reader_that_has_just_begun_closes_it() -> None:
    runs = ScriptedRuns([Turn(accepts=False, silent=True)])
    async with serving(runs) as target, AsyncClient(target) as client, asyncio.timeout(PROMPT_SECONDS):
        stream = client.stream(AGENT_ID, "hi")
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(_closed(stream))
            await asyncio.sleep(0)
            await stream.disconnect()
        assert reader.result()


async def _closed(stream: AsyncRunStream) -> bool:
    with pytest.raises(StreamClosed):
        await stream.final()
    return True


def _one(client: Client) -> RunStream:
    return client.stream(client.agents.create(model="scripted/script").id, ENDLESS)


def _several(client: Client) -> RunStreams:
    return client.stream_many([run_start(client.agents.create(model="scripted/script").id, ENDLESS)])


def test_the_blocking_twin_is_cancelled_from_another_thread(server: str) -> None:
    with Client(server) as client:
        agent = client.agents.create(model="scripted/script")
        stream = client.stream(agent.id, ENDLESS)
        ends: list[runs_pb2.Run] = []
        threads = [threading.Thread(target=use, args=(stream, ends)) for use in (_read, _cancel)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PROMPT_SECONDS)
        assert [run.state for run in ends] == [runs_pb2.RUN_STATE_CANCELLED]


def _read(stream: RunStream, ends: list[runs_pb2.Run]) -> None:
    ends.append(stream.final())


def _cancel(stream: RunStream, _: list[runs_pb2.Run]) -> None:
    stream.cancel()


def test_a_start_from_another_thread_does_not_wait_for_the_readers_next_event(server: str) -> None:
    with Client(server) as client, client.converse() as dialogue:

        def start() -> Lane:
            return dialogue.start(client.agents.create(model="scripted/script").id, ENDLESS)

        lanes = [start()]
        reader = threading.Thread(target=dialogue.final)
        reader.start()
        began = time.monotonic()
        lanes += [start() for _ in range(5)]
        took = time.monotonic() - began
        for lane in lanes:
            dialogue.cancel(lane)
        reader.join(PROMPT_SECONDS)
    assert took < PROMPT_SECONDS


@pytest.mark.parametrize("open_stream", [_one, _several])
def test_a_disconnect_from_another_thread_ends_the_call_that_the_reader_is_just_making(
    server: str, open_stream: Callable[[Client], RunStream | RunStreams], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(server) as client:
        stream = open_stream(client)
        begun = []
        connection = vars(client)["_connection"]
        follow = connection.follow

        def follow_late(method: object, request: Message) -> object:
            begun.append(follow(method, request))
            stream.disconnect()
            return begun[0]

        monkeypatch.setattr(connection, "follow", follow_late)
        with pytest.raises(StreamClosed):
            stream.started()
        (call,) = begun
        assert not vars(call)["_call"].is_active()


def test_the_longest_waiter_has_the_lock_next() -> None:
    lock, order = FairLock(), list[str]()
    in_queue = threading.Event()

    class Queue(deque[threading.Lock]):
        def append(self, turn: threading.Lock) -> None:
            super().append(turn)
            in_queue.set()

    vars(lock)["_waiting"] = Queue()

    def wait() -> None:
        with lock:
            order.append("the other")

    other = threading.Thread(target=wait)
    with lock:
        other.start()
        assert in_queue.wait(PROMPT_SECONDS)
    with lock:
        order.append("this one")
    other.join(PROMPT_SECONDS)
    assert order == ["the other", "this one"]
