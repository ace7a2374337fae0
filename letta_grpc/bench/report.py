"""What a run of the benchmark found."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from letta_grpc.bench.goals import ENFORCED_ROWS, Against, Goal


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One measure: our value, the relay's where it has one, and how they compare."""

    goal: Goal
    ours: float
    raw: float | None = None
    ratio: float | None = None
    note: str = ""

    @property
    def figure(self) -> float:
        """What the goal's limits are about. Raises ValueError if the ratio it needs was not measured."""
        if self.goal.against is Against.VALUE:
            return self.ours
        if self.ratio is None:
            raise ValueError(f"no ratio for {self.goal.measure}")
        return self.ratio

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.goal.meets(self.figure, self.goal.target)

    @property
    def stretched(self) -> bool:
        """Whether the stretch goal, where there is one, is met as well."""
        return self.met and self.goal.meets(self.figure, self.goal.stretch)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchReport:
    """All lines, every stream that failed, and where it was measured."""

    lines: Sequence[Line]
    failures: Sequence[str] = ()
    machine: dict[str, str] = field(default_factory=dict)
    enforced: bool = False

    @property
    def exit_code(self) -> int:
        """Return 1 if a stream was cut or lost tokens, or if a target that is enforced was missed; otherwise 0."""
        missed = self.enforced and any(not line.met for line in self.lines if line.goal.row in ENFORCED_ROWS)
        return 1 if self.failures or missed else 0
