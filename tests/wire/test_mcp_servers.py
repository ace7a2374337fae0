"""MCP servers end to end: registered, asked for tools, and gone again."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from letta_grpc.v1 import mcp_pb2, messages_pb2, run_service_pb2, runs_pb2, tool_service_pb2
from letta_grpc.v1 import mcp_service_pb2 as pb
from tests.requirements.registry import requirement
from tests.support.houses import Wire, run_of, talk
from tests.support.mcp_servers import PROGRAM, HttpProcess, http_process
from tests.support.wires import failure_of, fields_of, info_of
from tests.wire.conftest import Connect

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

NOBODY = "mcp-00000000-0000-4000-8000-00000000dead"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpProcess]:
    with http_process(tmp_path_factory.mktemp("mcp"), key="opensesame") as running:
        yield running


def child(folder: Path, **environment: str) -> mcp_pb2.StdioEndpoint:
    environment["MCP_TEST_FOLDER"] = str(folder)
    return mcp_pb2.StdioEndpoint(command=sys.executable, arguments=[str(PROGRAM), "stdio"], environment=environment)


def listener(process: HttpProcess) -> mcp_pb2.HttpEndpoint:
    return mcp_pb2.HttpEndpoint(url=process.endpoint.url, headers=process.endpoint.headers)


async def registered(wire: Wire, server: mcp_pb2.McpServer) -> mcp_pb2.McpServer:
    return (await wire.mcp.CreateMcpServer(pb.CreateMcpServerRequest(server=server))).server


@asynccontextmanager
async def keeping(wire: Wire, server: mcp_pb2.McpServer) -> AsyncIterator[mcp_pb2.McpServer]:
    """Register a server for as long as a test takes."""
    made = await registered(wire, server)
    try:
        yield made
    finally:
        await wire.mcp.DeleteMcpServer(pb.DeleteMcpServerRequest(mcp_server_id=made.id))


@requirement("mcp_kept")
async def test_a_server_is_kept_for_the_next_server_and_its_secrets_are_not_shown(
    connect: Connect, process: HttpProcess, tmp_path: Path
) -> None:
    async with connect(mcp_stdio=True) as wire:
        web = await registered(wire, mcp_pb2.McpServer(name="web", http=listener(process)))
        own = await registered(wire, mcp_pb2.McpServer(name="own", stdio=child(tmp_path, TOKEN="hush")))
        assert dict(web.http.headers) == {"x-key": ""}
        assert dict(own.stdio.environment) == {"MCP_TEST_FOLDER": "", "TOKEN": ""}
    async with connect() as wire:
        assert (await wire.mcp.GetMcpServer(pb.GetMcpServerRequest(mcp_server_id=web.id))).server == web
        listed = await wire.mcp.ListMcpServers(pb.ListMcpServersRequest(page_size=1, descending=True))
        assert list(listed.servers) == [own]
        rest = await wire.mcp.ListMcpServers(pb.ListMcpServersRequest(page_token=listed.next_page_token, descending=True))
        assert list(rest.servers) == [web]
        # The key is still known: without it the server would refuse.
        assert (await wire.mcp.ListMcpTools(pb.ListMcpToolsRequest(mcp_server_id=web.id))).tools


@requirement("mcp_tools")
async def test_tools_are_listed_and_added_under_the_names_that_are_wished_for(wire: Wire, process: HttpProcess) -> None:
    async with keeping(wire, mcp_pb2.McpServer(name="tools", http=listener(process))) as server:
        listed = (await wire.mcp.ListMcpTools(pb.ListMcpToolsRequest(mcp_server_id=server.id))).tools
        described = {tool.name: tool for tool in listed}
        assert described["add"].description == "Add two numbers."
        request = pb.AddMcpToolsRequest(mcp_server_id=server.id, names=["slow", "add"], prefix="t_")
        slow, add = (await wire.mcp.AddMcpTools(request)).tools
        assert (slow.name, add.name, add.mcp.remote_name, add.mcp.mcp_server_id) == ("t_slow", "t_add", "add", server.id)
        assert (add.description, add.parameters) == (described["add"].description, described["add"].parameters)
        assert add.mcp.timeout.seconds == 60
        hasty = tool_service_pb2.UpdateToolRequest(tool_id=slow.id, update_mask=FieldMask(paths=["mcp.timeout"]))
        hasty.tool.mcp.timeout.FromMilliseconds(200)
        changed = (await wire.tools.UpdateTool(hasty)).tool
        assert (changed.mcp.remote_name, changed.mcp.timeout.ToMilliseconds()) == ("slow", 200)
        trial = await wire.tools.RunTool(tool_service_pb2.RunToolRequest(tool_id=slow.id))
        assert "did not answer within 0.2 seconds" in trial.text
        hasty.tool.mcp.timeout.FromSeconds(7200)
        assert set(fields_of(await failure_of(wire.tools.UpdateTool(hasty)))) == {"tool.mcp.timeout"}
        everything = await wire.mcp.AddMcpTools(pb.AddMcpToolsRequest(mcp_server_id=server.id, prefix="all_"))
        assert [tool.name for tool in everything.tools] == [f"all_{tool.name}" for tool in listed]


@requirement("mcp_called")
async def test_an_agent_calls_the_tool_and_is_told_what_it_gave(wire: Wire, process: HttpProcess) -> None:
    async with keeping(wire, mcp_pb2.McpServer(name="called", http=listener(process))) as server:
        await wire.mcp.AddMcpTools(pb.AddMcpToolsRequest(mcp_server_id=server.id, prefix="c_"))
        one = await talk(wire, "scripted/script", ["c_add", "c_image", "c_fails"])
        calls = [("c_add", {"a": 40, "b": 2}), ("c_image", {}), ("c_fails", {})]
        turn = [{"tool_call": {"name": name, "arguments": arguments}} for name, arguments in calls]
        assert run_of(await one.ask(json.dumps([turn, [{"text": "done"}]]))).state == runs_pb2.RUN_STATE_COMPLETED
        add, image, fails = [returned for message in await one.history() for returned in message.tool_returns]
        assert (add.status, add.text) == (messages_pb2.TOOL_RETURN_STATUS_SUCCESS, "42")
        assert image.content.parts[0].image.media_type == "image/png"
        assert fails.status == messages_pb2.TOOL_RETURN_STATUS_ERROR
        await one.goes_on()


@requirement("mcp_called")
async def test_cancelling_the_run_cancels_the_call_at_the_server(wire: Wire, tmp_path: Path) -> None:
    async with keeping(wire, mcp_pb2.McpServer(name="cancelled", stdio=child(tmp_path))) as server:
        await wire.mcp.AddMcpTools(pb.AddMcpToolsRequest(mcp_server_id=server.id, prefix="x_"))
        one = await talk(wire, "scripted/script", ["x_slow"])
        start = one.start(json.dumps([[{"tool_call": {"name": "x_slow", "arguments": {}}}]]))
        run = (await wire.runs.CreateRun(run_service_pb2.CreateRunRequest(agent_id=one.agent_id, run=start.run))).run
        async with asyncio.timeout(20):
            await there(tmp_path / "slow.began")
            await wire.runs.CancelRun(run_service_pb2.CancelRunRequest(run_id=run.id))
            await there(tmp_path / "slow.cancelled")
        stream = wire.runs.AttachRun(run_service_pb2.AttachRunRequest(run_id=run.id))
        events = [event async for response in stream for event in response.events]
        assert run_of(events).state == runs_pb2.RUN_STATE_CANCELLED
        await one.goes_on()


async def there(path: Path) -> None:
    while not path.exists():  # noqa: ASYNC110, ASYNC240 - it is another process that makes the file
        await asyncio.sleep(0.01)


@requirement("mcp_added_again")
async def test_adding_again_keeps_the_tool_and_a_name_that_is_taken_stores_nothing(wire: Wire, process: HttpProcess) -> None:
    async with (
        keeping(wire, mcp_pb2.McpServer(name="first", http=listener(process))) as first,
        keeping(wire, mcp_pb2.McpServer(name="second", http=listener(process))) as second,
    ):
        request = pb.AddMcpToolsRequest(mcp_server_id=first.id, names=["add"])
        (once,) = (await wire.mcp.AddMcpTools(request)).tools
        (again,) = (await wire.mcp.AddMcpTools(request)).tools
        assert (again.id, again.create_time) == (once.id, once.create_time)
        both = pb.AddMcpToolsRequest(mcp_server_id=second.id, names=["slow", "add"])
        for _ in range(2):
            error = await failure_of(wire.mcp.AddMcpTools(both))
            assert info_of(error) == (grpc.StatusCode.ALREADY_EXISTS, "NAME_TAKEN", {"name": "add"})
        (free,) = (await wire.mcp.AddMcpTools(pb.AddMcpToolsRequest(mcp_server_id=first.id, names=["slow"]))).tools
        assert free.name == "slow"
        unknown = pb.AddMcpToolsRequest(mcp_server_id=first.id, names=["add", "nope"])
        assert fields_of(await failure_of(wire.mcp.AddMcpTools(unknown))) == {"names[1]": "the server has no tool 'nope'"}


@requirement("mcp_deleted")
async def test_a_deleted_server_is_gone_with_its_tools_and_its_process(wire: Wire, tmp_path: Path) -> None:
    server = await registered(wire, mcp_pb2.McpServer(name="own", stdio=child(tmp_path)))
    add = pb.AddMcpToolsRequest(mcp_server_id=server.id, names=["pid"], prefix="gone_")
    await wire.mcp.AddMcpTools(add)
    pid = int((tmp_path / "pid").read_text())
    os.kill(pid, 0)
    await wire.mcp.DeleteMcpServer(pb.DeleteMcpServerRequest(mcp_server_id=server.id))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    for call in (
        wire.mcp.GetMcpServer(pb.GetMcpServerRequest(mcp_server_id=server.id)),
        wire.mcp.ListMcpTools(pb.ListMcpToolsRequest(mcp_server_id=server.id)),
        wire.mcp.DeleteMcpServer(pb.DeleteMcpServerRequest(mcp_server_id=server.id)),
        wire.mcp.AddMcpTools(add),
    ):
        expected = (grpc.StatusCode.NOT_FOUND, "MCP_SERVER_NOT_FOUND", {"mcp_server_id": server.id})
        assert info_of(await failure_of(call)) == expected
    # Both names are free again.
    async with keeping(wire, mcp_pb2.McpServer(name="own", stdio=child(tmp_path))) as other:
        again = pb.AddMcpToolsRequest(mcp_server_id=other.id, names=["pid"], prefix="gone_")
        assert [tool.name for tool in (await wire.mcp.AddMcpTools(again)).tools] == ["gone_pid"]


@requirement("mcp_allowed")
async def test_commands_and_private_addresses_are_refused_by_the_name_of_the_setting(
    connect: Connect, process: HttpProcess, tmp_path: Path
) -> None:
    async with connect(mcp_stdio=False, mcp_private_addresses=False) as wire:
        own = pb.CreateMcpServerRequest(server=mcp_pb2.McpServer(name="own", stdio=child(tmp_path)))
        assert "LETTA_GRPC_MCP_STDIO=true" in fields_of(await failure_of(wire.mcp.CreateMcpServer(own)))["server.stdio"]
        web = pb.CreateMcpServerRequest(server=mcp_pb2.McpServer(name="web", http=listener(process)))
        refused = fields_of(await failure_of(wire.mcp.CreateMcpServer(web)))
        assert "LETTA_GRPC_MCP_PRIVATE_ADDRESSES=true" in refused["server.http.url"]
        assert not (await wire.mcp.ListMcpServers(pb.ListMcpServersRequest())).servers


@requirement("mcp_allowed")
async def test_nobody_without_a_key_has_a_command_started(connect: Connect, tmp_path: Path) -> None:
    """Not even from this machine: a tool with network calls from it, too."""
    async with connect() as wire:
        own = pb.CreateMcpServerRequest(server=mcp_pb2.McpServer(name="own", stdio=child(tmp_path)))
        refused = fields_of(await failure_of(wire.mcp.CreateMcpServer(own)))["server.stdio"]
        assert "only while calls need a key" in refused
        assert "LETTA_GRPC_MCP_STDIO=true" in refused


@requirement("mcp_failing")
async def test_a_server_that_does_not_work_is_named_and_can_be_registered_all_the_same(wire: Wire) -> None:
    async with keeping(wire, mcp_pb2.McpServer(name="broken", stdio=mcp_pb2.StdioEndpoint(command="/no/such"))) as server:
        error = await failure_of(wire.mcp.ListMcpTools(pb.ListMcpToolsRequest(mcp_server_id=server.id)))
        assert info_of(error) == (grpc.StatusCode.FAILED_PRECONDITION, "MCP_SERVER_FAILED", {"mcp_server_id": server.id})
        assert "'broken'" in (error.details() or "")


@pytest.mark.parametrize(
    ("server", "path"),
    [
        (mcp_pb2.McpServer(name="a"), "server"),
        (mcp_pb2.McpServer(name="a b", http=mcp_pb2.HttpEndpoint(url="http://a")), "server.name"),
        (mcp_pb2.McpServer(name="a", http=mcp_pb2.HttpEndpoint()), "server.http.url"),
        (mcp_pb2.McpServer(name="a", http=mcp_pb2.HttpEndpoint(url="ftp://a")), "server.http.url"),
        (mcp_pb2.McpServer(name="a", http=mcp_pb2.HttpEndpoint(url="http://a", headers={"a b": "c"})), "server.http.headers"),
        (
            mcp_pb2.McpServer(name="a", http=mcp_pb2.HttpEndpoint(url="http://a", headers={"a": "b\r\nc"})),
            "server.http.headers",
        ),
        (mcp_pb2.McpServer(name="a", stdio=mcp_pb2.StdioEndpoint()), "server.stdio.command"),
        (mcp_pb2.McpServer(name="a", stdio=mcp_pb2.StdioEndpoint(command="a\0")), "server.stdio.command"),
        (
            mcp_pb2.McpServer(name="a", stdio=mcp_pb2.StdioEndpoint(command="a", arguments=["x"] * 65)),
            "server.stdio.arguments",
        ),
        (mcp_pb2.McpServer(name="a", stdio=mcp_pb2.StdioEndpoint(command="a", arguments=["\0"])), "server.stdio.arguments[0]"),
        (
            mcp_pb2.McpServer(name="a", stdio=mcp_pb2.StdioEndpoint(command="a", environment={"A=B": ""})),
            "server.stdio.environment",
        ),
    ],
)
async def test_what_breaks_a_rule_is_refused_with_its_path(wire: Wire, server: mcp_pb2.McpServer, path: str) -> None:
    error = await failure_of(wire.mcp.CreateMcpServer(pb.CreateMcpServerRequest(server=server)))
    assert info_of(error)[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert list(fields_of(error)) == [path]


async def test_requests_for_tools_are_checked(wire: Wire) -> None:
    bad = pb.AddMcpToolsRequest(mcp_server_id="x", prefix="a b", names=["n"] * 1001)
    assert fields_of(await failure_of(wire.mcp.AddMcpTools(bad))).keys() == {"mcp_server_id", "prefix", "names"}
    error = await failure_of(wire.mcp.GetMcpServer(pb.GetMcpServerRequest(mcp_server_id=NOBODY)))
    assert info_of(error)[1] == "MCP_SERVER_NOT_FOUND"
