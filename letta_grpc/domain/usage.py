"""What a model call cost and how long things took."""

from dataclasses import dataclass, fields


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
