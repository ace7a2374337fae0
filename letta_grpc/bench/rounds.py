"""Rounds: the same load on each side, one right after the other, so that a machine that drifts drifts for both."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from letta_grpc.bench.errors import NothingMeasuredError
from letta_grpc.bench.holding import Hold, bytes_per_waiting_stream
from letta_grpc.bench.load import Load, Outcome, run_load
from letta_grpc.bench.options import Sizes
from letta_grpc.bench.processes import LoadProcess, Running
from letta_grpc.bench.replay import Replay, Replayed, replay
from letta_grpc.bench.scenarios import Scenario
from letta_grpc.bench.subjects import Direct, Server

_WARM_UP = Load(subject=Direct(address=""), scenario=Scenario(tokens=20), requests=40, concurrency=4)


# Runs a server of one kind for as long as the context lasts.
Starter = Callable[[], AbstractContextManager[Server]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The running processes, and what went wrong with any stream."""

    load: LoadProcess
    upstream: Running
    ours: Server
    ours_running: Running
    ours_idle_bytes: int
    raw: Server
    fresh_ours: Starter
    fresh_raw: Starter
    fresh_web: Starter
    fresh_sse: Starter
    sizes: Sizes
    failures: list[str] = field(default_factory=list)

    def run(self, load: Load) -> Outcome:
        """Run one load. Raises NothingMeasuredError."""
        outcome = self.load.run(run_load, load)
        name = load.subject.name if isinstance(load.subject, Server) else "direct"
        self.failures.extend(f"{name} {load.scenario.model}: {failure}" for failure in outcome.failures)
        if not outcome.requests:
            raise NothingMeasuredError(self.failures[-1])
        return outcome

    def pairs(self, load: Load, rounds: int, against: Server | None = None) -> Iterator[tuple[Outcome, Outcome]]:
        """Run a load `rounds` times against both servers; yield our outcome and the relay's.

        Ours is the load's subject if that is a server. `against`: the relay, if it is not grpc-raw.
        """
        mine = load.subject if isinstance(load.subject, Server) else self.ours
        relay = against or self.raw
        for number in range(rounds):
            if number % 2:
                raw = self.run(replace(load, subject=relay))
                yield self.run(replace(load, subject=mine)), raw
            else:
                ours = self.run(replace(load, subject=mine))
                yield ours, self.run(replace(load, subject=relay))

    def direct(self) -> Direct:
        """Return the bare upstream."""
        return Direct(address=self.upstream.address)

    def hold(self, start: Starter) -> float:
        """Return the bytes that a waiting stream costs in a server of its own, which has served a little before."""
        with start() as server:
            warm_up(self.load, server)
            hold = Hold(server=server, upstream=self.upstream.address, streams=self.sizes.waiting_streams)
            return self.load.run(bytes_per_waiting_stream, hold)

    def replay(self) -> Replayed:
        """Return how quickly a long run of ours is read again."""
        scenario = Scenario(tokens=self.sizes.replay_tokens, gap_ms=1)
        return self.load.run(replay, Replay(server=self.ours, scenario=scenario, attaches=self.sizes.attaches))


def warm_up(load: LoadProcess, server: Server) -> None:
    """Have a server answer a little first: imports, pools and caches are not what is measured."""
    load.run(run_load, replace(_WARM_UP, subject=server))
