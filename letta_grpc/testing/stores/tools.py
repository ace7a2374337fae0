"""What a ToolStore, NamedTools and AgentTools promise."""
# ruff: noqa: S101 - assert is what a contract does

from dataclasses import replace

import pytest

from letta_grpc.domain.errors import AgentNotFound, InvalidRequest, NameTaken, ToolNotFound
from letta_grpc.domain.ids import new_agent_id, new_mcp_server_id, new_tool_id
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.tools import MAX_AGENT_TOOLS, McpSource, PythonSource
from letta_grpc.testing.stores.paging import check_pages, check_pages_while_items_are_added
from letta_grpc.testing.stores.world import World

_ALL = PageRequest(size=1000)


class ToolStoreContract:
    """What a ToolStore, NamedTools and AgentTools promise. A subclass gives the fixture `world`.

    A store whose texts know no NUL says in `nul` as what it is read.
    """

    nul = "\0"

    async def test_a_tool_is_read_as_it_was_stored(self, world: World) -> None:
        """Every field comes back, whatever the source."""
        python = PythonSource(code="def f(): ...", timeout_seconds=0.5, allow_network=True, secrets=("KEY",), all_secrets=True)
        for source in (python, McpSource(server_id=new_mcp_server_id(), remote_name="a b", timeout_seconds=9)):
            tool = replace(
                world.new_tool(f"tool_{type(source).__name__}"),
                description="ümläut\0",
                parameters='{"type":"object"}',
                source=source,
                tags=("b", "a"),
                return_char_limit=7,
                requires_approval=True,
                idempotent=True,
                parallel=False,
            )
            assert await world.tools.create(tool) == tool
            stored = replace(tool, description=f"ümläut{self.nul}")
            assert await world.tools.get(tool.id) == stored
            assert await world.named_tools.find([tool.name]) == (stored,)

    async def test_an_unknown_tool_is_not_found(self, world: World) -> None:
        """Whatever is asked of it by its id; by name there is just nothing."""
        unknown = new_tool_id()
        for asked in (
            world.tools.get(unknown),
            world.tools.update(unknown, {"description": "x"}, world.time()),
            world.tools.delete(unknown),
        ):
            with pytest.raises(ToolNotFound) as caught:
                await asked
            assert caught.value.metadata == {"tool_id": unknown}
        assert await world.named_tools.find(["unknown"]) == ()
        assert await world.named_tools.find([]) == ()

    async def test_names_are_unique(self, world: World) -> None:
        """The second tool of a name is refused, and nothing of it is kept."""
        tool = await world.tool("add")
        with pytest.raises(NameTaken) as caught:
            await world.tool("add", tags=("t",))
        assert caught.value.metadata == {"name": "add"}
        assert (await world.tools.list(_ALL)).items == (tool,)
        assert (await world.tools.list(_ALL, tags=["t"])).items == ()

    async def test_tools_are_found_by_name(self, world: World) -> None:
        """All that there are of those asked for, each once."""
        first, second, _ = await world.tool("first"), await world.tool("second"), await world.tool("third")
        found = await world.named_tools.find(["second", "nowhere", "first", "second"])
        assert sorted(found, key=lambda tool: tool.create_time) == [first, second]

    async def test_tools_are_listed_by_name_and_tags(self, world: World) -> None:
        """All tags must be there."""
        both, one = await world.tool("both", tags=("x", "y")), await world.tool("one", tags=("x",))
        assert (await world.tools.list(_ALL, tags=["x"])).items == (both, one)
        assert (await world.tools.list(_ALL, tags=["x", "y"])).items == (both,)
        assert (await world.tools.list(_ALL, name="one", tags=["x"])).items == (one,)
        assert (await world.tools.list(_ALL, name="one", tags=["y"])).items == ()

    async def test_a_list_is_read_page_by_page(self, world: World) -> None:
        """Both ways, with and without filters."""
        tools = [await world.tool(f"tool_{n}", tags=("odd",) if n % 2 else ()) for n in range(7)]
        await check_pages(world.tools.list, tools)
        await check_pages(lambda page: world.tools.list(page, tags=["odd"]), tools[1::2])

    async def test_pages_miss_nothing_while_tools_are_added(self, world: World) -> None:
        """Nor is any given twice."""
        await check_pages_while_items_are_added(world.tools.list, lambda: world.tool(new_tool_id()))

    async def test_update_sets_what_is_named(self, world: World) -> None:
        """Tags that are gone find it no more."""
        tool, now = await world.tool("add", tags=("old", "both")), world.time()
        changed = await world.tools.update(tool.id, {"tags": ("both", "new"), "idempotent": True}, now)
        assert changed == replace(tool, tags=("both", "new"), idempotent=True, update_time=now)
        assert await world.tools.get(tool.id) == changed
        assert (await world.tools.list(_ALL, tags=["old"])).items == ()
        assert (await world.tools.list(_ALL, tags=["new", "both"])).items == (changed,)

    async def test_put_makes_a_tool_or_takes_the_place_of_the_one_with_its_name(self, world: World) -> None:
        """Id, time of creation and place in lists stay; all else is the new one's."""
        tool = world.new_tool("add")
        assert await world.named_tools.put(tool) == tool
        later = await world.tool("later")
        other = replace(world.new_tool("add"), source=PythonSource(code="pass"), tags=("t",), parallel=False)
        put = await world.named_tools.put(other)
        assert put == replace(other, id=tool.id, create_time=tool.create_time)
        assert (await world.tools.list(_ALL)).items == (put, later)
        assert (await world.tools.list(_ALL, tags=["t"])).items == (put,)

    async def test_a_deleted_tool_leaves_all_agents(self, world: World) -> None:
        """Their other tools stay, in order, also those whose names look alike; the name can be taken again."""
        tool = await world.tool("a_b")
        approvals = {"a_b": True, "axb": False}
        agents = [await world.agent(tools=("x", "a_b", "axb"), tool_approvals=approvals), await world.agent(tools=("axb",))]
        await world.tools.delete(tool.id)
        with pytest.raises(ToolNotFound):
            await world.tools.get(tool.id)
        first, second = [await world.agents.get(agent.id) for agent in agents]
        assert (first.tools, first.tool_approvals) == (("x", "axb"), {"axb": False})
        assert second == agents[1]
        await world.tool("a_b")

    async def test_tools_are_attached_and_detached(self, world: World) -> None:
        """The newest comes last; doing either again changes nothing, not even the time."""
        agent, now = await world.agent(tools=("a",)), world.time()
        attached = await world.agent_tools.attach(agent.id, "b", now)
        assert attached == replace(agent, tools=("a", "b"), update_time=now)
        assert await world.agent_tools.attach(agent.id, "b", world.time()) == attached
        assert await world.agents.get(agent.id) == attached
        detached = await world.agent_tools.detach(agent.id, "a", later := world.time())
        assert detached == replace(attached, tools=("b",), update_time=later)
        assert await world.agent_tools.detach(agent.id, "a", world.time()) == detached
        assert await world.agents.get(agent.id) == detached

    async def test_an_agent_keeps_its_blocks_whatever_happens_to_its_tools(self, world: World) -> None:
        """They are no part of the change."""
        tool, agent = await world.tool("add"), await world.agent(await world.block("human"))
        assert (await world.agent_tools.attach(agent.id, "add", world.time())).memory_blocks == agent.memory_blocks
        await world.tools.delete(tool.id)
        assert (await world.agents.get(agent.id)).memory_blocks == agent.memory_blocks

    async def test_an_agent_has_so_many_tools_at_most(self, world: World) -> None:
        """One more is refused; one that it has is not one more."""
        names = tuple(f"tool_{n}" for n in range(MAX_AGENT_TOOLS))
        agent = await world.agent(tools=names)
        with pytest.raises(InvalidRequest):
            await world.agent_tools.attach(agent.id, "another", world.time())
        assert await world.agent_tools.attach(agent.id, names[0], world.time()) == agent

    async def test_an_agents_word_on_approval_is_set_and_taken_back(self, world: World) -> None:
        """Of each tool apart."""
        agent, now = await world.agent(tools=("a", "b")), world.time()
        await world.agent_tools.set_approval(agent.id, "a", now, required=True)
        both = await world.agent_tools.set_approval(agent.id, "b", now, required=False)
        assert both.tool_approvals == {"a": True, "b": False}
        left = await world.agent_tools.set_approval(agent.id, "a", now, required=None)
        assert left == replace(agent, tool_approvals={"b": False}, update_time=now)
        assert await world.agents.get(agent.id) == left

    async def test_an_unknown_agent_is_not_found(self, world: World) -> None:
        """Whatever is done to its tools."""
        unknown, now = new_agent_id(), world.time()
        for asked in (
            world.agent_tools.attach(unknown, "a", now),
            world.agent_tools.detach(unknown, "a", now),
            world.agent_tools.set_approval(unknown, "a", now, required=True),
        ):
            with pytest.raises(AgentNotFound):
                await asked
