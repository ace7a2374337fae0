"""What a body holds, by kind. Anything else in its place is told by its name, with 422; what nobody asks for is ignored."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from google.protobuf import descriptor_pool
from google.protobuf.message import Message

from letta_grpc.gateway.faces.letta.errors import Place, all_unprocessable, unprocessable
from letta_grpc.gateway.failures import Failure
from letta_grpc.gateway.reading import fill

M = TypeVar("M", bound=Message)
T = TypeVar("T")
Body = Mapping[str, Any]

_MOST_CALLS = 500


def filled(message: M, value: Body) -> M:
    """Return a message with these fields in it; what is None is absent. Raises Failure for values of another kind."""
    try:
        fill(message, {name: part for name, part in value.items() if part is not None}, descriptor_pool.Default())
    except Failure as failure:
        raise all_unprocessable(failure.broken or {"": failure.message}) from None
    return message


def text(body: Body, name: str) -> str | None:
    """Return a text; None if it is absent or null. Raises Failure."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise unprocessable(name, "must be a string")
    return value


def required_text(body: Body, name: str) -> str:
    """Return a text that must be there. Raises Failure."""
    value = text(body, name)
    if value is None:
        raise unprocessable(name, "is required")
    return value


def strings(body: Body, name: str) -> list[str]:
    """Return a list of texts; empty if it is absent or null. Raises Failure."""
    value = body.get(name) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise unprocessable(name, "must be a list of strings")
    return value


def few(name: str, given: Sequence[T], place: Place = "body") -> Sequence[T]:
    """Return what a field gives of which each is a call of its own to the server behind. Raises Failure for too many."""
    if len(given) > _MOST_CALLS:
        raise unprocessable(name, f"must have at most {_MOST_CALLS}, has {len(given)}", place)
    return given


def whole_number(body: Body, name: str, default: int, largest: int) -> int:
    """Return a number from 1 on, at most the largest. Raises Failure."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise unprocessable(name, "must be a number from 1 on")
    return min(value, largest)


def moment(name: str, given: str, place: Place = "body") -> datetime:
    """Return a time, in UTC; one without a zone is taken for that. Raises Failure."""
    try:
        time = datetime.fromisoformat(given)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise unprocessable(name, "must be an ISO 8601 time between the years 1 and 9999", place) from None


def objects(body: Body, name: str) -> Sequence[Body]:
    """Return a list of objects; empty if it is absent or null. Raises Failure."""
    value = body.get(name) or []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise unprocessable(name, "must be a list of objects")
    return value


def mapping(body: Body, name: str) -> Body:
    """Return an object; empty if it is absent or null. Raises Failure."""
    value = body.get(name) or {}
    if not isinstance(value, dict):
        raise unprocessable(name, "must be an object")
    return value
