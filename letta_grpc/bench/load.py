"""A measured load: a number of requests, some at once, and what the server's process spent on them."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

import grpc.aio

from letta_grpc.bench.accounting import cpu_seconds
from letta_grpc.bench.errors import TokensBrokenError
from letta_grpc.bench.scenarios import Scenario
from letta_grpc.bench.streams import Received, Streamer, streamer
from letta_grpc.bench.subjects import Server, Subject

# Around each load: what the one before left to do is not charged to this one, what this one leaves to do is.
_SETTLE_SECONDS = 0.2
_STREAM_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to ask of whom. The first requests of a load start spread evenly over `ramp_ms`."""

    subject: Subject
    scenario: Scenario
    requests: int
    concurrency: int = 1
    ramp_ms: int = 0


@dataclass(slots=True)
class Outcome:
    """What came of a load: a failure is a stream that was cut or whose tokens were not each there, once, in order."""

    tokens: int = 0
    requests: int = 0
    cpu_seconds: float = 0
    first_ms: list[float] = field(default_factory=list)
    travel_ms: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def add(self, received: Received, tokens: int) -> None:
        """Count a good stream."""
        self.requests += 1
        self.tokens += tokens
        self.first_ms.append(received.first_ms)
        self.travel_ms.extend(us / 1000 for us in received.travel_us)


async def run_load(load: Load) -> Outcome:
    """Run a load to its end."""
    outcome = Outcome()
    async with streamer(load.subject, load.scenario, requests=load.requests, concurrency=load.concurrency) as stream:
        await asyncio.sleep(_SETTLE_SECONDS)
        cpu = _spent(load.subject)
        async with asyncio.TaskGroup() as group:
            indexes = iter(range(load.requests))
            for worker in range(load.concurrency):
                group.create_task(_work(stream, indexes, load, outcome, delay_ms=load.ramp_ms * worker / load.concurrency))
        await asyncio.sleep(_SETTLE_SECONDS)
        outcome.cpu_seconds = _spent(load.subject) - cpu
    return outcome


async def _work(stream: Streamer, indexes: Iterator[int], load: Load, outcome: Outcome, *, delay_ms: float) -> None:
    await asyncio.sleep(delay_ms / 1000)
    for index in indexes:
        try:
            async with asyncio.timeout(_STREAM_SECONDS):
                outcome.add(await stream(index), load.scenario.tokens)
        except grpc.aio.AioRpcError as error:
            outcome.failures.append(f"{error.code().name}: {error.details()}")
        except (TokensBrokenError, ConnectionError, TimeoutError) as error:
            outcome.failures.append(f"{type(error).__name__}: {error}")


def _spent(subject: Subject) -> float:
    return cpu_seconds(subject.pid) if isinstance(subject, Server) else 0.0
