"""What a model would be shown."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from letta_grpc.domain.completions import ToolDefinition
from letta_grpc.domain.context import Context
from letta_grpc.transport.convert.messages import message_to_pb
from letta_grpc.v1 import agent_service_pb2 as pb


def context_to_pb(context: Context, fields: Iterable[str]) -> pb.Context:
    """Return these fields of a context with what its parts cost."""
    readers: dict[str, Callable[[], Any]] = {
        "system": lambda: context.system,
        "messages": lambda: map(message_to_pb, context.messages),
        "tools": lambda: map(_tool_json, context.tools),
        "parts": lambda: [pb.ContextPart(name=part.name, estimated_tokens=part.estimated_tokens) for part in context.parts],
        "estimated_tokens": lambda: context.estimated_tokens,
        "context_window": lambda: context.context_window,
        "reported_tokens": lambda: context.reported_tokens,
    }
    return pb.Context(**{name: readers[name]() for name in fields})


def _tool_json(tool: ToolDefinition) -> str:
    function = {"name": tool.name, "description": tool.description, "parameters": json.loads(tool.parameters)}
    return json.dumps({"type": "function", "function": function}, ensure_ascii=False)
