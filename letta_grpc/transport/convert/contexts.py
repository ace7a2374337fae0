"""What a model would be shown."""

import json

from letta_grpc.domain.completions import ToolDefinition
from letta_grpc.domain.context import Context
from letta_grpc.transport.convert.messages import message_to_pb
from letta_grpc.v1 import agent_service_pb2 as pb


def context_to_pb(context: Context) -> pb.Context:
    """Return a context with what its parts cost."""
    return pb.Context(
        system=context.system,
        messages=[message_to_pb(message) for message in context.messages],
        tools=[_tool_json(tool) for tool in context.tools],
        parts=[pb.ContextPart(name=part.name, estimated_tokens=part.estimated_tokens) for part in context.parts],
        estimated_tokens=context.estimated_tokens,
        context_window=context.context_window,
        reported_tokens=context.reported_tokens,
    )


def _tool_json(tool: ToolDefinition) -> str:
    function = {"name": tool.name, "description": tool.description, "parameters": json.loads(tool.parameters)}
    return json.dumps({"type": "function", "function": function}, ensure_ascii=False)
