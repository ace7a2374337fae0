"""When to try again: exponential back-off with jitter, bounded by attempts."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from letta_grpc.client.errors import LettaError


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How patient a client is.

    The wait before the n-th new try has a ceiling, `initial_seconds` · `multiplier`ⁿ⁻¹ and at most `maximum_seconds`. It is
    drawn evenly from half of it to the whole, and is never shorter than the server asks. An accepted run's stream tries
    `stream_attempts` times after its last progress: by default it goes on through any outage of a minute, and gives up after
    66 to 133 seconds. Whatever else may be repeated without harm, the start of a run and a stream's `started` too, is tried
    `call_attempts` times in all: by default through any outage of ten seconds, longer than a restart takes; it gives up after
    11 to 23 seconds.
    """

    initial_seconds: float = 0.1
    maximum_seconds: float = 10.0
    multiplier: float = 2.0
    stream_attempts: int = 20
    call_attempts: int = 9
    # Gives numbers from 0 to 1.
    draw: Callable[[], float] = random.random


class Backoff:
    """Counts failures since the last progress."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._failures = 0
        self._ceiling = 0.0

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
        # Step by step: the power itself overflows after a thousand failures.
        grown = policy.initial_seconds if self._failures == 1 else self._ceiling * policy.multiplier
        self._ceiling = min(policy.maximum_seconds, grown)
        # Not from 0 on: a few short draws in a row would spend the attempts long before the server is back.
        drawn = self._ceiling * (1 + policy.draw()) / 2
        return max(drawn, error.retry_delay or 0.0)
