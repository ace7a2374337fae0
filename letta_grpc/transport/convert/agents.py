"""Agents."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

from letta_grpc.domain.agents import Agent, AgentKind, ModelSettings, Sleeptime
from letta_grpc.domain.blocks import MAX_AGENT_BLOCKS
from letta_grpc.domain.ids import AgentId, BlockId
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.tools import MAX_AGENT_TOOLS, MAX_TOOL_NAME
from letta_grpc.engine.agents import NewAgent
from letta_grpc.engine.blocks import NewBlock
from letta_grpc.transport.convert.blocks import block_to_pb, new_block
from letta_grpc.transport.convert.enums import AGENT_KINDS
from letta_grpc.transport.convert.masks import changes_from_mask
from letta_grpc.transport.convert.paging import page_from_pb
from letta_grpc.transport.convert.rules import MAX_DESCRIPTION, MAX_NAME, MAX_TAGS, Rules
from letta_grpc.transport.convert.times import timestamp_to_pb
from letta_grpc.transport.convert.tool_rules import tool_rule_to_pb, tool_rules_from_pb
from letta_grpc.v1 import agent_service_pb2, blocks_pb2
from letta_grpc.v1 import agents_pb2 as pb

_MAX_SLEEPTIME_AGENTS = 16
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
# An agent with all its blocks comes in one response, and clients take 4 MiB.
_MAX_SYSTEM_BYTES = 262_144
_MAX_TEMPERATURE = 2.0
_INT32_MAX = 2**31 - 1


def agent_to_pb(agent: Agent) -> pb.Agent:
    """Return an agent with its blocks."""
    settings = agent.model_settings
    return pb.Agent(
        id=agent.id,
        name=agent.name,
        description=agent.description,
        system=agent.system,
        model=agent.model,
        model_settings=pb.ModelSettings(
            temperature=settings.temperature,
            max_output_tokens=settings.max_output_tokens,
            parallel_tool_calls=settings.parallel_tool_calls,
            reasoning_effort=settings.reasoning_effort,
        ),
        memory_blocks=[block_to_pb(block) for block in agent.memory_blocks],
        tools=agent.tools,
        tags=agent.tags,
        metadata=agent.metadata,
        context_window=agent.context_window,
        timezone=agent.timezone,
        kind=AGENT_KINDS.to_pb[agent.kind],
        tool_rules=[tool_rule_to_pb(rule) for rule in agent.tool_rules],
        tool_approvals=agent.tool_approvals,
        # Which there are may be seen, what they are may not.
        secrets=dict.fromkeys(agent.secrets, ""),
        sleeptime=_sleeptime_to_pb(agent.sleeptime) if agent.sleeptime else None,
        create_time=timestamp_to_pb(agent.create_time),
        update_time=timestamp_to_pb(agent.update_time),
    )


def new_agent_from_pb(request: agent_service_pb2.CreateAgentRequest) -> NewAgent:
    """Return the agent to make."""
    agent = request.agent
    base_tools = request.include_base_tools if request.HasField("include_base_tools") else not agent.tools
    with Rules() as rules:
        return NewAgent(
            name=rules.text("agent.name", agent.name, MAX_NAME),
            description=rules.text("agent.description", agent.description, MAX_DESCRIPTION),
            system=rules.long_text("agent.system", agent.system, _MAX_SYSTEM_BYTES),
            model=rules.text("agent.model", agent.model, MAX_NAME, required=True),
            model_settings=_settings(rules, agent.model_settings),
            memory_blocks=_new_blocks(rules, agent.memory_blocks),
            tools=rules.names("agent.tools", agent.tools, MAX_AGENT_TOOLS),
            base_tools=base_tools,
            tags=rules.tags("agent.tags", agent.tags, MAX_TAGS),
            metadata=rules.metadata("agent.metadata", agent.metadata),
            context_window=rules.number("agent.context_window", agent.context_window, 0, _INT32_MAX),
            timezone=_timezone(rules, agent.timezone),
            kind=AGENT_KINDS.checked(rules, "agent.kind", agent.kind, AgentKind.REACT),
            tool_rules=tool_rules_from_pb(rules, "agent.tool_rules", agent.tool_rules),
            tool_approvals=_approvals(rules, agent.tool_approvals),
            secrets=rules.metadata("agent.secrets", agent.secrets),
            sleeptime=_sleeptime(rules, agent),
        )


def agent_update_from_pb(request: agent_service_pb2.UpdateAgentRequest) -> tuple[AgentId, dict[str, object]]:
    """Return which agent to change, and how."""
    agent = request.agent
    with Rules() as rules:
        agent_id = rules.id("agent_id", "agent", request.agent_id)
        changes = changes_from_mask(
            rules,
            request.update_mask,
            {
                "name": lambda: rules.text("agent.name", agent.name, MAX_NAME, required=True),
                "description": lambda: rules.text("agent.description", agent.description, MAX_DESCRIPTION),
                "system": lambda: rules.long_text("agent.system", agent.system, _MAX_SYSTEM_BYTES),
                "model": lambda: rules.text("agent.model", agent.model, MAX_NAME, required=True),
                "model_settings": lambda: _settings(rules, agent.model_settings),
                "tools": lambda: rules.names("agent.tools", agent.tools, MAX_AGENT_TOOLS),
                "tags": lambda: rules.tags("agent.tags", agent.tags, MAX_TAGS),
                "metadata": lambda: rules.metadata("agent.metadata", agent.metadata),
                "context_window": lambda: rules.number("agent.context_window", agent.context_window, 0, _INT32_MAX),
                "timezone": lambda: _timezone(rules, agent.timezone),
                "tool_rules": lambda: tool_rules_from_pb(rules, "agent.tool_rules", agent.tool_rules),
                "tool_approvals": lambda: _approvals(rules, agent.tool_approvals),
                "secrets": lambda: rules.metadata("agent.secrets", agent.secrets),
                "sleeptime": lambda: _sleeptime(rules, agent),
                "memory_blocks": lambda: _stored_blocks(rules, agent.memory_blocks),
            },
        )
    return AgentId(agent_id), changes


def _settings(rules: Rules, settings: pb.ModelSettings) -> ModelSettings:
    path = "agent.model_settings"
    temperature = settings.temperature if settings.HasField("temperature") else None
    if temperature is not None and not (math.isfinite(temperature) and 0 <= temperature <= _MAX_TEMPERATURE):
        rules.broken(f"{path}.temperature", f"must be 0 to {_MAX_TEMPERATURE:g}, is {temperature:g}")
    tokens = settings.max_output_tokens if settings.HasField("max_output_tokens") else None
    if tokens is not None:
        rules.at_least(f"{path}.max_output_tokens", tokens, 1)
    parallel = settings.parallel_tool_calls if settings.HasField("parallel_tool_calls") else None
    effort = settings.reasoning_effort if settings.HasField("reasoning_effort") else None
    if effort is not None and effort not in _EFFORTS:
        rules.broken(f"{path}.reasoning_effort", f"must be one of {', '.join(_EFFORTS)}")
    return ModelSettings(
        temperature=temperature, max_output_tokens=tokens, parallel_tool_calls=parallel, reasoning_effort=effort
    )


def _approvals(rules: Rules, approvals: Mapping[str, bool]) -> dict[str, bool]:
    names = rules.at_most("agent.tool_approvals", approvals, MAX_AGENT_TOOLS)
    return {rules.text("agent.tool_approvals", name, MAX_TOOL_NAME): approvals[name] for name in names}


def _sleeptime_to_pb(sleeptime: Sleeptime) -> pb.Sleeptime:
    return pb.Sleeptime(agent_ids=sleeptime.agent_ids, every_turns=sleeptime.every_turns)


def _sleeptime(rules: Rules, agent: pb.Agent) -> Sleeptime | None:
    if not agent.HasField("sleeptime") or not agent.sleeptime.agent_ids:
        return None
    sent, path = agent.sleeptime, "agent.sleeptime"
    few = rules.at_most(f"{path}.agent_ids", sent.agent_ids, _MAX_SLEEPTIME_AGENTS)
    ids = (rules.id(f"{path}.agent_ids[{index}]", "agent", id_) for index, id_ in enumerate(few))
    every = sent.every_turns if sent.HasField("every_turns") else Sleeptime().every_turns
    return Sleeptime(
        agent_ids=tuple(AgentId(id_) for id_ in ids), every_turns=rules.number(f"{path}.every_turns", every, 1, 1000)
    )


def _new_blocks(rules: Rules, blocks: Sequence[blocks_pb2.Block]) -> tuple[NewBlock, ...]:
    few = rules.at_most("agent.memory_blocks", blocks, MAX_AGENT_BLOCKS)
    parsed = tuple(new_block(rules, f"agent.memory_blocks[{index}]", block) for index, block in enumerate(few))
    labels = Counter(block.label for block in parsed if block.id is None)
    for index, block in enumerate(parsed):
        if block.id is None and labels[block.label] > 1:
            rules.broken(f"agent.memory_blocks[{index}].label", f"{block.label!r} is there more than once")
    return parsed


def _stored_blocks(rules: Rules, blocks: Sequence[blocks_pb2.Block]) -> tuple[BlockId, ...]:
    few = rules.at_most("agent.memory_blocks", blocks, MAX_AGENT_BLOCKS)
    ids = (rules.id(f"agent.memory_blocks[{index}].id", "block", block.id) for index, block in enumerate(few))
    return tuple(BlockId(id_) for id_ in ids)


def _timezone(rules: Rules, name: str) -> str:
    try:
        return ZoneInfo(name or "UTC").key
    except (KeyError, ValueError, OSError):
        # OSError: the name of a folder of the time zone database.
        rules.broken("agent.timezone", f"{name!r} is not an IANA time zone")
        return "UTC"


def agent_id_from_pb(
    request: agent_service_pb2.GetAgentRequest | agent_service_pb2.DeleteAgentRequest | agent_service_pb2.ExportAgentRequest,
) -> AgentId:
    """Return which agent is meant."""
    with Rules() as rules:
        agent_id = rules.id("agent_id", "agent", request.agent_id)
    return AgentId(agent_id)


def agents_query_from_pb(
    request: agent_service_pb2.ListAgentsRequest,
) -> tuple[PageRequest, str | None, tuple[str, ...]]:
    """Return which agents to list: page, name, tags."""
    with Rules() as rules:
        page = page_from_pb(rules, request, request.after_id)
        tags = rules.sought_tags("tags", request.tags, MAX_TAGS)
    return page, request.name or None, tags
