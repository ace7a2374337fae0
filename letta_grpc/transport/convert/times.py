"""Times and durations."""

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from letta_grpc.transport.convert.rules import Rules

NANOS = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Timestamp's own range: years 1 to 9999.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799


def timestamp_to_pb(time: datetime) -> Timestamp:
    """Return a time, exact to the microsecond."""
    seconds, micros = divmod((time - _EPOCH) // _MICROSECOND, 1_000_000)
    return Timestamp(seconds=seconds, nanos=micros * 1000)


def timestamp_from_pb(time: Timestamp) -> datetime:
    """Return a time that the server wrote, cut to the microsecond."""
    return _EPOCH + timedelta(seconds=time.seconds, microseconds=time.nanos // 1000)


def checked_timestamp(rules: Rules, path: str, time: Timestamp) -> datetime:
    """Return a time from a request."""
    if not (_FIRST_SECOND <= time.seconds <= _LAST_SECOND and 0 <= time.nanos < NANOS):
        rules.broken(path, "is not a time between the years 1 and 9999")
        return _EPOCH
    return timestamp_from_pb(time)


def checked_duration(rules: Rules, path: str, span: Duration, low: timedelta, high: timedelta) -> timedelta:
    """Return a duration from a request, cut to the microsecond; it must be within bounds."""
    nanos = span.seconds * NANOS + span.nanos
    # Compared as nanoseconds: a Duration can be too long for a timedelta.
    if not (low // _MICROSECOND * 1000 <= nanos <= high // _MICROSECOND * 1000):
        rules.broken(path, f"must be {low.total_seconds():g} s to {high.total_seconds():g} s, is {nanos / NANOS:g} s")
        return low
    return timedelta(microseconds=nanos // 1000)


def seconds_to_pb(seconds: float) -> Duration:
    """Return a number of seconds as a duration, to the microsecond."""
    whole, micros = divmod(round(seconds * 1_000_000), 1_000_000)
    return Duration(seconds=whole, nanos=micros * 1000)


def seconds_from_pb(span: Duration) -> float:
    """Return a duration as a number of seconds."""
    return (span.seconds * 1_000_000 + span.nanos // 1000) / 1_000_000
