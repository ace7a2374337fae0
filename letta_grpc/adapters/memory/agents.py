"""Agents in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from letta_grpc.adapters.memory.state import MemoryState
from letta_grpc.domain.agents import Agent, Conversation, changed_agent
from letta_grpc.domain.blocks import check_together
from letta_grpc.domain.ids import AgentId
from letta_grpc.domain.paging import Page, PageRequest


class MemoryAgentStore:
    """Agents."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def create(self, agent: Agent, conversation: Conversation) -> Agent:
        """Store an agent with its default conversation and its memory blocks."""
        state = self._state
        blocks = {b.id: state.blocks.find(b.id) or b for b in agent.memory_blocks}
        check_together(blocks.values(), "agent.memory_blocks")
        for block in blocks.values():
            if block.id not in state.blocks:
                state.blocks.add(block.id, block)
        state.agents.add(agent.id, replace(agent, memory_blocks=()))
        state.attachments[agent.id] = list(blocks)
        state.add_conversation(conversation)
        return state.agent(agent.id)

    async def get(self, agent_id: AgentId) -> Agent:
        """Return an agent with its blocks."""
        return self._state.agent(agent_id)

    async def list(self, page: PageRequest, *, name: str | None = None, tags: Sequence[str] = ()) -> Page[Agent]:
        """Return agents of this name that have all these tags."""
        wanted = set(tags)
        found = self._state.agents.page(page, lambda a: name in (None, a.name) and wanted <= set(a.tags))
        return Page(tuple(self._state.agent(agent.id) for agent in found.items), found.next)

    async def update(self, agent_id: AgentId, changes: Mapping[str, Any], update_time: datetime) -> Agent:
        """Set the named fields."""
        state = self._state
        agent = state.agent(agent_id)
        blocks = {id_: state.block(id_) for id_ in changes.get("memory_blocks", state.attachments[agent_id])}
        check_together(blocks.values(), "agent.memory_blocks")
        changed = changed_agent(agent, {**changes, "memory_blocks": ()}, update_time)
        state.agents.replace(agent_id, changed)
        state.attachments[agent_id] = list(blocks)
        return state.agent(agent_id)

    async def delete(self, agent_id: AgentId) -> None:
        """Remove an agent with all that is its own."""
        state = self._state
        state.agent(agent_id)
        conversations = [c.id for c in state.conversations if c.agent_id == agent_id]
        for conversation_id in conversations:
            state.check_idle(conversation_id)
        for conversation_id in conversations:
            state.remove_conversation(conversation_id)
        for passage in [p for p in state.passages if p.agent_id == agent_id]:
            state.passages.remove(passage.id)
            state.vectors.pop(passage.id, None)
        del state.attachments[agent_id]
        state.agents.remove(agent_id)
