"""Tools of Python source: made, listed, changed, given to agents."""

import json

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from letta_grpc.v1 import agent_service_pb2, agents_pb2, messages_pb2, runs_pb2, tools_pb2
from letta_grpc.v1 import run_service_pb2 as run_pb
from letta_grpc.v1 import tool_service_pb2 as pb
from tests.requirements.registry import requirement
from tests.support.houses import Wire, run_of
from tests.support.wire_tools import ADD, agent_with, calling, got, listed, made, python, returns
from tests.support.wires import failure_of, fields_of, info_of
from tests.wire.conftest import Connect

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@requirement("tool_source")
async def test_a_tool_is_what_its_source_says(wire: Wire) -> None:
    tool = await made(wire, ADD.format(name="source"))
    assert (tool.name, tool.description) == ("add_source", "Add two numbers.")
    schema = json.loads(tool.parameters)
    assert schema["required"] == ["left"]
    assert schema["properties"]["left"] == {"type": "integer", "description": "the one"}
    assert (tool.return_char_limit, tool.parallel, tool.python.timeout) == (50_000, True, Duration(seconds=60))
    assert await got(wire, tool.id) == tool


@requirement("tool_schema")
async def test_a_name_chooses_the_function_and_a_schema_stands_for_its_hints(wire: Wire) -> None:
    code = "def add_chosen(x, self, agent_state: 'State'):\n    return [x, self, agent_state]\ndef helper_chosen(y): ...\n"
    schema = '{"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}'
    tool = await made(wire, code, name="add_chosen", parameters=schema)
    assert (tool.name, tool.parameters) == ("add_chosen", schema)
    for request in (pb.RunToolRequest(tool_id=tool.id), pb.RunToolRequest(name=tool.name)):
        request.arguments = '{"x": 1}'
        outcome = await wire.tools.RunTool(request)
        assert (outcome.status, outcome.text) == (messages_pb2.TOOL_RETURN_STATUS_SUCCESS, "[1,null,null]")
    new = tools_pb2.Tool(name="other", parameters=schema, python=python(code))
    assert list(fields_of(await failure_of(wire.tools.CreateTool(pb.CreateToolRequest(tool=new))))) == ["tool.name"]


@requirement("tool_source")
async def test_source_that_is_no_tool_is_refused_with_its_reason(wire: Wire) -> None:
    for code in ("def broken(:", "x = 1", "import no_such_module\ndef tool(): ..."):
        error = await failure_of(wire.tools.CreateTool(pb.CreateToolRequest(tool=tools_pb2.Tool(python=python(code)))))
        code_, reason, _ = info_of(error)
        assert (code_, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "TOOL_SOURCE_INVALID")


@requirement("tool_source")
async def test_a_request_that_breaks_rules_names_each_field(wire: Wire) -> None:
    new = tools_pb2.Tool(
        name="not a name",
        parameters="[]",
        python=python("", timeout=Duration(seconds=4000), secrets=["A B"]),
        tags=[""],
        return_char_limit=0,
    )
    broken = fields_of(await failure_of(wire.tools.CreateTool(pb.CreateToolRequest(tool=new))))
    assert set(broken) == {
        "tool.name",
        "tool.parameters",
        "tool.python.code",
        "tool.python.timeout",
        "tool.python.secrets[0]",
        "tool.tags[0]",
        "tool.return_char_limit",
    }
    for text in ('{"default": NaN}', '{"default": -Infinity}', '{"default": 1e400}', '{"default": "\\ud83d"}'):
        new = tools_pb2.Tool(parameters=text, python=python("def tool(): ..."))
        broken = fields_of(await failure_of(wire.tools.CreateTool(pb.CreateToolRequest(tool=new))))
        assert "JSON has no word" in broken["tool.parameters"]
    remote = tools_pb2.Tool(mcp=tools_pb2.McpSource(remote_name="x"))
    assert "tool.mcp" in fields_of(await failure_of(wire.tools.CreateTool(pb.CreateToolRequest(tool=remote))))
    assert "tool" in fields_of(await failure_of(wire.tools.RunTool(pb.RunToolRequest())))


