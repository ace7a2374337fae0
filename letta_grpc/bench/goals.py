"""The goals that each measure is held against, by the row of the benchmark."""

from dataclasses import dataclass
from enum import Enum

ENFORCED_ROWS = frozenset({1, 4, 8, 11})


class Against(Enum):
    """What a goal limits."""

    RATIO = "ratio to the relay"
    VALUE = "our own value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One measure with its limits: upper ones unless `at_least`."""

    row: int
    measure: str
    unit: str
    target: float
    stretch: float | None = None
    against: Against = Against.RATIO
    at_least: bool = False

    def meets(self, figure: float, limit: float | None) -> bool:
        """Say whether a figure keeps to a limit; there is none to break where it is None."""
        return limit is None or (figure >= limit if self.at_least else figure <= limit)


FIRST_TOKEN = Goal(row=1, measure="TTFT over direct, c=1", unit="ms", target=2, stretch=1.5)
FIRST_TOKEN_BUSY = Goal(row=2, measure="TTFT p99, c=10", unit="ms", target=2.5, stretch=1.5)
PACED_CPU = Goal(row=3, measure="CPU per 1000 tokens, paced", unit="ms", target=1.3, stretch=1.05)
BURST_ONE = Goal(row=4, measure="CPU per 1000 tokens, burst, c=1", unit="ms", target=0.15, stretch=0.07)
BURST_MANY = Goal(row=4, measure="CPU per 1000 tokens, burst, c=100", unit="ms", target=0.25, stretch=0.13)
PACED_LATENCY = Goal(row=5, measure="latency p99, paced", unit="ms", target=3, stretch=1.5)
PACED_LATENCY_MS = Goal(row=5, measure="latency p99, paced", unit="ms", target=15, against=Against.VALUE)
PACED_CUT = Goal(row=5, measure="streams cut, paced", unit="", target=0, against=Against.VALUE)
CROWD_RATE = Goal(row=6, measure="tokens per CPU-second, crowd", unit="/s", target=1.1, stretch=1.5, at_least=True)
CROWD_LATENCY = Goal(row=6, measure="latency p99, crowd", unit="ms", target=500, against=Against.VALUE)
CROWD_CUT = Goal(row=6, measure="streams cut, crowd", unit="", target=0, against=Against.VALUE)
SHORT_RATE = Goal(row=7, measure="1-token requests per CPU-second, c=100", unit="/s", target=0.45, stretch=0.6, at_least=True)
WAITING_MEMORY = Goal(row=8, measure="memory per waiting StreamRun", unit="KiB", target=1.6, stretch=1.3)
IDLE_MEMORY = Goal(row=9, measure="idle RSS", unit="MiB", target=110, stretch=80, against=Against.VALUE)
START = Goal(row=9, measure="start until it listens", unit="s", target=2, stretch=1, against=Against.VALUE)
EVENT_STREAM_ONE = Goal(row=10, measure="SSE: CPU per 1000 tokens, burst, c=1", unit="ms", target=3, stretch=2)
EVENT_STREAM_MANY = Goal(row=10, measure="SSE: CPU per 1000 tokens, burst, c=100", unit="ms", target=3, stretch=2)
REPLAY_RATE = Goal(
    row=11,
    measure="replayed events per CPU-second",
    unit="/s",
    target=150_000,
    stretch=400_000,
    against=Against.VALUE,
    at_least=True,
)
