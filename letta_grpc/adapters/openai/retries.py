"""When to ask again: before the first token only, at most twice, never sooner than the provider asks for."""

import random

from letta_grpc.domain.errors import ModelFailure

MAX_RETRIES = 2
FIRST_DELAY_SECONDS = 0.5
# A caller who waits longer than this without a token is better told.
LONGEST_DELAY_SECONDS = 20.0


def retry_delay(failure: ModelFailure, retries: int) -> float | None:
    """Return how long to wait before asking again after `retries` retries; None where asking again makes no sense."""
    least = failure.retry_delay_seconds
    if least is None or least > LONGEST_DELAY_SECONDS or retries >= MAX_RETRIES:
        return None
    # Jitter keeps the many that failed together from coming back together.
    backoff = FIRST_DELAY_SECONDS * 2.0**retries * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
    return max(least, backoff)
