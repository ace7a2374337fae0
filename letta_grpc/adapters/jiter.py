"""Partial JSON by jiter.

jiter parses all that it is given, from its beginning. So that a long string isn't parsed again with each of its pieces, what
was read of it is forgotten: the rest is parsed as if the object began with it.
"""

import json
from collections.abc import Sequence
from typing import Literal

from jiter import from_json

from letta_grpc.ports.partial_json import Addition

# How many characters are parsed again with each piece before the reader forgets what it has read.
_BOUND = 1024
# A long value that isn't a string cannot be forgotten: it is parsed again once the text has grown by a 16th.
_GROWTH = 16


class JiterStrings:
    """Reads the values of some members."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._given: dict[str, list[str]] = {key: [] for key in keys}
        self._pieces: list[str] = []
        # What is parsed: the end of all that came, and how much of each value in it was given.
        self._text = ""
        self._shown: dict[str, int] = {}
        self._past: set[str] = set()
        self._parse_at = 0
        self._broken = False

    def feed(self, text: str) -> Sequence[Addition]:
        """Take the next piece; return what it adds."""
        self._pieces.append(text)
        if self._broken:
            return ()
        self._text += text
        return self._read() if len(self._text) >= self._parse_at else ()

    def finish(self) -> Sequence[Addition]:
        """Return what was held back, or could not be read while it was partial."""
        members = _members("".join(self._pieces))
        if members is None:
            return () if self._broken else self._read()
        additions = []
        for key, texts in self._given.items():
            value, given = members.get(key), "".join(texts)
            if isinstance(value, str) and value != given and value.startswith(given):
                additions.append((key, value[len(given) :]))
                texts.append(value[len(given) :])
        return additions

    def _read(self) -> Sequence[Addition]:
        if not self._text or self._text.isspace():
            return ()
        try:
            seen = _parse(self._text, "trailing-strings")
        except ValueError:
            self._broken = True
            return ()
        if not isinstance(seen, dict):
            self._broken = True
            return ()
        additions = self._additions(seen)
        if len(self._text) > _BOUND:
            self._forget(seen)
        return additions

    def _additions(self, seen: dict[str, object]) -> list[Addition]:
        additions = []
        for key, value in seen.items():
            if key not in self._given or key in self._past or not isinstance(value, str):
                continue
            if new := value[self._shown.get(key, 0) :]:
                self._given[key].append(new)
                self._shown[key] = len(value)
                additions.append((key, new))
        return additions

    def _forget(self, seen: dict[str, object]) -> None:
        last = next(reversed(seen), "")
        if not isinstance(seen.get(last), str):
            self._parse_at = len(self._text) + len(self._text) // _GROWTH
        elif self._stands_in_string():
            self._past.update(key for key in seen if key != last)
            self._shown, self._parse_at = {}, 0
            self._text = f'{{{json.dumps(last)}:"'

    def _stands_in_string(self) -> bool:
        """Say whether the text ends inside the string of a member, not inside an escape: a quote and a brace complete it."""
        try:
            _parse(f'{self._text}"}}', "off")
        except ValueError:
            return False
        return True


def _parse(text: str, mode: Literal["off", "trailing-strings"]) -> object:
    return from_json(text.encode(errors="replace"), partial_mode=mode, catch_duplicate_keys=True)


class Jiter:
    """Makes readers."""

    def strings(self, keys: Sequence[str]) -> JiterStrings:
        """Return a reader of these members of one object."""
        return JiterStrings(keys)


def _members(text: str) -> dict[str, object] | None:
    """Return the members of a whole object, as leniently as arguments are read everywhere; None if it is none."""
    try:
        value = json.loads(text, strict=False, object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    return {key: text.encode(errors="replace").decode() if isinstance(text, str) else text for key, text in value.items()}
