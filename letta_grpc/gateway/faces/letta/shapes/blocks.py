"""Memory blocks."""

from typing import Any

from letta_grpc.gateway.faces.letta.shapes.metadata import metadata_json
from letta_grpc.gateway.faces.letta.shapes.times import timestamp_of
from letta_grpc.v1 import blocks_pb2

_NOT_HERE = ("project_id", "template_name", "template_id", "base_template_id", "deployment_id", "entity_id", "created_by_id")


def block_json(block: blocks_pb2.Block) -> dict[str, Any]:
    """Return a block."""
    return {
        "id": block.id,
        "label": block.label,
        "value": block.value,
        "description": block.description or None,
        "limit": block.limit,
        "read_only": block.read_only,
        "metadata": metadata_json(block.metadata),
        "tags": [],
        "is_template": False,
        "preserve_on_migration": False,
        "hidden": None,
        "created_at": timestamp_of(block, "create_time"),
        "updated_at": timestamp_of(block, "update_time"),
        "last_updated_by_id": None,
        **dict.fromkeys(_NOT_HERE),
    }
