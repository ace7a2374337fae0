"""When to try again: exponential back-off with full jitter, bounded by attempts."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from letta_grpc.client.errors import LettaError


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How patient a client is.

    The wait before the n-th new try is drawn evenly from 0 to `initial_seconds` · `multiplier`ⁿ⁻¹, at most
    `maximum_seconds`, and is never shorter than the server asks. An accepted run's stream tries `stream_attempts` times
    after its last progress; whatever else may be repeated without harm is tried `call_attempts` times in all.
    """

    initial_seconds: float = 0.1
    maximum_seconds: float = 10.0
    multiplier: float = 2.0
    stream_attempts: int = 12
    call_attempts: int = 4
    # Gives numbers from 0 to 1.
    draw: Callable[[], float] = random.random


class Backoff:
    """Counts failures since the last progress."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._failures = 0

    def reset(self) -> None:
        """Begin again: there was progress."""
        self._failures = 0

    def delay_after(self, error: LettaError, attempts: int) -> float:
        """Return the seconds to wait before the next try. Raises the error if none is left or none would help."""
        self._failures += 1
        if not error.retryable or self._failures >= attempts:
            self._failures = 0
            raise error
        policy = self._policy
        ceiling = min(policy.maximum_seconds, policy.initial_seconds * policy.multiplier ** (self._failures - 1))
        return max(policy.draw() * ceiling, error.retry_delay or 0.0)
