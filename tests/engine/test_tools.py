from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from letta_grpc.adapters.memory.database import MemoryDatabase
from letta_grpc.adapters.no_sandbox import NoSandbox
from letta_grpc.domain.errors import InvalidRequest, NameTaken, ToolNotFound, ToolSandboxUnavailable, ToolSourceInvalid
from letta_grpc.domain.ids import (
    builtin_tool_id,
    is_id,
    new_agent_id,
    new_conversation_id,
    new_mcp_server_id,
    new_run_id,
    new_tool_id,
)
from letta_grpc.domain.messages import ToolCall, ToolReturnStatus
from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.domain.tools import (
    BuiltinSource,
    HttpEndpoint,
    McpServer,
    McpSource,
    OutputStream,
    PythonSource,
    Tool,
    ToolSignature,
)
from letta_grpc.engine.pages import page_behind
from letta_grpc.engine.tool_trials import ToolName, Trial
from letta_grpc.engine.tools import MAX_DESCRIPTION, MAX_PARAMETERS_BYTES, NewTool
from letta_grpc.ports.sandbox import Sandbox
from letta_grpc.ports.tools import ToolContext, ToolResult
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.stores import World
from letta_grpc.testing.stores.paging import check_pages
from letta_grpc.transport.convert.codec import ProtoEventCodec
from tests.support.memory_worlds import world_of
from tests.support.plain_sandbox import PlainSandbox
from tests.support.toolsheds import Toolshed, toolshed

ADD = 'def add(a, b):\n    """Add two numbers."""\n'
GREET = "def greet(): ...\n"


@dataclass
class RemoteTools:
    """An MCP client whose servers have every tool."""

    calls: list[tuple[str, str, str, float]] = field(default_factory=list)

    def check(self, server: McpServer) -> None: ...

    async def list_tools(self, server: McpServer) -> tuple[ToolSignature, ...]:  # noqa: ARG002 - the port's shape
        return ()

    async def call(self, server: McpServer, name: str, arguments: str, timeout_seconds: float) -> ToolResult:
        self.calls.append((server.id, name, arguments, timeout_seconds))
        return ToolResult(status=ToolReturnStatus.SUCCESS, text="from far away")

    async def forget(self, server: McpServer) -> None: ...


class House:
    """Tools over stores in memory."""

    def __init__(self, sandbox: Sandbox | None = None) -> None:
        clock = FakeClock()
        database = MemoryDatabase(clock, ProtoEventCodec())
        self.world: World = world_of(database)
        self.servers = database.mcp_servers
        self.sandbox = sandbox or PlainSandbox()
        self.remote = RemoteTools()
        self.shed: Toolshed = toolshed(database, clock, sandbox=self.sandbox, client=self.remote)
        self.registry, self.catalog, self.trials = self.shed.registry, self.shed.catalog, self.shed.trials

    @property
    def plain(self) -> PlainSandbox:
        assert isinstance(self.sandbox, PlainSandbox)
        return self.sandbox

    async def create(self, code: str = ADD, **fields: Any) -> Tool:  # noqa: ANN401 - of NewTool or of its source
        own = ("timeout_seconds", "allow_network", "secrets", "all_secrets")
        source = {name: fields.pop(name) for name in own if name in fields}
        return await self.registry.create(NewTool(source=PythonSource(code=code, **source), **fields))

    async def remote_tool(self) -> Tool:
        server = McpServer(
            id=new_mcp_server_id(), name="far", endpoint=HttpEndpoint(url="http://x"), create_time=self.world.time()
        )
        await self.servers.create(server)
        source = McpSource(server_id=server.id, remote_name="far.away", timeout_seconds=3)
        return await self.world.tool("far_away", source=source, parameters='{"type": "object"}')

    async def call(self, name: str, arguments: str = "{}", **secrets: str) -> ToolResult:
        context = ToolContext(
            agent_id=new_agent_id(), conversation_id=new_conversation_id(), run_id=new_run_id(), secrets=secrets
        )
        return await self.catalog.run(ToolCall(id="call", name=name, arguments=arguments), context, unheard)


def unheard(_stream: OutputStream, _text: str) -> None: ...


@pytest.fixture
def house() -> House:
    return House()


async def test_name_description_and_schema_come_from_the_source(house: House) -> None:
    tool = await house.create()
    assert (tool.name, tool.description) == ("add", "Add two numbers.")
    assert '"a"' in tool.parameters
    assert await house.registry.get(tool.id) == tool == await house.registry.named("add")