@requirement("tool_names")
async def test_a_name_is_taken_once_and_an_upsert_keeps_its_id(wire: Wire) -> None:
    first = await made(wire, ADD.format(name="names"), tags=["first"])
    request = pb.CreateToolRequest(tool=tools_pb2.Tool(python=python("def add_names(): ...")))
    assert info_of(await failure_of(wire.tools.CreateTool(request)))[1:] == ("NAME_TAKEN", {"name": "add_names"})
    own = pb.CreateToolRequest(tool=tools_pb2.Tool(python=python("def memory_insert(): ...")))
    assert info_of(await failure_of(wire.tools.CreateTool(own)))[1] == "NAME_TAKEN"
    new = tools_pb2.Tool(name="add_names", python=python('def add_names():\n    "Otherwise."\n'), idempotent=True)
    second = (await wire.tools.UpsertTool(pb.UpsertToolRequest(tool=new))).tool
    assert (second.id, second.create_time) == (first.id, first.create_time)
    assert (second.description, second.idempotent, list(second.tags)) == ("Otherwise.", True, [])
    assert await listed(wire, name="add_names") == [second]
    third = (await wire.tools.UpsertTool(pb.UpsertToolRequest(tool=tools_pb2.Tool(python=python("def newer(): ..."))))).tool
    assert third.id != first.id
    await wire.tools.DeleteTool(pb.DeleteToolRequest(tool_id=third.id))


@requirement("tool_update")
async def test_an_update_changes_what_its_mask_names(wire: Wire) -> None:
    tool = await made(wire, ADD.format(name="update"), tags=["t"], description="Mine.")

    async def update(new: tools_pb2.Tool, *paths: str) -> tools_pb2.Tool:
        request = pb.UpdateToolRequest(tool_id=tool.id, tool=new, update_mask=FieldMask(paths=paths))
        return (await wire.tools.UpdateTool(request)).tool

    changed = await update(
        tools_pb2.Tool(requires_approval=True, parallel=False, tags=["ignored"]), "requires_approval", "parallel"
    )
    assert (changed.requires_approval, changed.parallel, list(changed.tags)) == (True, False, ["t"])
    assert (changed.description, changed.python) == ("Mine.", tool.python)
    newer = await update(tools_pb2.Tool(python=python('def add_update():\n    "Newer."\n', allow_network=True)), "python")
    assert (newer.description, newer.python.allow_network) == ("Newer.", True)
    assert await got(wire, tool.id) == newer
    request = pb.UpdateToolRequest(
        tool_id=tool.id, tool=tools_pb2.Tool(python=python("def other(): ...")), update_mask=FieldMask(paths=["python"])
    )
    assert set(fields_of(await failure_of(wire.tools.UpdateTool(request)))) == {"tool.python.code"}
    for path in ("name", "id", "mcp"):
        request = pb.UpdateToolRequest(tool_id=tool.id, update_mask=FieldMask(paths=[path]))
        assert set(fields_of(await failure_of(wire.tools.UpdateTool(request)))) == {"update_mask"}


@requirement("tool_builtin")
async def test_builtin_tools_come_first_and_stay_as_they_are(wire: Wire) -> None:
    mine = await made(wire, ADD.format(name="builtin"))
    tools = await listed(wire)
    kinds = [tool.WhichOneof("source") for tool in tools]
    assert kinds[0] == "builtin"
    assert "builtin" not in kinds[kinds.index("python") :]
    assert [tool.name for tool in tools] == [tool.name for tool in reversed(await listed(wire, descending=True))]
    assert await listed(wire, name="add_builtin") == [mine]
    own = tools[0]
    assert await got(wire, own.id) == own
    assert not own.HasField("create_time")
    mask = FieldMask(paths=["tags"])
    for refused in (
        wire.tools.UpdateTool(pb.UpdateToolRequest(tool_id=own.id, update_mask=mask)),
        wire.tools.DeleteTool(pb.DeleteToolRequest(tool_id=own.id)),
        wire.tools.RunTool(pb.RunToolRequest(tool_id=own.id)),
    ):
        assert info_of(await failure_of(refused))[1] == "INVALID_REQUEST"


