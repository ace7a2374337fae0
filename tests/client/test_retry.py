from collections.abc import Iterator
from itertools import islice

import pytest

from letta_grpc.client import LettaError, RetryPolicy, StreamBroken
from letta_grpc.client.retry import Backoff

LOST = StreamBroken("the link broke")
DEFAULT = RetryPolicy()


def waits(attempts: int, drawn: float) -> Iterator[float]:
    """Yield the waits of an outage, until no try is left."""
    backoff = Backoff(RetryPolicy(draw=lambda: drawn))
    try:
        while True:
            yield backoff.delay_after(LOST, attempts)
    except LettaError:
        return


@pytest.mark.parametrize(("drawn", "share"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
def test_a_wait_is_drawn_from_half_of_its_ceiling_on(drawn: float, share: float) -> None:
    ceilings = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert list(waits(10, drawn)) == pytest.approx([ceiling * share for ceiling in ceilings])


def test_a_stream_outlasts_a_minute_of_outage_however_its_waits_are_drawn() -> None:
    assert sum(waits(DEFAULT.stream_attempts, 0.0)) >= 60


def test_a_start_outlasts_a_restart_and_keeps_nobody_waiting_for_long() -> None:
    assert sum(waits(DEFAULT.call_attempts, 0.0)) >= 10
    assert sum(waits(DEFAULT.call_attempts, 1.0)) <= 25


def test_thousands_of_failures_overflow_nothing() -> None:
    assert max(islice(waits(10_000, 1.0), 5000)) == 10
