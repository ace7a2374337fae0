"""What the upstream is to do, told by the name of the model that is asked for."""

import re
from dataclasses import dataclass
from typing import Self

_NAME = re.compile(r"bench-(\d+)-(\d+)(-held)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """An answer of `tokens` tokens, `gap_ms` apart; 0 is a burst, written at once.

    A held answer does not begin before the upstream is told to release it.
    """

    tokens: int
    gap_ms: int = 0
    held: bool = False

    @property
    def model(self) -> str:
        """The model's name at the upstream."""
        return f"bench-{self.tokens}-{self.gap_ms}{'-held' if self.held else ''}"

    @classmethod
    def parse(cls, model: str) -> Self:
        """Return the scenario that a model's name stands for. Raises ValueError."""
        found = _NAME.fullmatch(model)
        if found is None:
            raise ValueError(f"not a model of this upstream: {model}")
        return cls(tokens=int(found[1]), gap_ms=int(found[2]), held=found[3] is not None)
