"""Conversations."""

from typing import Any

from letta_grpc.gateway.faces.letta.shapes.runs import PRIVATE
from letta_grpc.gateway.faces.letta.shapes.times import timestamp_of
from letta_grpc.v1 import conversations_pb2

DESCRIPTION, ARCHIVED_AT, HIDDEN = (f"{PRIVATE}{name}" for name in ("description", "archived_at", "hidden"))


def conversation_json(conversation: conversations_pb2.Conversation, in_context: list[str] | None = None) -> dict[str, Any]:
    """Return a conversation."""
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
        "in_context_message_ids": in_context,
        "isolated_block_ids": [],
        "model": conversation.model or None,
        "model_settings": None,
        "last_message_at": None,
    }