async def test_what_a_caller_says_of_a_tool_wins(house: House) -> None:
    tool = await house.create(name="add", description="Mine.", parameters='{"type":"object"}', tags=("t",), parallel=False)
    assert (tool.description, tool.parameters, tool.tags, tool.parallel) == ("Mine.", '{"type":"object"}', ("t",), False)


async def test_a_name_is_the_functions_and_nobody_elses(house: House) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await house.create(name="plus")
    assert caught.value.fields == {"tool.name": "must be the name of a public function of the source, as 'add' is"}
    await house.create()
    for code in (ADD, "def memory_insert(): ...\n"):
        with pytest.raises(NameTaken):
            await house.create(code)
    with pytest.raises(NameTaken):
        await house.registry.upsert(NewTool(source=PythonSource(code="def memory_insert(): ...\n")))


async def test_a_name_chooses_among_the_functions_of_a_source(house: House) -> None:
    tool = await house.create(ADD + GREET, name="add")
    assert (tool.name, tool.description) == ("add", "Add two numbers.")
    newer = PythonSource(code=ADD.replace("two", "some") + GREET)
    assert (await house.registry.update(tool.id, {"source": newer})).description == "Add some numbers."
    assert (await house.registry.upsert(NewTool(name="add", source=newer))).id == tool.id
    assert (await house.create(ADD + GREET)).name == "greet"


async def test_source_that_describes_itself_at_too_great_length_is_refused(house: House) -> None:
    with pytest.raises(ToolSourceInvalid, match="docstring"):
        await house.create(f'def add():\n    """{"x" * (MAX_DESCRIPTION + 1)}"""\n')
    with pytest.raises(ToolSourceInvalid, match="parameters"):
        await house.create(f"def add(a{'x' * MAX_PARAMETERS_BYTES}): ...\n")


async def test_an_upsert_makes_a_tool_and_then_takes_its_place(house: House) -> None:
    first = await house.registry.upsert(NewTool(source=PythonSource(code=ADD)))
    other = 'def add(c):\n    """Otherwise."""\n'
    second = await house.registry.upsert(NewTool(source=PythonSource(code=other), idempotent=True))
    assert (second.id, second.create_time, second.description) == (first.id, first.create_time, "Otherwise.")
    assert second.idempotent
    assert await house.registry.get(first.id) == second


async def test_an_upsert_does_not_take_the_place_of_a_tool_of_an_mcp_server(house: House) -> None:
    tool = await house.remote_tool()
    with pytest.raises(NameTaken):
        await house.registry.upsert(NewTool(source=PythonSource(code="def far_away(): ...\n")))
    assert await house.registry.get(tool.id) == tool


async def test_builtin_tools_are_shown_and_cannot_be_changed(house: House) -> None:
    found = (await house.registry.list(PageRequest(size=1000))).items
    assert found
    for tool in found:
        assert isinstance(tool.source, BuiltinSource)
        assert is_id("tool", tool.id)
        assert await house.registry.get(tool.id) == tool == await house.registry.named(tool.name)
        with pytest.raises(InvalidRequest):
            await house.registry.update(tool.id, {"tags": ("x",)})
        with pytest.raises(InvalidRequest):
            await house.registry.delete(tool.id)
        with pytest.raises(InvalidRequest):
            await house.trials.run(Trial(tool=tool.id))
    assert len({tool.id for tool in found}) == len(found)


async def test_a_list_begins_with_the_builtin_tools(house: House) -> None:
    own = list((await house.registry.list(PageRequest(size=1000))).items)
    added = [await house.create(f"def tool_{number}(): ...\n", tags=("mine",)) for number in range(5)]
    await check_pages(house.registry.list, [*own, *added])
    await check_pages(lambda page: house.registry.list(page, tags=["mine"]), added)
    await check_pages(lambda page: house.registry.list(page, name="tool_1"), added[1:2])
    await check_pages(lambda page: house.registry.list(page, name=own[1].name), own[1:2])


@pytest.mark.parametrize("front", range(5))
@pytest.mark.parametrize("stored", range(5))
async def test_a_list_in_two_parts_is_read_as_one(front: int, stored: int) -> None:
    async def list_stored(page: PageRequest) -> Page[int]:
        places = [place for place in range(1, stored + 1) if page.after is None or place > page.after]
        if page.descending:
            places = [place for place in range(stored, 0, -1) if page.after is None or place < page.after]
        shown = places[: page.size]
        return Page(tuple(shown), shown[-1] if len(places) > len(shown) else None)

    first = range(-front, 0)
    await check_pages(lambda page: page_behind(first, list_stored, page), [*first, *range(1, stored + 1)])


