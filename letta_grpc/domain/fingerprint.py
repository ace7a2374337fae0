"""The fingerprint of a start, by which a repeated one is told from another one under the same request id."""

import json
from dataclasses import MISSING, fields, is_dataclass
from datetime import timedelta
from enum import Enum
from hashlib import sha256
from typing import Any

from letta_grpc.domain.runs import RunSpec


def fingerprint(agent_id: str, conversation_id: str | None, spec: RunSpec) -> str:
    """Return a digest of the payload: agent, conversation and spec, whichever RPC it came by.

    Fields that have their default are left out, so that a server with a newer RunSpec still knows an older one's payload.
    """
    payload = [agent_id, conversation_id, _plain(spec)]
    return sha256(json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _plain(value: Any) -> Any:  # noqa: ANN401 - walks any value of the domain
    match value:
        case Enum():
            return value.value
        case timedelta():
            return value.total_seconds()
        case tuple():
            return [_plain(item) for item in value]
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case _ if is_dataclass(value):
            # Without its kind an approval would be the same payload as a denial.
            kind = {"": type(value).__name__}
            return kind | {f.name: _plain(item) for f in fields(value) if not _is_default(f, item := getattr(value, f.name))}
        case _:
            return value


def _is_default(field: Any, value: object) -> bool:  # noqa: ANN401 - a dataclass field of any type
    if field.default_factory is not MISSING:
        return bool(value == field.default_factory())
    return bool(value == field.default)
