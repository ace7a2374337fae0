"""A reader that never reads costs the others nothing: not the run, not its readers, not the server's memory."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from letta_grpc.v1 import agent_service_pb2, agents_pb2, messages_pb2, runs_pb2
from letta_grpc.v1 import run_service_pb2 as pb
from letta_grpc.v1.run_service_pb2_grpc import RunServiceStub
from tests.promises.calling import ask
from tests.requirements.registry import requirement
from tests.support.relay import relayed
from tests.support.servers import MortalProcess, mortal_process

READERS, SLEEPERS = 50, 20
# Each step says 380 kB in deltas and once more in its message, and calls a tool that there isn't, to be asked again.
STEPS, DELTAS, CHARACTERS = 32, 38, 10_000
RUN_BYTES = 2 * STEPS * DELTAS * CHARACTERS
# For each sleeper there is one response on its way, of at most 1 MiB, of which the server, the encoder and gRPC have a copy
# each, however long the run is. Measured are 50 to 150 MB for all of them, half of it what malloc does not give back after
# a peak; a server that kept what they don't take would hold 490 MB.
HELD_BYTES = SLEEPERS * 10 * 1024 * 1024
assert HELD_BYTES * 2 < SLEEPERS * RUN_BYTES
# What else this machine does is not the sleepers' fault.
SLACK_SECONDS = 4.0


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[MortalProcess]:
    async with asyncio.timeout(80), mortal_process(tmp_path) as running:
        yield running


class Run:
    """A run that waits behind another one until its readers are there, and then talks as fast as it can."""

    def __init__(self, server: MortalProcess) -> None:
        self._server = server
        self.id = self._blocker = ""

    async def prepare(self) -> "Run":
        agent = agents_pb2.Agent(model="scripted/script")
        made = agent_service_pb2.CreateAgentResponse.FromString
        wanted = agent_service_pb2.CreateAgentRequest(agent=agent)
        agent_id = (await ask(self._server, "AgentService/CreateAgent", wanted, made)).agent.id
        step = [{"text": "x" * CHARACTERS, "repeat": DELTAS}, {"tool_call": {"name": "none"}}]
        self._blocker = await self._start(agent_id, [[{"wait_for_cancel": True}]])
        self.id = await self._start(agent_id, [step] * STEPS)
        return self

    async def _start(self, agent_id: str, turns: Sequence[object]) -> str:
        message = messages_pb2.InputMessage(user=messages_pb2.UserInput(text=json.dumps(turns)))
        spec = runs_pb2.RunSpec(messages=[message], conflict_policy=runs_pb2.CONFLICT_POLICY_ENQUEUE)
        request = pb.CreateRunRequest(agent_id=agent_id, run=spec)
        return (await ask(self._server, "RunService/CreateRun", request, pb.CreateRunResponse.FromString)).run.id

    async def begin(self) -> None:
        request = pb.CancelRunRequest(run_id=self._blocker)
        await ask(self._server, "RunService/CancelRun", request, pb.CancelRunResponse.FromString)


async def opened(channel: grpc.aio.Channel, run: Run) -> Any:  # noqa: ANN401 - a call
    """A stream that the server has begun."""
    call: Any = RunServiceStub(channel).AttachRun(pb.AttachRunRequest(run_id=run.id))
    await call.initial_metadata()
    return call


async def read(call: Any) -> tuple[list[int], bool]:  # noqa: ANN401 - a call
    numbers, ended = [], False
    async for response in call:
        numbers += [event.sequence_number for event in response.events]
        ended = response.events[-1].HasField("run_finished")
    return numbers, ended


async def seconds_for_all(server: MortalProcess, run: Run) -> float:
    """Let 50 readers read the whole run; return how long it took them all."""
    channel = await server.channel()
    calls = [await opened(channel, run) for _ in range(READERS)]
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await run.begin()
    for numbers, ended in await asyncio.gather(*map(read, calls)):
        assert numbers == list(range(1, len(numbers) + 1))
        assert ended
    return loop.time() - begin


@requirement("slow_reader")
@pytest.mark.timeout(90)
async def test_readers_that_never_read_slow_nobody_and_cost_no_memory(server: MortalProcess) -> None:
    process = psutil.Process(server.pid)
    alone = await seconds_for_all(server, await (await warmed(server)).prepare())
    before = process.memory_info().rss
    run = await Run(server).prepare()
    async with AsyncExitStack() as stack:
        relay, address = await stack.enter_async_context(relayed(server.address))
        options = [("grpc.use_local_subchannel_pool", 1)]
        apart = await stack.enter_async_context(grpc.aio.insecure_channel(server.address, options=options))
        stalled = await stack.enter_async_context(grpc.aio.insecure_channel(address))
        # Some share the connection of those who read, some have one of their own, and one's cable is pulled.
        channels = [await server.channel(), apart] * (SLEEPERS // 2)
        asleep = [await opened(channel, run) for channel in (*channels, stalled)]
        relay.stall()
        beside = await seconds_for_all(server, run)
        held = process.memory_info().rss - before
        print(f"{alone=:.1f} {beside=:.1f} held={held / 1e6:.1f} MB of {before / 1e6:.0f}")  # noqa: T201 - for who wonders
        for call in asleep:
            assert not call.done()
            call.cancel()
    assert beside < 2 * alone + SLACK_SECONDS
    assert held < HELD_BYTES


async def warmed(server: MortalProcess) -> Run:
    """Let everything happen once that costs a server memory for good."""
    run = await Run(server).prepare()
    await seconds_for_all(server, run)
    return Run(server)
