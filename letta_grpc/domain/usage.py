"""What a model call cost and how long things took."""

from dataclasses import dataclass, fields
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts as the provider reported them: None is "not reported", 0 is a reported zero."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    context_tokens: int | None = None
    step_count: int | None = None

    def __add__(self, other: "Usage") -> "Usage":
        """Return the sum; `context_tokens` is that of the later call, None adds nothing."""
        sums = {f.name: _plus(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        sums["context_tokens"] = self.context_tokens if other.context_tokens is None else other.context_tokens
        return Usage(**sums)


def _plus(left: int | None, right: int | None) -> int | None:
    if left is None or right is None:
        return right if left is None else left
    return left + right


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Times in seconds, from the acceptance of a run or the start of a step."""

    time_to_first_token: float | None = None
    total: float | None = None
    tokens_per_second: float | None = None

    @classmethod
    def between(
        cls, start_ns: int, end_ns: int, *, first_token_ns: int | None, last_token_ns: int | None, usage: Usage
    ) -> Self:
        """Return how long something took from its start to its end, and how fast the tokens of its `usage` came.

        A time below zero is left out as unknown: the clock was put back meanwhile.
        """
        writing = _seconds(first_token_ns, last_token_ns)
        return cls(
            time_to_first_token=_seconds(start_ns, first_token_ns),
            total=_seconds(start_ns, end_ns),
            tokens_per_second=usage.completion_tokens / writing if usage.completion_tokens and writing else None,
        )


def _seconds(start_ns: int | None, end_ns: int | None) -> float | None:
    if start_ns is None or end_ns is None or end_ns < start_ns:
        return None
    return (end_ns - start_ns) / 1e9
