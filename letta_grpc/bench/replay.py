"""How quickly a finished run is read again."""

import asyncio
from dataclasses import dataclass
from statistics import median

import grpc.aio

from letta_grpc.bench.accounting import cpu_seconds
from letta_grpc.bench.errors import TokensBrokenError
from letta_grpc.bench.scenarios import Scenario
from letta_grpc.bench.streams import channels, streamer
from letta_grpc.bench.subjects import Server
from letta_grpc.bench.tokens import now_us
from letta_grpc.v1 import run_service_pb2

_SETTLE_SECONDS = 0.2
_ATTACH = "/letta_grpc.v1.RunService/AttachRun"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Make a run of this scenario and attach to it from its first event, `attaches` times."""

    server: Server
    scenario: Scenario
    attaches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """How it went: every attach gave all numbers, each once, in order."""

    events: int
    events_per_cpu_second: float
    events_per_second: float


async def replay(job: Replay) -> Replayed:
    """Run, then read again. Messages are taken off the wire while the clock runs, and parsed and checked after it."""
    async with streamer(job.server, job.scenario, requests=1, concurrency=1) as stream:
        run = await stream(0)
    request = run_service_pb2.AttachRunRequest(run_id=run.run_id).SerializeToString()
    wall: list[float] = []
    async with channels(job.server, 1) as (channel,):
        attach: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(_ATTACH)
        spent = cpu_seconds(job.server.pid)
        for _ in range(job.attaches):
            started = now_us()
            messages = [message async for message in attach(request)]
            wall.append((now_us() - started) / 1e6)
            _check(messages, run.last_sequence_number)
        await asyncio.sleep(_SETTLE_SECONDS)
        spent = cpu_seconds(job.server.pid) - spent
    return Replayed(
        events=run.last_sequence_number,
        events_per_cpu_second=job.attaches * run.last_sequence_number / spent,
        events_per_second=run.last_sequence_number / median(wall),
    )


def _check(messages: list[bytes], last: int) -> None:
    numbers = [
        event.sequence_number
        for message in messages
        for event in run_service_pb2.AttachRunResponse.FromString(message).events
        if not event.HasField("heartbeat")
    ]
    if numbers != list(range(1, last + 1)):
        raise TokensBrokenError(f"a replay of {last} events gave {len(numbers)}, or not in order")
