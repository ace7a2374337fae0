"""Metadata: any JSON on this wire, texts in the contract.

A text stands for itself, unless it could be taken for other JSON; everything else is kept as its JSON. What is nested deeper
than a body may be was never given here: it is a text.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from letta_grpc.gateway.faces.letta.stored_json import stored_json

_NOTHING = object()


def metadata_json(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return what is kept as what was given."""
    return {name: _given(kept) for name, kept in metadata.items()}


def kept_metadata(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return what is given as what is kept."""
    return {str(name): _kept(value) for name, value in metadata.items() if value is not None}


def _given(kept: str) -> Any:  # noqa: ANN401 - any JSON
    parsed = _parsed(kept)
    return kept if parsed is _NOTHING else parsed


def _kept(value: Any) -> str:  # noqa: ANN401 - any JSON
    if isinstance(value, str) and _parsed(value) is _NOTHING:
        return value
    return orjson.dumps(value).decode()


def _parsed(kept: str) -> Any:  # noqa: ANN401 - any JSON
    try:
        return stored_json(kept)
    except ValueError:
        return _NOTHING
