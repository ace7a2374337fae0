"""Tools, and which agent has which."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update

from letta_grpc.adapters.sql.agents import get_agent
from letta_grpc.adapters.sql.database import Database
from letta_grpc.adapters.sql.pages import page_of, paged
from letta_grpc.adapters.sql.rows import Row, Values, agent_of, from_json, to_json
from letta_grpc.adapters.sql.schema import agents, tool_tags, tools
from letta_grpc.adapters.sql.tagged import form_of
from letta_grpc.adapters.sql.times import from_micros, to_micros
from letta_grpc.adapters.sql.values import agent_values
from letta_grpc.domain.agents import Agent
from letta_grpc.domain.errors import NameTaken, ToolNotFound
from letta_grpc.domain.ids import AgentId, ToolId
from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.domain.tools import Tool, ToolSource, with_approval, with_tool, without_tool

_SOURCE = form_of(ToolSource)
_SET_TOOLS = (
    update(agents)
    .where(agents.c.id == bindparam("the_agent"))
    .values(tools=bindparam("tools"), tool_approvals=bindparam("tool_approvals"))
)


class SqlToolStore:
    """Tools."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, tool: Tool) -> Tool:
        """Store a tool."""
        return await self._database.write(lambda connection: create_tool(connection, tool))

    async def get(self, tool_id: ToolId) -> Tool:
        """Return a tool."""
        return await self._database.read(lambda connection: _get(connection, tool_id))

    async def list(self, page: PageRequest, *, name: str | None = None, tags: Sequence[str] = ()) -> Page[Tool]:
        """Return tools of this name that have all these tags."""
        query = paged(select(tools), tools.c.position, page)
        if name is not None:
            query = query.where(tools.c.name == name)
        for tag in set(tags):
            query = query.where(tools.c.id.in_(select(tool_tags.c.tool_id).where(tool_tags.c.tag == tag)))
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return page_of(rows, page, _tool_of)

    async def update(self, tool_id: ToolId, changes: Mapping[str, Any], update_time: datetime) -> Tool:
        """Set the named fields."""
        return await self._database.write(
            lambda connection: _replace(connection, replace(_get(connection, tool_id), **changes, update_time=update_time))
        )

    async def delete(self, tool_id: ToolId) -> None:
        """Remove a tool, from all agents too."""
        await self._database.write(lambda connection: _delete(connection, tool_id))

    async def find(self, names: Sequence[str]) -> tuple[Tool, ...]:
        """Return the tools of these names."""
        query = select(tools).where(tools.c.name.in_(names))
        return tuple(map(_tool_of, await self._database.read(lambda connection: connection.execute(query).all())))

    async def put(self, tool: Tool) -> Tool:
        """Store a tool in place of the one that has its name."""
        return await self._database.write(lambda connection: _put(connection, tool))


class SqlAgentTools:
    """Which agent has which tools."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def attach(self, agent_id: AgentId, name: str, update_time: datetime) -> Agent:
        """Give a tool to an agent."""
        return await self._change(agent_id, lambda agent: with_tool(agent, name), update_time)

    async def detach(self, agent_id: AgentId, name: str, update_time: datetime) -> Agent:
        """Take a tool from an agent."""
        return await self._change(agent_id, lambda agent: without_tool(agent, name), update_time)

    async def set_approval(self, agent_id: AgentId, name: str, update_time: datetime, *, required: bool | None) -> Agent:
        """Say whether an agent's calls of a tool wait for approval."""
        return await self._change(agent_id, lambda agent: with_approval(agent, name, required=required), update_time)

    async def _change(self, agent_id: AgentId, change: Callable[[Agent], Agent], update_time: datetime) -> Agent:
        def changed(connection: Connection) -> Agent:
            before = get_agent(connection, agent_id)
            after = change(before)
            return before if after == before else _store(connection, replace(after, update_time=update_time))

        return await self._database.write(changed)


def _tool_of(row: Row) -> Tool:
    _, id_, name, description, parameters, source, tags, limit, approval, idempotent, parallel, created, updated = row
    return Tool(
        id=id_,
        name=name,
        description=description,
        parameters=parameters,
        source=_SOURCE.load(source),
        tags=tuple(from_json(tags)),
        return_char_limit=limit,
        requires_approval=bool(approval),
        idempotent=bool(idempotent),
        parallel=bool(parallel),
        create_time=from_micros(created),
        update_time=from_micros(updated),
    )


def _values(tool: Tool) -> Values:
    return {
        "id": tool.id,
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "source": _SOURCE.dump(tool.source),
        "tags": to_json(tool.tags),
        "return_char_limit": tool.return_char_limit,
        "requires_approval": tool.requires_approval,
        "idempotent": tool.idempotent,
        "parallel": tool.parallel,
        "create_time": to_micros(tool.create_time),
        "update_time": to_micros(tool.update_time),
    }


def _get(connection: Connection, tool_id: ToolId) -> Tool:
    row = connection.execute(select(tools).where(tools.c.id == tool_id)).first()
    if row is None:
        raise ToolNotFound(tool_id=tool_id)
    return _tool_of(row)


def _named(connection: Connection, name: str) -> Tool | None:
    row = connection.execute(select(tools).where(tools.c.name == name)).first()
    return None if row is None else _tool_of(row)


def create_tool(connection: Connection, tool: Tool) -> Tool:
    """Store a tool. Raises NameTaken."""
    if _named(connection, tool.name):
        raise NameTaken("Another tool has this name.", name=tool.name)
    connection.execute(insert(tools), _values(tool))
    _add_tags(connection, tool)
    return tool


def _put(connection: Connection, tool: Tool) -> Tool:
    present = _named(connection, tool.name)
    if present is None:
        return create_tool(connection, tool)
    return _replace(connection, replace(tool, id=present.id, create_time=present.create_time))


def _replace(connection: Connection, tool: Tool) -> Tool:
    connection.execute(update(tools).where(tools.c.id == tool.id).values(_values(tool)))
    connection.execute(delete(tool_tags).where(tool_tags.c.tool_id == tool.id))
    _add_tags(connection, tool)
    return tool


def _add_tags(connection: Connection, tool: Tool) -> None:
    if tool.tags:
        connection.execute(insert(tool_tags), [{"tool_id": tool.id, "tag": tag} for tag in set(tool.tags)])


def _delete(connection: Connection, tool_id: ToolId) -> None:
    tool = _get(connection, tool_id)
    connection.execute(delete(tools).where(tools.c.id == tool_id))
    quoted = to_json(tool.name)
    mentions = or_(agents.c.tools.contains(quoted, autoescape=True), agents.c.tool_approvals.contains(quoted, autoescape=True))
    having = [agent_of(row, ()) for row in connection.execute(select(agents).where(mentions))]
    changed = [with_approval(without_tool(agent, tool.name), tool.name, required=None) for agent in having]
    if changed:
        connection.execute(_SET_TOOLS, [_tools_of(agent) for agent in changed])


def _tools_of(agent: Agent) -> Values:
    return {"the_agent": agent.id, "tools": to_json(agent.tools), "tool_approvals": to_json(agent.tool_approvals)}


def _store(connection: Connection, agent: Agent) -> Agent:
    connection.execute(update(agents).where(agents.c.id == agent.id).values(agent_values(agent)))
    return agent
