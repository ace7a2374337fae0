"""Ids: what a path may name, and the `otid` of each piece of a message."""

import re
from uuid import NAMESPACE_URL, UUID, uuid5

from letta_grpc.gateway.faces.letta.errors import Place, unprocessable

# A message's pieces differ in the lowest seven bits of its id.
_SLICES = 128
_FIELDS = {"conv": "conversation_id", "passage": "memory_id"}
_ID = re.compile(r"[a-z]+-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def checked_id(kind: str, text: str, place: Place = "path", field: str = "") -> str:
    """Return a resource's id; the field is named for its kind unless told otherwise. Raises Failure for what is none."""
    if not is_id(kind, text):
        named = field or _FIELDS.get(kind, f"{kind}_id")
        raise unprocessable(named, f"{text!r} is no id of this kind: it has the form {kind}-<uuid>", place)
    return text


def is_id(kind: str, text: str) -> bool:
    """Say whether a resource of this kind may have this id."""
    return text.startswith(f"{kind}-") and _ID.fullmatch(text) is not None


def otid_of(message_id: str, index: int) -> str:
    """Return the otid of a message's piece: the same in its stream and in the history."""
    number = UUID(message_id.removeprefix("message-")).int
    return str(UUID(int=number // _SLICES * _SLICES + min(index, _SLICES - 1)))


def request_id_of(conversation: str, otids: list[str]) -> str | None:
    """Return the request id under which these messages start a run, None where none of them is named by its sender."""
    return str(uuid5(NAMESPACE_URL, "\n".join(["letta-otid", conversation, *otids]))) if otids else None
