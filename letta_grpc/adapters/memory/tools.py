"""Tools in memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from letta_grpc.adapters.memory.state import MemoryState
from letta_grpc.domain.agents import Agent
from letta_grpc.domain.errors import NameTaken, ToolNotFound
from letta_grpc.domain.ids import AgentId, ToolId
from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.domain.tools import Tool, with_approval, with_tool, without_tool


class MemoryToolStore:
    """Tools."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def create(self, tool: Tool) -> Tool:
        """Store a tool."""
        if await self.find([tool.name]):
            raise NameTaken("Another tool has this name.", name=tool.name)
        self._state.tools.add(tool.id, tool)
        return tool

    async def get(self, tool_id: ToolId) -> Tool:
        """Return a tool."""
        tool = self._state.tools.find(tool_id)
        if tool is None:
            raise ToolNotFound(tool_id=tool_id)
        return tool

    async def list(self, page: PageRequest, *, name: str | None = None, tags: Sequence[str] = ()) -> Page[Tool]:
        """Return tools of this name that have all these tags."""
        wanted = set(tags)
        return self._state.tools.page(page, lambda tool: name in (None, tool.name) and wanted <= set(tool.tags))

    async def update(self, tool_id: ToolId, changes: Mapping[str, Any], update_time: datetime) -> Tool:
        """Set the named fields."""
        changed = replace(await self.get(tool_id), **changes, update_time=update_time)
        self._state.tools.replace(tool_id, changed)
        return changed

    async def delete(self, tool_id: ToolId) -> None:
        """Remove a tool, from all agents too."""
        name = (await self.get(tool_id)).name
        self._state.tools.remove(tool_id)
        for agent in list(self._state.agents):
            self._state.agents.replace(agent.id, with_approval(without_tool(agent, name), name, required=None))

    async def find(self, names: Sequence[str]) -> tuple[Tool, ...]:
        """Return the tools of these names."""
        return tuple(tool for tool in self._state.tools if tool.name in names)

    async def put(self, tool: Tool) -> Tool:
        """Store a tool in place of the one that has its name."""
        for present in await self.find([tool.name]):
            kept = replace(tool, id=present.id, create_time=present.create_time)
            self._state.tools.replace(kept.id, kept)
            return kept
        return await self.create(tool)


class MemoryAgentTools:
    """Which agent has which tools."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def attach(self, agent_id: AgentId, name: str, update_time: datetime) -> Agent:
        """Give a tool to an agent."""
        return self._change(agent_id, lambda agent: with_tool(agent, name), update_time)

    async def detach(self, agent_id: AgentId, name: str, update_time: datetime) -> Agent:
        """Take a tool from an agent."""
        return self._change(agent_id, lambda agent: without_tool(agent, name), update_time)

    async def set_approval(self, agent_id: AgentId, name: str, update_time: datetime, *, required: bool | None) -> Agent:
        """Say whether an agent's calls of a tool wait for approval."""
        return self._change(agent_id, lambda agent: with_approval(agent, name, required=required), update_time)

    def _change(self, agent_id: AgentId, change: Callable[[Agent], Agent], update_time: datetime) -> Agent:
        before = self._state.agent(agent_id)
        after = change(before)
        if after == before:
            return before
        changed = replace(after, update_time=update_time)
        self._state.agents.replace(agent_id, replace(changed, memory_blocks=()))
        return changed
