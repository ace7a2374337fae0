"""Transcripts reduced to what two servers can have in common: kinds, order, fields, and how ids hang together.

Of a value is kept what kind it has, except where the value itself is part of the format; ids become names by which their
relations show: `M1` a message, `M1-1` the id one below it, `M1/2` the otid of its third piece.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from tests.support.letta import Frame

# What is compared as it is.
_LITERAL = frozenset({"message_type", "stop_reason", "status", "type", "source", "state", "error_type", "content", "role"})
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?")
_LOW_BITS = 128

Shape = dict[str, Any]


class _Names:
    """Names for ids in the order of their appearance."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}
        self._counts: dict[str, int] = {}

    def of(self, text: str, letter: str) -> str:
        number = UUID(_UUID.search(text)[0]).int  # type: ignore[index]  # it is there
        if number in self._known:
            return self._known[number]
        if number + 1 in self._known:
            return f"{self._known[number + 1]}-1"
        self._counts[letter] = self._counts.get(letter, 0) + 1
        return self._known.setdefault(number, f"{letter}{self._counts[letter]}")

    def otid(self, text: str, message: str) -> str:
        if text == message:
            return self.of(text, "M")
        piece, base = UUID(text).int, UUID(message.removeprefix("message-")).int
        if piece // _LOW_BITS == base // _LOW_BITS:
            return f"{self.of(message, 'M')}/{piece % _LOW_BITS}"
        return "uuid"


def shape_of_stream(frames: Sequence[Frame]) -> list[Shape]:
    """The shape of a stream."""
    names = _Names()
    return [{"event": frame.event} | (shape_of(frame.data, names) if frame.data else {"done": True}) for frame in frames]


def shape_of(item: Mapping[str, Any], names: _Names | None = None) -> Shape:
    """The shape of a JSON object, its fields in their order."""
    known = names or _Names()
    return {key: _shape(key, value, item, known) for key, value in item.items()}


def _shape(key: str, value: Any, item: Mapping[str, Any], names: _Names) -> Any:  # noqa: ANN401, PLR0911 - any JSON, many kinds
    match value:
        case None | bool():
            return value
        case str() if key == "otid" and str(item.get("id", "")).startswith("message-"):
            return names.otid(value, item["id"])
        case str() if key in {"id", "run_id", "step_id", "agent_id", "conversation_id"} and _UUID.search(value):
            return names.of(value, value[0].upper())
        case str():
            return value if key in _LITERAL else "date" if _DATE.fullmatch(value) else "str"
        case int() | float():
            return "number"
        case list() if all(isinstance(each, str) for each in value):
            # Lines of output: as many as there are.
            return "lines"
        case list():
            return [_shape(key, each, item, names) for each in value]
        case dict():
            return shape_of(value, names)
    raise TypeError(value)
