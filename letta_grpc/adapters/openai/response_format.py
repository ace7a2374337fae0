"""The shape of an answer: a JSON Schema as the protocol wants it."""

import re
from functools import lru_cache
from typing import Any

import orjson

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
# What OpenAI's strict mode knows; it refuses the whole request for anything else.
_STRICT_KEYWORDS = frozenset({
    "$schema", "$id", "$defs", "$ref", "title", "description", "type", "properties", "required", "additionalProperties",
    "items", "enum", "const", "anyOf",
})  # fmt: skip


@lru_cache(maxsize=64)
def response_format(schema: str) -> orjson.Fragment:
    """Return the field that asks for JSON of this schema, strictly where the schema allows it."""
    parsed = orjson.loads(schema)
    title = parsed.get("title")
    named = {
        "name": title if isinstance(title, str) and _NAME.fullmatch(title) else "answer",
        "schema": parsed,
        "strict": parsed.get("type") == "object" and _is_strict(parsed),
    }
    return orjson.Fragment(orjson.dumps({"type": "json_schema", "json_schema": named}))


def _is_strict(schema: Any) -> bool:  # noqa: ANN401 - any JSON
    """Say whether every object in a schema lists all that it may hold as required, and nothing else is asked for."""
    if not isinstance(schema, dict) or not schema.keys() <= _STRICT_KEYWORDS:
        return False
    properties = schema.get("properties", {})
    if schema.get("type") == "object" or properties:
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("required", ())) != set(properties):
            return False
    inner = [*properties.values(), *schema.get("$defs", {}).values(), *schema.get("anyOf", ())]
    if "items" in schema:
        inner.append(schema["items"])
    return all(_is_strict(each) for each in inner)