@requirement("tool_of_agents")
async def test_an_agent_has_the_tools_that_it_is_given(wire: Wire) -> None:
    one = await agent_with(wire)
    tool = await made(wire, ADD.format(name="given"), tags=["given"])
    call = calling(("add_given", {"left": 1}))
    assert "no tool" in returns(await one.ask(call))[0].text
    attach = pb.AttachToolRequest(agent_id=one.agent_id, name="add_given")
    for _ in range(2):
        assert list((await wire.tools.AttachTool(attach)).agent.tools) == ["add_given"]
    assert returns(await one.ask(call))[0].text == "3"
    detach = pb.DetachToolRequest(agent_id=one.agent_id, name="add_given")
    assert list((await wire.tools.DetachTool(detach)).agent.tools) == []
    await wire.tools.AttachTool(attach)
    await wire.tools.DeleteTool(pb.DeleteToolRequest(tool_id=tool.id))
    assert "no tool" in returns(await one.ask(call))[0].text
    assert await listed(wire, tags=["given"]) == []
    assert info_of(await failure_of(wire.tools.AttachTool(attach)))[1] == "TOOL_NOT_FOUND"
    assert info_of(await failure_of(wire.tools.GetTool(pb.GetToolRequest(tool_id=tool.id))))[1] == "TOOL_NOT_FOUND"


@requirement("tool_of_agents", "complaint_24_policies")
async def test_an_agents_word_on_approval_stands_above_the_tools(wire: Wire) -> None:
    await made(wire, ADD.format(name="asked"))
    one = await agent_with(wire, "add_asked")

    async def say(required: bool | None) -> dict[str, bool]:  # noqa: FBT001 - what is said
        request = pb.SetToolApprovalRequest(agent_id=one.agent_id, name="add_asked", requires_approval=required)
        return dict((await wire.tools.SetToolApproval(request)).agent.tool_approvals)

    assert await say(required=True) == {"add_asked": True}
    run = run_of(await one.ask(calling(("add_asked", {"left": 1}))))
    assert run.stop_reason == runs_pb2.STOP_REASON_REQUIRES_APPROVAL
    await wire.runs.CancelRun(run_pb.CancelRunRequest(run_id=run.id))
    assert await say(required=None) == {}
    assert returns(await one.ask(calling(("add_asked", {"left": 1}))))[0].text == "3"


@requirement("tool_refused")
async def test_a_server_whose_settings_turn_python_off_says_so(connect: Connect) -> None:
    async with connect() as wire:
        await made(wire, ADD.format(name="off"))
    async with connect(tool_sandbox="off") as wire:
        code = ADD.format(name="off")
        for refused in (
            wire.tools.CreateTool(pb.CreateToolRequest(tool=tools_pb2.Tool(python=python(code)))),
            wire.tools.RunTool(pb.RunToolRequest(name="add_off")),
            wire.tools.RunTool(pb.RunToolRequest(python=python(code))),
        ):
            status, reason, _ = info_of(await failure_of(refused))
            assert (status, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TOOL_SANDBOX_UNAVAILABLE")
        one = await agent_with(wire, "add_off")
        (returned,) = returns(await one.ask(calling(("add_off", {"left": 1}))))
        assert returned.text.startswith("TOOL_SANDBOX_UNAVAILABLE")


@requirement("tool_of_agents")
async def test_agents_are_made_with_tools_that_there_are(wire: Wire) -> None:
    await made(wire, ADD.format(name="born"))
    new = agents_pb2.Agent(model="scripted/echo", tools=["add_born", "memory_insert"])
    agent = (await wire.agents.CreateAgent(agent_service_pb2.CreateAgentRequest(agent=new))).agent
    assert list(agent.tools) == ["add_born", "memory_insert"]
    new.tools.append("nowhere")
    error = await failure_of(wire.agents.CreateAgent(agent_service_pb2.CreateAgentRequest(agent=new)))
    assert set(fields_of(error)) == {"agent.tools[2]"}
