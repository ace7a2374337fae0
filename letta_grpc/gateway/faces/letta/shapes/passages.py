"""Notes of an archive."""

from typing import Any

from letta_grpc.gateway.faces.letta.shapes.times import timestamp_of
from letta_grpc.v1 import passages_pb2

_NOT_HERE = ("archive_id", "source_id", "file_id", "file_name", "embedding", "embedding_config", "created_by_id")


def passage_json(passage: passages_pb2.Passage) -> dict[str, Any]:
    """Return a note."""
    return {
        "id": passage.id,
        "text": passage.text,
        "tags": list(passage.tags),
        "metadata": {},
        "agent_id": passage.agent_id,
        "created_at": timestamp_of(passage, "create_time"),
        "updated_at": timestamp_of(passage, "update_time"),
        "last_updated_by_id": None,
        "is_deleted": False,
        **dict.fromkeys(_NOT_HERE),
    }


def found_json(passage: passages_pb2.Passage) -> dict[str, Any]:
    """Return a note as searches tell it."""
    return {
        "id": passage.id,
        "timestamp": timestamp_of(passage, "create_time"),
        "content": passage.text,
        "tags": list(passage.tags),
    }
