r"""Path templates of `google.api.http`: `/v1/{name=shelves/*}/books/{id}:read`.

Grammar and decoding rules: google/api/http.proto. A template becomes one regular expression over the path as it was sent,
still percent-encoded: a `%2F` inside a segment is no separator.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

_TOKEN = re.compile(r"/|\*\*|\*|\{([\w.]+)(?:=([^{}]+))?\}|([^/*{}]+)")
_ENCODED_SLASH = re.compile("(%2[fF])")


class BadPathError(ValueError):
    """A path whose escapes are no text."""


@dataclass(frozen=True, slots=True)
class Template:
    """A path template, ready to match. `weight` orders templates: the more is literal, the earlier one is tried.

    `verb`: what stands behind the last colon, in the template.
    """

    text: str
    verb: str
    pattern: re.Pattern[str]
    variables: tuple[str, ...]
    multiple: frozenset[str]
    weight: tuple[bool, int]

    def match(self, path: str) -> Mapping[str, str] | None:
        """Return the variables by field path, decoded; None if the path is another one. Raises BadPathError."""
        found = self.pattern.fullmatch(path)
        if found is None:
            return None
        values = zip(self.variables, found.groups(), strict=True)
        return {name: _decode(value, keep_slashes=name in self.multiple) for name, value in values}


def template_of(text: str) -> Template:
    """Parse a template. Raises ValueError."""
    path, verb = _split_verb(text)
    pattern, variables, multiple, literals = "", [], set[str](), 0
    position = 0
    while position < len(path):
        token = _TOKEN.match(path, position)
        if token is None:
            raise ValueError(f"no path template: {text}")
        position = token.end()
        name, inner, literal = token.groups()
        if name:
            variables.append(name)
            inner = inner or "*"
            if "/" in inner or "**" in inner:
                multiple.add(name)
            pattern += f"({_segments(inner)})"
        else:
            pattern += _segments(token.group())
            literals += bool(literal)
    if verb:
        pattern += re.escape(f":{verb}")
    return Template(text, verb, re.compile(pattern), tuple(variables), frozenset(multiple), (not verb, -literals))


def _split_verb(text: str) -> tuple[str, str]:
    last = text.rfind("/")
    colon = text.rfind(":")
    return (
        (text[:colon], text[colon + 1 :])
        if colon > max(last, text.rfind("}")) or text[colon - 1 : colon] == "}"
        else (text, "")
    )


def _segments(inner: str) -> str:
    return re.escape(inner).replace(r"\*\*", ".+").replace(r"\*", "[^/]+")


def _decode(value: str, *, keep_slashes: bool) -> str:
    try:
        if not keep_slashes:
            return unquote(value, errors="strict")
        return "".join(
            part if _ENCODED_SLASH.fullmatch(part) else unquote(part, errors="strict") for part in _ENCODED_SLASH.split(value)
        )
    except UnicodeDecodeError as error:
        raise BadPathError(f"the path holds what is no UTF-8: {value}") from error
