"""What real sockets do to both twins."""

import asyncio
import threading

import pytest

from letta_grpc.client import AsyncClient, Client, RetryPolicy
from letta_grpc.v1 import run_service_pb2
from tests.support.refusing import refusing
from tests.support.relay import relayed
from tests.support.scripted_server import AGENT_ID, RUN_ID, Refusal, ScriptedRuns, Turn, log_of, serving

LOG = log_of(["Hel", "lo"])
NUMBERS = list(range(1, len(LOG) + 1))
QUICK = RetryPolicy(initial_seconds=0.01, maximum_seconds=0.01, stream_attempts=200)
HALVES = (Turn(batches=[LOG[:4]], silent=True), Turn(batches=[LOG[4:]]))


def impatient() -> run_service_pb2.StreamOptions:
    options = run_service_pb2.StreamOptions()
    options.heartbeat_interval.FromMilliseconds(30)
    return options


def waiting_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "letta-grpc-call"]


async def test_a_cut_connection_is_dialled_again_and_nothing_is_lost() -> None:
    runs = ScriptedRuns(HALVES)
    async with serving(runs) as server, relayed(server) as (relay, target), AsyncClient(target, retry=QUICK) as client:
        numbers = []
        async for event in client.stream(AGENT_ID, "hi"):
            numbers.append(event.sequence_number)
            if event.sequence_number == 4:
                relay.cut()
    assert numbers == NUMBERS


async def test_a_pulled_cable_is_noticed_by_the_silence() -> None:
    runs = ScriptedRuns(HALVES)
    async with serving(runs) as server, relayed(server) as (relay, target), AsyncClient(target, retry=QUICK) as client:
        numbers = []
        async for event in client.stream(AGENT_ID, "hi", options=impatient()):
            numbers.append(event.sequence_number)
            if event.sequence_number == 4:
                relay.stall()
                asyncio.get_running_loop().call_later(0.2, relay.flow)
    assert numbers == NUMBERS


async def test_a_server_that_is_away_for_long_is_dialled_every_second() -> None:
    patient = RetryPolicy(initial_seconds=0.01, maximum_seconds=0.1, call_attempts=10_000)
    async with refusing() as (dials, target), AsyncClient(target, retry=patient) as client:
        # By then grpc's back-off has had the time to grow.
        assert await dials.longest_wait_of(client.runs.get(RUN_ID), 8) < 2


async def test_a_client_closed_under_its_reader_leaves_no_connection() -> None:
    runs = ScriptedRuns([Turn(batches=[LOG[:4]], silent=True)])
    async with serving(runs) as server, relayed(server) as (relay, target):
        client = AsyncClient(target)
        stream = client.stream(AGENT_ID, "hi")
        for _ in range(4):
            await anext(stream)
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(stream.final())
            # One turn of the loop takes the reader into its read.
            await asyncio.sleep(0)
            reader.cancel()
            await client.close()
        async with asyncio.timeout(5):
            await relay.all_closed()
            await runs.reader_gone.wait()


async def test_a_reader_that_was_interrupted_goes_on_where_it_was() -> None:
    async with serving(ScriptedRuns(HALVES)) as target, AsyncClient(target, retry=QUICK) as client:
        stream = client.stream(AGENT_ID, "hi")
        numbers = [(await anext(stream)).sequence_number for _ in range(4)]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(stream)
        numbers += [event.sequence_number async for event in stream]
    assert numbers == NUMBERS


async def test_the_blocking_twin_goes_on_after_a_cut() -> None:
    runs = ScriptedRuns([Turn(batches=[LOG[:4]], end=Refusal()), Turn(batches=[LOG[4:]])])

    def follow(target: str) -> list[int]:
        with Client(target, retry=QUICK) as client, client.stream(AGENT_ID, "hi") as stream:
            assert stream.run_id == RUN_ID
            return [event.sequence_number for event in stream]

    async with serving(runs) as target:
        assert await asyncio.to_thread(follow, target) == NUMBERS


async def test_the_blocking_twin_notices_silence_and_leaves_no_thread() -> None:
    def follow(target: str) -> list[int]:
        with Client(target, retry=QUICK) as client:
            return [event.sequence_number for event in client.stream(AGENT_ID, "hi", options=impatient())]

    async with serving(ScriptedRuns(HALVES)) as target:
        assert await asyncio.to_thread(follow, target) == NUMBERS
    for thread in waiting_threads():
        thread.join(5)
    assert waiting_threads() == []


async def test_a_blocking_reader_is_woken_by_a_disconnect_beside_it() -> None:
    runs = ScriptedRuns([Turn(batches=[LOG[:4]], silent=True)])

    def follow(target: str) -> list[int]:
        with Client(target) as client:
            stream = client.stream(AGENT_ID, "hi")
            stream.started()
            numbers = []
            for event in stream:
                numbers.append(event.sequence_number)
                if event.sequence_number == 4:
                    threading.Timer(0.05, stream.disconnect).start()
            return numbers

    async with serving(runs) as target:
        assert await asyncio.to_thread(follow, target) == [1, 2, 3, 4]
        await runs.reader_gone.wait()


async def test_a_blocking_stream_that_is_dropped_lets_go_of_its_call() -> None:
    runs = ScriptedRuns([Turn(batches=[LOG[:4]], silent=True)])

    def glance(client: Client) -> int:
        return next(client.stream(AGENT_ID, "hi")).sequence_number

    async with serving(runs) as target:
        client = Client(target)
        assert await asyncio.to_thread(glance, client) == 1
        await runs.reader_gone.wait()
        await asyncio.to_thread(client.close)
