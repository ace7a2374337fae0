"""Times."""

from datetime import UTC, datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_NANOS = 1_000_000_000


def date_of(time: Timestamp) -> str:
    """Return a time as messages bear it: whole seconds, UTC."""
    return datetime.fromtimestamp(time.seconds, UTC).isoformat()


def timestamp_of(message: object, field: str) -> str | None:
    """Return the time that a field of a message holds, None if it is absent."""
    if not message.HasField(field):  # type: ignore[attr-defined]  # any protobuf message
        return None
    time: Timestamp = getattr(message, field)
    return time.ToDatetime(UTC).isoformat().replace("+00:00", "Z")


def nanoseconds(time: Timestamp | Duration) -> int:
    """Return a time since 1970, or how long something took."""
    return time.seconds * _NANOS + time.nanos
