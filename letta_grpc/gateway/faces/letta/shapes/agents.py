"""Agents."""

from collections.abc import Sequence
from typing import Any

from letta_grpc.gateway.faces.letta.shapes.blocks import block_json
from letta_grpc.gateway.faces.letta.shapes.metadata import metadata_json
from letta_grpc.gateway.faces.letta.shapes.models import DEFAULT_WINDOW, endpoint_type
from letta_grpc.gateway.faces.letta.shapes.times import timestamp_of
from letta_grpc.gateway.faces.letta.tool_rules import rules_json
from letta_grpc.v1 import agents_pb2

_NOT_HERE = (
    *("project_id", "template_id", "base_template_id", "deployment_id", "entity_id", "created_by_id", "last_updated_by_id"),
    *("embedding", "embedding_config", "compaction_settings", "response_format", "max_files_open"),
    *(
        "per_file_view_window_char_limit",
        "last_run_completion",
        "last_run_duration_ms",
        "last_stop_reason",
        "pending_approval",
    ),
    *("message_ids", "hidden"),
)


def agent_json(agent: agents_pb2.Agent, tools: Sequence[dict[str, Any]] = (), **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """Return an agent; `more` are fields that other resources say."""
    blocks = [block_json(block) for block in agent.memory_blocks]
    agent_type = "memgpt_v2_agent" if agent.kind == agents_pb2.AGENT_KIND_MEMGPT else "letta_v1_agent"
    secrets = [_secret_json(agent, name) for name in sorted(agent.secrets)]
    group = _group_json(agent) if agent.sleeptime.agent_ids else None
    return {
        "id": agent.id,
        "name": agent.name,
        "agent_type": agent_type,
        "system": agent.system,
        "description": agent.description or None,
        "metadata": metadata_json(agent.metadata),
        "created_at": timestamp_of(agent, "create_time"),
        "updated_at": timestamp_of(agent, "update_time"),
        "model": agent.model,
        "model_settings": _settings_json(agent),
        "llm_config": _config_json(agent),
        "memory": {"agent_type": agent_type, "blocks": blocks, "file_blocks": [], "prompt_template": "", "git_enabled": False},
        "blocks": blocks,
        "tools": list(tools),
        "tool_rules": rules_json(agent, [tool["name"] for tool in tools if tool["default_requires_approval"]]),
        "tags": list(agent.tags),
        "sources": [],
        "secrets": secrets,
        "tool_exec_environment_variables": secrets,
        "timezone": agent.timezone,
        "enable_sleeptime": group is not None,
        "multi_agent_group": group,
        "managed_group": group,
        "identities": [],
        "identity_ids": [],
        "message_buffer_autoclear": False,
        **dict.fromkeys(_NOT_HERE),
        **more,
    }


def _settings_json(agent: agents_pb2.Agent) -> dict[str, Any]:
    settings = agent.model_settings
    return {
        "provider_type": endpoint_type(agent.model.partition("/")[0]),
        "max_output_tokens": settings.max_output_tokens if settings.HasField("max_output_tokens") else None,
        "temperature": settings.temperature if settings.HasField("temperature") else None,
        "parallel_tool_calls": settings.parallel_tool_calls if settings.HasField("parallel_tool_calls") else None,
        "reasoning": {"reasoning_effort": _effort(agent)},
        "response_format": None,
    }


def _config_json(agent: agents_pb2.Agent) -> dict[str, Any]:
    provider, _, model = agent.model.partition("/")
    settings = agent.model_settings
    return {
        "model": model,
        "handle": agent.model,
        "model_endpoint_type": endpoint_type(provider),
        "model_endpoint": None,
        "provider_name": provider,
        "provider_category": "base",
        "context_window": agent.context_window or DEFAULT_WINDOW,
        "temperature": settings.temperature if settings.HasField("temperature") else None,
        "max_tokens": settings.max_output_tokens if settings.HasField("max_output_tokens") else None,
        "parallel_tool_calls": settings.parallel_tool_calls if settings.HasField("parallel_tool_calls") else None,
        "reasoning_effort": _effort(agent),
        "put_inner_thoughts_in_kwargs": agent.kind == agents_pb2.AGENT_KIND_MEMGPT,
        "enable_reasoner": _effort(agent) not in (None, "none"),
    }


def _effort(agent: agents_pb2.Agent) -> str | None:
    return agent.model_settings.reasoning_effort if agent.model_settings.HasField("reasoning_effort") else None


def _secret_json(agent: agents_pb2.Agent, name: str) -> dict[str, Any]:
    # The contract never shows what a secret is.
    return {"agent_id": agent.id, "key": name, "value": "", "description": None}


def _group_json(agent: agents_pb2.Agent) -> dict[str, Any]:
    return {
        "id": agent.id.replace("agent-", "group-", 1),
        "agent_ids": list(agent.sleeptime.agent_ids),
        "description": "",
        "manager_type": "sleeptime",
        "manager_agent_id": agent.id,
        "sleeptime_agent_frequency": agent.sleeptime.every_turns,
        "shared_block_ids": [block.id for block in agent.memory_blocks],
    }
