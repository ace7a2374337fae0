"""What to measure, and how long."""

from dataclasses import dataclass, field
from pathlib import Path

ALL_ROWS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of everything. A round is the same load on each side, one after the other."""

    rounds: int
    first_token_samples: int  # c=1, of each round
    busy_samples: int  # c=10, of each round
    paced_streams: int
    paced_tokens: int
    crowd_streams: int
    crowd_tokens: int
    crowd_rounds: int
    burst_tokens: int
    burst_requests: int  # c=1, of each round
    burst_streams: int
    short_requests: int
    short_streams: int
    waiting_streams: int
    waiting_rounds: int
    replay_tokens: int
    attaches: int


FULL = Sizes(
    rounds=4,
    first_token_samples=100,
    busy_samples=250,
    paced_streams=100,
    paced_tokens=200,
    crowd_streams=500,
    crowd_tokens=150,
    crowd_rounds=2,
    burst_tokens=1000,
    burst_requests=20,
    burst_streams=100,
    short_requests=1500,
    short_streams=100,
    waiting_streams=500,
    waiting_rounds=2,
    # More tokens than the events that the replay needs: two that the server reads at once are one event.
    replay_tokens=12_000,
    attaches=20,
)

QUICK = Sizes(
    rounds=2,
    first_token_samples=60,
    busy_samples=250,
    paced_streams=100,
    paced_tokens=75,
    crowd_streams=500,
    crowd_tokens=50,
    crowd_rounds=1,
    burst_tokens=1000,
    burst_requests=15,
    burst_streams=100,
    short_requests=500,
    short_streams=100,
    waiting_streams=250,
    waiting_rounds=1,
    replay_tokens=12_000,
    attaches=10,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """A run of the benchmark. `sizes` takes the place of what `quick` says."""

    output: Path = Path("build/bench")
    rows: frozenset[int] = field(default=ALL_ROWS)
    quick: bool = False
    enforce: bool = False
    sizes: Sizes | None = None
