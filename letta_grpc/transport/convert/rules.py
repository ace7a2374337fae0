"""Collecting every rule that a request breaks."""

import json
import re
from collections.abc import Collection, Mapping
from itertools import islice
from types import TracebackType
from typing import Self, TypeVar

from letta_grpc.domain.arguments import can_be_sent
from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.domain.ids import is_id

MAX_NAME = 256
MAX_TAGS = 64
MAX_METADATA_ENTRIES = 64
# A description stands in every answer that shows its agent or block.
MAX_DESCRIPTION = 4096
# Metadata of a run stands in its first and last event, and one event is at most 2 MiB.
MAX_METADATA_BYTES = 65_536
# Events and messages must fit into what any gRPC client takes by default, which is 4 MiB.
MAX_TEXT_BYTES = 1_048_576
_PLAIN_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_LABEL = re.compile(r"[a-zA-Z0-9_/-]{1,64}")
# How many broken rules are told of one request. One of 4 MiB can break two million, and each costs time and memory.
_MAX_BROKEN = 32
UNSENDABLE = "must not hold what JSON has no word for: NaN, Infinity, half a surrogate pair"

T = TypeVar("T")


class Rules:
    """Reads the fields of one request. Leaving the `with` block raises InvalidRequest with all that was found, if anything.

    Rule: whatever can be repeated goes through `at_most` before any of it is judged.
    """

    def __init__(self) -> None:
        self._broken: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Raise what was found."""
        if error is None and self._broken:
            raise InvalidRequest(fields=self._broken)

    @property
    def any_broken(self) -> bool:
        """Whether anything was found so far."""
        return bool(self._broken)

    def broken(self, path: str, rule: str) -> None:
        """Note a broken rule; the first one of a field stands. Raises InvalidRequest when these are enough."""
        self._broken.setdefault(path, rule)
        if len(self._broken) >= _MAX_BROKEN:
            raise InvalidRequest(fields=self._broken | {"…": "there may be more, which was not looked at"})

    def id(self, path: str, kind: str, text: str) -> str:
        """Return an id that must be there."""
        if not text:
            self.broken(path, f"is required: {kind}-<uuid4>")
        elif not is_id(kind, text):
            self.broken(path, f"must be {kind}-<uuid4>, in lower case")
        return text

    def optional_id(self, path: str, kind: str, text: str) -> str | None:
        """Return an id, None where the field is empty."""
        return self.id(path, kind, text) if text else None

    def number(self, path: str, value: int, low: int, high: int) -> int:
        """Return a number that must be within bounds."""
        if not low <= value <= high:
            self.broken(path, f"must be {low} to {high}, is {value}")
        return value

    def at_least(self, path: str, value: int, low: int) -> int:
        """Return a number with a lower bound."""
        if value < low:
            self.broken(path, f"must be at least {low}, is {value}")
        return value

    def text(self, path: str, value: str, max_characters: int, *, required: bool = False) -> str:
        """Return a text of limited length."""
        if required and not value:
            self.broken(path, "must not be empty")
        if len(value) > max_characters:
            self.broken(path, f"must have at most {max_characters} characters, has {len(value)}")
        return value

    def plain_name(self, path: str, name: str) -> str:
        """Return a name of few characters, as model providers take it for a tool."""
        if not _PLAIN_NAME.fullmatch(name):
            self.broken(path, "must be 1 to 64 of a-z A-Z 0-9 _ -")
        return name

    def label(self, path: str, label: str) -> str:
        """Return the label of a memory block: it may have slashes, as those of Letta's clients do."""
        if not _LABEL.fullmatch(label):
            self.broken(path, "must be 1 to 64 of a-z A-Z 0-9 _ - /")
        return label

    def at_most(self, path: str, items: Collection[T], most: int) -> tuple[T, ...]:
        """Return the items; of too many, only the first ones."""
        if len(items) > most:
            self.broken(path, f"must have at most {most}, has {len(items)}")
        return tuple(islice(items, most))

    def names(self, path: str, names: Collection[str], most: int, max_characters: int = MAX_NAME) -> tuple[str, ...]:
        """Return the names, at most `most`, none of them empty or too long."""
        few = self.at_most(path, names, most)
        return tuple(self.text(f"{path}[{index}]", name, max_characters, required=True) for index, name in enumerate(few))

    def tags(self, path: str, tags: Collection[str], most: int, max_characters: int = MAX_NAME) -> tuple[str, ...]:
        """Return the tags, each once, at most `most`, none of them empty or too long."""
        return tuple(dict.fromkeys(self.names(path, tags, most, max_characters)))

    def sought_tags(self, path: str, tags: Collection[str], most: int) -> tuple[str, ...]:
        """Return tags that all must be there, each once; `most` is how many there can be."""
        return self.at_most(path, dict.fromkeys(tags), most)

    def long_text(self, path: str, value: str, max_bytes: int = MAX_TEXT_BYTES, *, required: bool = False) -> str:
        """Return a text that fits into an event and into a message."""
        if required and not value:
            self.broken(path, "must not be empty")
        size = len(value.encode())
        if size > max_bytes:
            self.broken(path, f"must have at most {max_bytes} bytes, has {size}")
        return value

    def json_object(self, path: str, value: str, max_bytes: int) -> str:
        """Return the JSON text of an object, which every reader of JSON takes."""
        self.long_text(path, value, max_bytes)
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            self.broken(path, "must be the JSON text of an object")
        elif not can_be_sent(found):
            self.broken(path, UNSENDABLE)
        return value

    def metadata(self, path: str, value: Mapping[str, str], max_bytes: int = MAX_METADATA_BYTES) -> dict[str, str]:
        """Return metadata of limited size."""
        if not value:
            return {}
        if len(value) > MAX_METADATA_ENTRIES:
            self.broken(path, f"must have at most {MAX_METADATA_ENTRIES} entries, has {len(value)}")
            return {}
        entries = dict(value)
        size = sum(len(key.encode()) + len(text.encode()) for key, text in entries.items())
        if size > max_bytes:
            self.broken(path, f"must have at most {max_bytes} bytes in all, has {size}")
        return entries
