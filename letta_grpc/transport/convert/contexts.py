"""What a model would be shown: asked for, told, and emptied."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from letta_grpc.domain.completions import ToolDefinition
from letta_grpc.domain.context import Context
from letta_grpc.domain.ids import AgentId, ConversationId
from letta_grpc.transport.convert.conversations import optional_conversation
from letta_grpc.transport.convert.masks import read_from_mask
from letta_grpc.transport.convert.messages import message_to_pb
from letta_grpc.transport.convert.rules import Rules
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


def context_query_from_pb(request: pb.GetContextRequest) -> tuple[AgentId, ConversationId | None, Sequence[str]]:
    """Return whose context is meant, and which fields of it."""
    with Rules() as rules:
        agent_id, conversation_id = _conversation(rules, request)
        fields = read_from_mask(rules, request.read_mask, pb.Context.DESCRIPTOR)
    return agent_id, conversation_id, fields


def reset_from_pb(request: pb.ResetMessagesRequest) -> tuple[AgentId, ConversationId | None]:
    """Return whose context to empty."""
    with Rules() as rules:
        return _conversation(rules, request)


def _conversation(
    rules: Rules, request: pb.GetContextRequest | pb.ResetMessagesRequest
) -> tuple[AgentId, ConversationId | None]:
    agent_id = rules.id("agent_id", "agent", request.agent_id)
    return AgentId(agent_id), optional_conversation(rules, "conversation_id", request.conversation_id)
