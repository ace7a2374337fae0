"""Agents."""

from typing import Any

from letta_grpc.v1 import agents_pb2


def agent_json(agent: agents_pb2.Agent) -> dict[str, Any]:
    """Return an agent."""
    blocks = [{"id": block.id, "label": block.label, "value": block.value} for block in agent.memory_blocks]
    return {
        "id": agent.id,
        "agent_type": "letta_v1_agent",
        "name": agent.name,
        "description": agent.description or None,
        "system": agent.system,
        "model": agent.model,
        "blocks": blocks,
        "memory": {"blocks": blocks},
        "llm_config": {"model": agent.model, "model_endpoint_type": "openai", "context_window": agent.context_window},
        "tools": [{"name": name} for name in agent.tools],
        "tags": list(agent.tags),
        "sources": [],
    }
