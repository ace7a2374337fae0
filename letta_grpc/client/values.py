"""From Python's values to those of requests. What protobuf would refuse without a word is refused here by its name."""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

Seconds = float | timedelta
# JSON as Python has it, or as text where key order and spelling matter.
JsonText = str | Mapping[str, Any]
RequestId = str | uuid.UUID
Choice = TypeVar("Choice")


def json_text(value: JsonText | None) -> str | None:
    """Return JSON as text; text stays as it is."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def duration(value: Seconds | None, field: str = "timeout") -> Duration | None:
    """Return a time span, or None to leave the server its default. Raises ValueError for one without an end."""
    if value is None:
        return None
    span = Duration()
    try:
        span.FromTimedelta(value if isinstance(value, timedelta) else timedelta(seconds=value))
    except TypeError:
        raise TypeError(f"{field} is {value!r}; it must be a timedelta or a number of seconds") from None
    except (ValueError, OverflowError):
        raise ValueError(f"{field} is {value}; it must end: give a number of seconds, or None for the default") from None
    return span


def timestamp(time: datetime | None) -> Timestamp | None:
    """Return a point in time; one without a zone is local, as everywhere in Python."""
    if time is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(time.astimezone())
    return stamp


def chosen(field: str, word: str | None, choices: Mapping[str | None, Choice]) -> Choice:
    """Return what a word stands for, however it is spelled. Raises ValueError, which lists the words."""
    choice = choices.get(word.lower() if isinstance(word, str) else word)
    if choice is None:
        raise ValueError(f"{field} is {word!r}; it must be one of {', '.join(one for one in choices if one)}")
    return choice


def id_of(field: str, given: str) -> str:
    """Return an id as it is. Raises TypeError for what has one, an agent in place of `agent.id`, and for other things."""
    kept: object = given
    if not isinstance(kept, str):
        what = f"of type {type(kept).__name__}: give its id" if isinstance(kept, Message) else repr(kept)
        raise TypeError(f"{field} is {what}; it must be a str")
    return given


def texts(metadata: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """Return metadata as it is. Raises TypeError where it holds other than texts: protobuf's own does not name the field."""
    entries: Iterable[tuple[object, object]] = (metadata or {}).items()
    for name, value in entries:
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"metadata has {name!r}: {value!r}; names and values must be str")
    return metadata


def names_of(field: str, given: Sequence[str] | None) -> Sequence[str] | None:
    """Return a list of names. Raises TypeError for one text, which protobuf takes letter by letter, and for other things."""
    if isinstance(given, str):
        raise TypeError(f"{field} is {given!r}; it must be a list of str, as [{given!r}]")
    if given is None:
        return None
    entries: Iterable[object] = given
    names: list[str] = []
    for one in entries:
        if not isinstance(one, str):
            told = f"{field} has {one!r}; it must be a list of str"
            raise TypeError(f"{told}: what `client.tools.upsert` makes of a function has a name" if callable(one) else told)
        names.append(one)
    return names


def request_id_of(given: RequestId | None) -> str:
    """Return a request id as text; without one a new one, which makes the request safe to repeat. Raises TypeError."""
    kept: object = given
    if kept is not None and not isinstance(kept, str | uuid.UUID):
        raise TypeError(f"request_id is {given!r}; it must be a UUID, as text or as it is")
    return str(given or uuid.uuid4())