async def test_new_source_is_described_again(house: House) -> None:
    tool = await house.create(description="Mine.")
    new = PythonSource(code='def add(c):\n    """Newer."""\n')
    changed = await house.registry.update(tool.id, {"source": new})
    assert (changed.source, changed.description) == (new, "Newer.")
    assert '"c"' in changed.parameters
    kept = await house.registry.update(tool.id, {"source": tool.source, "description": "Mine."})
    assert (kept.description, '"a"' in kept.parameters) == ("Mine.", True)


async def test_what_is_not_about_the_code_describes_nothing(house: House) -> None:
    tool = await house.create(description="Mine.")
    before = house.plain.described
    slower = PythonSource(code=ADD, timeout_seconds=7)
    changed = await house.registry.update(tool.id, {"source": slower, "tags": ("x",)})
    assert (changed.source, changed.tags, changed.description) == (slower, ("x",), "Mine.")
    assert house.plain.described == before


async def test_an_emptied_description_is_the_sources_again(house: House) -> None:
    tool = await house.create(description="Mine.", parameters='{"type":"object"}')
    changed = await house.registry.update(tool.id, {"description": ""})
    assert (changed.description, changed.parameters) == ("Add two numbers.", '{"type":"object"}')


async def test_new_source_keeps_the_name(house: House) -> None:
    tool = await house.create()
    with pytest.raises(InvalidRequest) as caught:
        await house.registry.update(tool.id, {"source": PythonSource(code=GREET)})
    assert list(caught.value.fields) == ["tool.python.code"]
    assert await house.registry.get(tool.id) == tool


async def test_a_tool_of_an_mcp_server_has_no_source_to_change(house: House) -> None:
    tool = await house.remote_tool()
    for changes in ({"source": PythonSource(code=ADD)}, {"parameters": ""}):
        with pytest.raises(InvalidRequest):
            await house.registry.update(tool.id, changes)
    assert (await house.registry.update(tool.id, {"description": "Mine."})).description == "Mine."


async def test_how_long_a_call_may_take_is_changed_of_a_tool_of_an_mcp_server_alone(house: House) -> None:
    tool, own = await house.remote_tool(), await house.create()
    assert isinstance(tool.source, McpSource)
    changed = await house.registry.update(tool.id, {"mcp_timeout_seconds": 90.0, "description": "Slow."})
    assert (changed.source, changed.description) == (replace(tool.source, timeout_seconds=90), "Slow.")
    with pytest.raises(InvalidRequest):
        await house.registry.update(own.id, {"mcp_timeout_seconds": 90.0})


async def test_unknown_tools_are_not_found(house: House) -> None:
    unknown, agent = new_tool_id(), await house.world.agent()
    for asked in (
        house.registry.get(unknown),
        house.registry.named("unknown"),
        house.registry.update(unknown, {"tags": ()}),
        house.registry.delete(unknown),
        house.registry.attach(agent.id, "unknown"),
        house.registry.set_approval(agent.id, "unknown", required=True),
        house.trials.run(Trial(tool=unknown)),
        house.trials.run(Trial(tool=ToolName("unknown"))),
    ):
        with pytest.raises(ToolNotFound):
            await asked


async def test_an_agent_gets_a_tool_and_loses_it_with_the_tool(house: House) -> None:
    tool, agent = await house.create(), await house.world.agent()
    assert (await house.registry.attach(agent.id, "add")).tools == ("add",)
    assert (await house.registry.set_approval(agent.id, "add", required=True)).tool_approvals == {"add": True}
    assert (await house.registry.detach(agent.id, "add")).tools == ()
    await house.registry.attach(agent.id, "add")
    await house.registry.delete(tool.id)
    assert (await house.world.agents.get(agent.id)).tools == ()


async def test_a_builtin_tool_can_be_attached(house: House) -> None:
    agent = await house.world.agent()
    assert (await house.registry.attach(agent.id, "memory_insert")).tools == ("memory_insert",)


async def test_the_catalog_knows_tools_of_every_kind_in_the_order_asked_for(house: House) -> None:
    await house.create(return_char_limit=9, requires_approval=True, idempotent=True, parallel=False)
    await house.remote_tool()
    found = await house.catalog.load(("far_away", "memory_insert", "nowhere", "add"))
    assert list(found) == ["far_away", "memory_insert", "add"]
    add = found["add"]
    assert (add.return_char_limit, add.requires_approval, add.idempotent, add.parallel) == (9, True, True, False)


async def test_each_tool_runs_where_it_belongs(house: House) -> None:
    await house.create(timeout_seconds=5)
    await house.remote_tool()
    assert (await house.call("add", '{"a": 1}')).text == '{"a": 1}'
    assert [(call.name, call.source.timeout_seconds) for call in house.plain.calls] == [("add", 5)]
    assert (await house.call("far_away", "{}")).text == "from far away"
    assert [call[1:] for call in house.remote.calls] == [("far.away", "{}", 3)]
    assert "memory_insert" in (await house.call("memory_insert", "{}")).text
    assert "no tool 'nowhere'" in (await house.call("nowhere")).text


