"""Tools."""

from typing import Any

from letta_grpc.gateway.faces.letta.stored_json import told_json
from letta_grpc.v1 import tools_pb2

_MULTI_AGENT = "send_message_to_"
_MEMORY = "memory_"


def tool_json(tool: tools_pb2.Tool) -> dict[str, Any]:
    """Return a tool."""
    is_python = tool.WhichOneof("source") == "python"
    schema = {
        "name": tool.name,
        "description": tool.description,
        "parameters": told_json(tool.parameters or "{}"),
    }
    return {
        "id": tool.id,
        "tool_type": tool_type(tool),
        "description": tool.description,
        "source_type": "python",
        "name": tool.name,
        "tags": list(tool.tags),
        "source_code": tool.python.code if is_python else None,
        "json_schema": schema,
        "args_json_schema": None,
        "return_char_limit": tool.return_char_limit,
        "pip_requirements": None,
        "npm_requirements": None,
        "default_requires_approval": tool.requires_approval or None,
        "enable_parallel_execution": tool.parallel if tool.HasField("parallel") else True,
        "created_by_id": None,
        "last_updated_by_id": None,
        "metadata_": {},
        "project_id": None,
    }


def tool_type(tool: tools_pb2.Tool) -> str:
    """Return what kind of tool it is, as the SDKs name kinds."""
    match tool.WhichOneof("source"):
        case "python":
            return "custom"
        case "mcp":
            return "external_mcp"
    if tool.name.startswith(_MULTI_AGENT):
        return "letta_multi_agent_core"
    return "letta_memory_core" if tool.name.startswith(_MEMORY) else "letta_core"
