"""Keeping tools. The contract: `letta_grpc.testing.stores.ToolStoreContract`.

`get` raises ToolNotFound. A page goes by order of creation. Built-in tools are part of the server and not in here.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from letta_grpc.domain.agents import Agent
from letta_grpc.domain.ids import AgentId, ToolId
from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.domain.tools import Tool


class ToolStore(Protocol):
    """Tools, by id."""

    async def create(self, tool: Tool) -> Tool:
        """Store a tool. Raises NameTaken."""
        ...

    async def get(self, tool_id: ToolId) -> Tool:
        """Return a tool. Raises ToolNotFound."""
        ...

    async def list(self, page: PageRequest, *, name: str | None = None, tags: Sequence[str] = ()) -> Page[Tool]:
        """Return tools of this name that have all these tags."""
        ...

    async def update(self, tool_id: ToolId, changes: Mapping[str, object], update_time: datetime) -> Tool:
        """Set the named fields of Tool (never id, name or times). Raises ToolNotFound."""
        ...

    async def delete(self, tool_id: ToolId) -> None:
        """Remove a tool, from all agents too, with what they say of its approval. Raises ToolNotFound."""
        ...


class NamedTools(Protocol):
    """Tools, by name."""

    async def find(self, names: Sequence[str]) -> tuple[Tool, ...]:
        """Return the tools of these names, in any order; names without a tool are left out."""
        ...

    async def put(self, tool: Tool) -> Tool:
        """Store a tool in place of the one that has its name, if there is one; that one's id and `create_time` stay."""
        ...


class AgentTools(Protocol):
    """Which agent has which tools, by name; whether there is such a tool is not looked at."""

    async def attach(self, agent_id: AgentId, name: str, update_time: datetime) -> Agent:
        """Give a tool to an agent, behind those that it has; again changes nothing.

        Raises AgentNotFound, InvalidRequest beyond MAX_AGENT_TOOLS.
        """
        ...

    async def detach(self, agent_id: AgentId, name: str, update_time: datetime) -> Agent:
        """Take a tool from an agent; again changes nothing. Raises AgentNotFound."""
        ...

    async def set_approval(self, agent_id: AgentId, name: str, update_time: datetime, *, required: bool | None) -> Agent:
        """Say whether an agent's calls of a tool wait for approval; None leaves it to the tool. Raises AgentNotFound."""
        ...
