"""What an insert or update of agents, conversations and blocks binds, by column."""

from letta_grpc.adapters.sql.rows import SLEEPTIME, TOOL_RULES, Values, to_json
from letta_grpc.adapters.sql.times import to_micros
from letta_grpc.domain.agents import Agent, Conversation
from letta_grpc.domain.blocks import Block


def agent_values(agent: Agent) -> Values:
    """Return the row of an agent."""
    return {
        "id": agent.id,
        "name": agent.name,
        "description": agent.description,
        "system": agent.system,
        "model": agent.model,
        "model_settings": to_json(agent.model_settings),
        "kind": agent.kind.value,
        "tools": to_json(agent.tools),
        "tool_rules": TOOL_RULES.dump(agent.tool_rules),
        "tool_approvals": to_json(agent.tool_approvals),
        "secrets": to_json(agent.secrets),
        "sleeptime": agent.sleeptime and SLEEPTIME.dump(agent.sleeptime),
        "tags": to_json(agent.tags),
        "metadata": to_json(agent.metadata),
        "context_window": agent.context_window,
        "timezone": agent.timezone,
        "create_time": to_micros(agent.create_time),
        "update_time": to_micros(agent.update_time),
    }


def conversation_values(conversation: Conversation) -> Values:
    """Return the row of a conversation."""
    return {
        "id": conversation.id,
        "agent_id": conversation.agent_id,
        "title": conversation.title,
        "is_default": conversation.is_default,
        "model": conversation.model,
        "metadata": to_json(conversation.metadata),
        "create_time": to_micros(conversation.create_time),
        "update_time": to_micros(conversation.update_time),
    }


def block_values(block: Block) -> Values:
    """Return the row of a block."""
    return {
        "id": block.id,
        "label": block.label,
        "value": block.value,
        "description": block.description,
        "character_limit": block.limit,
        "read_only": block.read_only,
        "metadata": to_json(block.metadata),
        "version": block.version,
        "create_time": to_micros(block.create_time),
        "update_time": to_micros(block.update_time),
    }
