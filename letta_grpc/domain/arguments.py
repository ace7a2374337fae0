"""The arguments of tool calls: JSON text that a model wrote, and not always JSON."""

import json


def object_in(text: str) -> dict[str, object] | None:
    """Return arguments as an object, None if they are no JSON object. Empty arguments are an object without members.

    Strings may hold control characters unescaped: many models write line ends so.
    """
    try:
        value = json.loads(text or "{}", strict=False)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def as_json(text: str) -> str:
    """Return arguments as every reader of JSON takes them: unescaped line ends in strings become escapes.

    What is no object even so stays as it is.
    """
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        members = object_in(text) if text else None
        return text if members is None else text_of(members)
    return text


def text_of(members: dict[str, object]) -> str:
    """Return an object as the text of arguments. Half a surrogate pair becomes a question mark."""
    return json.dumps(members, ensure_ascii=False).encode(errors="replace").decode()


def can_be_sent(value: object) -> bool:
    """Say whether JSON can express all of a value. Python reads and writes more: NaN, Infinity, half a surrogate pair."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    return True


def merged(written: str, given: str | None) -> str:
    """Return the model's arguments, replaced where a rule gives others; arguments that are no object are left out."""
    if not given:
        return written
    return text_of({**(object_in(written) or {}), **(object_in(given) or {})})
