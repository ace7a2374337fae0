"""Usage and timing."""

from dataclasses import fields

from letta_grpc.domain.usage import Timing, Usage
from letta_grpc.transport.convert.times import seconds_from_pb, seconds_to_pb
from letta_grpc.v1 import runs_pb2

_COUNTS = tuple(field.name for field in fields(Usage))
_INT32_MAX = 2**31 - 1


def usage_to_pb(usage: Usage) -> runs_pb2.Usage:
    """Return counts; what was not reported stays absent. A count beyond int32, or below 0, is the nearest that fits."""
    message = runs_pb2.Usage()
    for name in _COUNTS:
        if (count := getattr(usage, name)) is not None:
            setattr(message, name, min(max(count, 0), _INT32_MAX))
    return message


def usage_from_pb(usage: runs_pb2.Usage) -> Usage:
    """Return counts."""
    return Usage(**{field.name: value for field, value in usage.ListFields()})


def timing_to_pb(timing: Timing) -> runs_pb2.Timing:
    """Return times."""
    message = runs_pb2.Timing(tokens_per_second=timing.tokens_per_second)
    if timing.time_to_first_token is not None:
        message.time_to_first_token.CopyFrom(seconds_to_pb(timing.time_to_first_token))
    if timing.total is not None:
        message.total.CopyFrom(seconds_to_pb(timing.total))
    return message


def timing_from_pb(timing: runs_pb2.Timing) -> Timing:
    """Return times."""
    first = timing.time_to_first_token
    return Timing(
        time_to_first_token=seconds_from_pb(first) if timing.HasField("time_to_first_token") else None,
        total=seconds_from_pb(timing.total) if timing.HasField("total") else None,
        tokens_per_second=timing.tokens_per_second if timing.HasField("tokens_per_second") else None,
    )
