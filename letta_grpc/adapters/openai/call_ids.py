"""By which id a provider knows a tool call: as it gave it or as it is stored, in the form that the provider takes.

A form follows from the id alone, so that a call and its return agree, today and tomorrow.
"""

import hashlib
import re

from letta_grpc.adapters.openai.dialect import Dialect
from letta_grpc.domain.messages import ToolCall

# OpenAI takes no longer ones.
_MAX_CHARACTERS = 40
_NINE_CHARACTERS = re.compile(r"[a-zA-Z0-9]{9}")


def ids_for_provider(calls: tuple[ToolCall, ...], dialect: Dialect) -> dict[str, str]:
    """Return by which id the provider shall know each call: its own where that tells the calls of one message apart."""
    ids = {call.id: sendable_id(call.provider_id or call.id, dialect) for call in calls}
    return ids if len(set(ids.values())) == len(ids) else {call.id: sendable_id(call.id, dialect) for call in calls}


def sendable_id(call_id: str, dialect: Dialect) -> str:
    """Return the id in a form that the provider takes: as it is, if that is one."""
    if dialect.nine_character_ids:
        return call_id if _NINE_CHARACTERS.fullmatch(call_id) else _digits(call_id)[:9]
    return call_id if len(call_id) <= _MAX_CHARACTERS else f"call_{_digits(call_id)[:32]}"


def _digits(call_id: str) -> str:
    return hashlib.sha256(call_id.encode()).hexdigest()
