"""Connections that are quiet, stalled, unread, or older than they may be."""

import asyncio
import os
import signal
import sys

import grpc
import pytest

from letta_grpc.domain.agents import Agent
from letta_grpc.domain.completions import FinishReason, ModelFinished, TextChunk, ToolCallChunk
from letta_grpc.domain.messages import ToolCall
from letta_grpc.engine.agents import NewAgent
from letta_grpc.transport.calls import Limits
from letta_grpc.transport.server import ServerOptions, channel_arguments
from letta_grpc.v1 import run_service_pb2 as pb
from letta_grpc.v1.run_service_pb2_grpc import RunServiceStub
from tests.support.engine import DONE, DirectedTools, Engine, Move, engine, say
from tests.support.wires import (
    Stubs,
    Watched,
    Way,
    attach_and_wait,
    channel_to,
    failure_of,
    house_calls,
    info_of,
    lone_calls,
    serving,
)

pytestmark = pytest.mark.timeout(30)
ANYWHERE = ("127.0.0.1:0",)
TOOL_CALLS = ModelFinished(FinishReason.TOOL_CALLS)


PINGING = [("grpc.keepalive_time_ms", 100), ("grpc.keepalive_timeout_ms", 5000), ("grpc.http2.max_pings_without_data", 0)]


async def test_a_client_that_pings_on_a_quiet_stream_is_not_cut_off() -> None:
    options = ServerOptions(listen=ANYWHERE, min_client_ping_seconds=0.05)
    async with (
        serving(lone_calls(stream=attach_and_wait), options) as (_, address),
        grpc.aio.insecure_channel(address, PINGING) as channel,
    ):
        call = RunServiceStub(channel).AttachRun(pb.AttachRunRequest())
        await call.read()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await call.read()


async def test_a_client_that_pings_more_often_than_it_may_is_cut_off() -> None:
    # The counterpart: without it the test above could not fail.
    options = ServerOptions(listen=ANYWHERE, min_client_ping_seconds=300)
    async with (
        serving(lone_calls(stream=attach_and_wait), options) as (_, address),
        grpc.aio.insecure_channel(address, PINGING) as channel,
    ):
        error = await failure_of(RunServiceStub(channel).AttachRun(pb.AttachRunRequest()))
    assert "too many pings" in str(error.details()).lower()


def test_clients_may_ping_twice_as_often_as_they_are_told_to() -> None:
    arguments = dict(channel_arguments(ServerOptions(), Limits()))
    assert arguments["grpc.http2.min_recv_ping_interval_without_data_ms"] == 5000
    assert arguments["grpc.keepalive_permit_without_calls"] == 1
    assert arguments["grpc.so_reuseport"] == 0
    assert "grpc.max_concurrent_streams" not in arguments
    assert arguments["grpc.max_receive_message_length"] > Limits().max_request_bytes
    assert "grpc.max_connection_age_ms" not in arguments


def test_a_stream_that_is_recycled_in_time_is_never_cut_by_its_connection() -> None:
    arguments = dict(channel_arguments(ServerOptions(), Limits(max_stream_age_seconds=300)))
    assert arguments["grpc.max_connection_age_ms"] == 300_000
    assert arguments["grpc.max_connection_age_grace_ms"] > 300_000


READER = """
import sys
import grpc
from letta_grpc.v1 import run_service_pb2 as pb
from letta_grpc.v1.run_service_pb2_grpc import RunServiceStub
for _ in RunServiceStub(grpc.insecure_channel(sys.argv[1])).AttachRun(pb.AttachRunRequest()):
    print("reading", flush=True)
"""


async def test_a_client_that_is_stalled_is_noticed() -> None:
    watched = Watched()
    options = ServerOptions(listen=ANYWHERE, keepalive_seconds=0.5, keepalive_timeout_seconds=1)
    async with serving(lone_calls(stream=attach_and_wait, observer=watched), options) as (_, address):
        client = await asyncio.create_subprocess_exec(sys.executable, "-c", READER, address, stdout=asyncio.subprocess.PIPE)
        try:
            assert client.stdout is not None
            assert await client.stdout.readline() == b"reading\n"
            os.kill(client.pid, signal.SIGSTOP)
            async with asyncio.timeout(10):
                await watched.until_ended()
        finally:
            client.kill()
            await client.communicate()
    assert watched.ends == [(grpc.StatusCode.CANCELLED, None)]


async def test_a_reader_that_never_reads_holds_up_neither_the_run_nor_another_reader() -> None:
    async def look(_call: ToolCall) -> str:
        return "seen"

    # More than one response holds: what the stuck reader was not sent yet cannot be on its way either.
    words = [f"{number:04}" + "x" * 3000 for number in range(600)]
    async with engine(tools=DirectedTools({"look": look})) as house:
        for step in range(6):
            said: list[Move] = [[TextChunk(word)] for word in words[step * 100 : step * 100 + 100]]
            house.model.turns.append([*said, [ToolCallChunk(0, f"look-{step}", "look", "{}")], [TOOL_CALLS]])
        house.model.turns.append(say("done"))
        # All of it fits: a compaction would ask the model once more.
        agent = await house.agents.create(NewAgent(model="test/model", context_window=1_000_000))
        await _one_reads_and_one_does_not(house, agent, [*words, "done"])


async def _one_reads_and_one_does_not(house: Engine, agent: Agent, words: list[str]) -> None:
    watched = Watched()
    # How much a server may send ahead is the client's choice: as little as there is to choose.
    sparing = [("grpc.http2.bdp_probe", 0)]
    async with (
        serving(house_calls(house, observer=watched)) as (_, address),
        grpc.aio.insecure_channel(address, sparing) as channel,
    ):
        stub = Stubs(channel).runs
        run = await house.start(agent=agent)
        stuck = stub.AttachRun(pb.AttachRunRequest(run_id=run.id))
        assert await stuck.read()
        last = (await house.runs.finished(run.id)).last_sequence_number
        assert last is not None
        assert last > len(words)
        eager = [event async for r in stub.AttachRun(pb.AttachRunRequest(run_id=run.id)) for event in r.events]
        assert [event.text_delta.text for event in eager if event.HasField("text_delta")] == words
        assert watched.events - len(eager) < last
        # And when it reads at last it gets everything.
        late = 0
        while (response := await stuck.read()) is not grpc.aio.EOF:
            assert isinstance(response, pb.AttachRunResponse)
            late = response.events[-1].sequence_number
        assert late == last


async def test_a_stream_that_was_recycled_goes_on_after_its_last_number(house: Engine, way: Way) -> None:
    gate = asyncio.Event()
    house.model.turns.append([[TextChunk("a")], gate, [TextChunk("b")], [DONE]])
    run = await house.start()
    async with channel_to(house_calls(house, limits=Limits(max_stream_age_seconds=0.1)), way) as channel:
        stub, seen = Stubs(channel).runs, [0]

        async def read_on() -> None:
            async for response in stub.AttachRun(pb.AttachRunRequest(run_id=run.id, after_sequence_number=seen[-1])):
                seen.extend(event.sequence_number for event in response.events)

        with pytest.raises(grpc.aio.AioRpcError) as cut:
            await read_on()
        assert info_of(cut.value)[:2] == (grpc.StatusCode.ABORTED, "STREAM_RECYCLED")
        gate.set()
        await house.runs.finished(run.id)
        await read_on()
    assert seen == list(range(len(seen)))
    assert seen[-1] == (await house.runs.get(run.id)).last_sequence_number
