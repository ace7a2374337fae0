"""JSON that is kept as text, as a part of an answer."""

from typing import Any

import orjson

from letta_grpc.gateway.reading import deeper_than

# As deep as bodies may be. orjson reads four times as deep as it writes: what it could not write would fail the whole answer.
MAX_DEPTH = 64


def stored_json(text: str) -> Any:  # noqa: ANN401 - any JSON
    """Return the value of a text. Raises ValueError for what is no JSON, and for what is nested too deeply for an answer."""
    value = orjson.loads(text)
    # To count brackets costs nothing beside a walk through all values.
    if text.count("[") + text.count("{") > MAX_DEPTH and deeper_than(value, MAX_DEPTH):
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    return value


def told_json(text: str) -> Any:  # noqa: ANN401 - any JSON
    """Return the value of a text, None for one that no answer can hold."""
    try:
        return stored_json(text)
    except ValueError:
        return None