async def test_line_ends_that_a_model_writes_in_strings_reach_every_kind_of_tool(house: House) -> None:
    """They are no JSON, and each kind reads the arguments with a reader of its own."""
    written, taken = '{"a": "x\ny"}', '{"a": "x\\ny"}'
    await house.create()
    await house.remote_tool()
    assert (await house.call("add", written)).text == taken
    await house.call("far_away", written)
    assert [call[2] for call in house.remote.calls] == [taken]
    assert "not valid JSON" not in (await house.call("memory_insert", written)).text
    assert (await house.trials.run(Trial(tool=ToolName("add"), arguments=written))).result.text == taken


async def test_a_tool_gets_the_secrets_that_it_declares_and_no_others(house: House) -> None:
    await house.create(secrets=("KEY",))
    await house.call("add", KEY="k", OTHER="o")
    assert [dict(call.environment) for call in house.plain.calls] == [{"KEY": "k"}]
    refused = await house.call("add", OTHER="o")
    assert (refused.status, refused.text) == (
        ToolReturnStatus.ERROR,
        "Error: add needs secrets that the agent does not have: KEY.",
    )


async def test_a_tool_that_gets_all_secrets_gets_those_too_that_it_does_not_name(house: House) -> None:
    await house.create(secrets=("KEY",), all_secrets=True)
    await house.call("add", KEY="k", OTHER="o")
    (environment,) = (dict(call.environment) for call in house.plain.calls)
    assert environment.pop("LETTA_AGENT_ID").startswith("agent-")
    assert environment == {"KEY": "k", "OTHER": "o"}
    assert (await house.call("add", OTHER="o")).status is ToolReturnStatus.ERROR


async def test_a_tool_of_a_server_that_is_gone_is_an_error(house: House) -> None:
    tool = await house.remote_tool()
    assert isinstance(tool.source, McpSource)
    await house.servers.delete(tool.source.server_id)
    assert (await house.call("far_away")).status is ToolReturnStatus.ERROR


async def test_a_trial_runs_a_tool_by_id_by_name_or_from_its_source(house: House) -> None:
    tool = await house.create(return_char_limit=4)
    whole = (await house.trials.run(Trial(tool=PythonSource(code=ADD), arguments='{"a": 1}'))).result
    assert whole.text == '{"a": 1}'
    for which in (tool.id, ToolName("add")):
        cut = (await house.trials.run(Trial(tool=which, arguments='{"a": 1}'))).result
        assert cut.text == '{"a"\n[cut: 4 of 8 characters are shown]'


async def test_a_trial_has_the_secrets_of_its_request(house: House) -> None:
    source = PythonSource(code=ADD, secrets=("KEY",))
    await house.trials.run(Trial(tool=source, secrets={"KEY": "k"}))
    assert [dict(call.environment) for call in house.plain.calls] == [{"KEY": "k"}]
    assert (await house.trials.run(Trial(tool=source))).result.status is ToolReturnStatus.ERROR


async def test_a_trial_of_a_remote_tool_asks_its_server(house: House) -> None:
    tool = await house.remote_tool()
    assert (await house.trials.run(Trial(tool=tool.id))).result.text == "from far away"


async def test_without_a_sandbox_no_tool_is_made_or_tried() -> None:
    house = House(NoSandbox("not here"))
    await house.world.tool("add", source=PythonSource(code=ADD))
    for asked in (
        house.create(),
        house.trials.run(Trial(tool=ToolName("add"))),
        house.trials.run(Trial(tool=PythonSource(code=ADD))),
    ):
        with pytest.raises(ToolSandboxUnavailable, match="not here"):
            await asked
    refused = await house.call("add")
    assert refused.status is ToolReturnStatus.ERROR
    assert refused.text.startswith("TOOL_SANDBOX_UNAVAILABLE")
    assert house.sandbox.unavailable() == "not here"
    await NoSandbox("x").aclose()


def test_a_builtin_tools_id_is_the_same_everywhere() -> None:
    assert builtin_tool_id("memory_insert") == builtin_tool_id("memory_insert") == "tool-13bd9c99-2373-4bbd-9022-e6c5da5c8c6c"


async def test_only_stored_tools_are_the_catalogs_to_use(house: House) -> None:
    own = await house.registry.named("memory_insert")
    with pytest.raises(ValueError, match="not a stored tool"):
        await house.catalog.use(own, "{}", {}, unheard)
