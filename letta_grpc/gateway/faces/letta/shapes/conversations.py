"""Conversations."""

from collections.abc import Sequence
from typing import Any

from letta_grpc.gateway.faces.letta.shapes.runs import PRIVATE
from letta_grpc.gateway.faces.letta.shapes.times import timestamp_of
from letta_grpc.v1 import conversations_pb2, messages_pb2

DESCRIPTION, ARCHIVED_AT, HIDDEN = (f"{PRIVATE}{name}" for name in ("description", "archived_at", "hidden"))


def conversation_json(
    conversation: conversations_pb2.Conversation,
    in_context: Sequence[messages_pb2.Message] | None = None,
    ids: Sequence[str] = (),
) -> dict[str, Any]:
    """Return a conversation. Where its context was read, it says what is in there, and when something was said last."""
    own = conversation.metadata
    return {
        "id": conversation.id,
        "agent_id": conversation.agent_id,
        "created_at": timestamp_of(conversation, "create_time"),
        "updated_at": timestamp_of(conversation, "update_time"),
        "created_by_id": None,
        "last_updated_by_id": None,
        "summary": conversation.title or None,
        "description": own.get(DESCRIPTION),
        "archived": ARCHIVED_AT in own,
        "archived_at": own.get(ARCHIVED_AT),
        "hidden": own.get(HIDDEN) == "true",
        "in_context_message_ids": None if in_context is None else list(ids),
        "isolated_block_ids": [],
        "model": conversation.model or None,
        "model_settings": None,
        "last_message_at": timestamp_of(in_context[-1], "create_time") if in_context else None,
    }
