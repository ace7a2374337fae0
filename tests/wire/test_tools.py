"""Tools of Python source, end to end: made, tried out, called by a model, cancelled."""

import json
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any
from uuid import uuid4

import grpc
import psutil
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from letta_grpc.v1 import agent_service_pb2, agents_pb2, events_pb2, messages_pb2, runs_pb2, tools_pb2
from letta_grpc.v1 import run_service_pb2 as run_pb
from letta_grpc.v1 import tool_service_pb2 as pb
from tests.requirements.registry import requirement
from tests.support.houses import Talk, Wire, run_of, talk
from tests.support.wires import failure_of, fields_of, info_of
from tests.wire.conftest import Connect

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

# Names of other files' tools are none of this file's business: all of these begin alike.
ADD = '''
def add_{name}(left: int, right: int = 2) -> int:
    """Add two numbers.

    Args:
        left: the one
        right: the other
    """
    print("adding", left)
    return left + right
'''
SLOW = '''
import time

def slow_{name}() -> str:
    """Wait."""
    print("begun", flush=True)
    time.sleep(1000)
    return "never"
'''

# Each process of the tree is known by its last argument; some leave the tool's session, none ends by itself.
TREE = """
import subprocess
import sys

SLEEPER = "import subprocess, sys, time; "
LEAF = "import time; print(1, flush=True); time.sleep(1000)"
MORE = f"subprocess.Popen([sys.executable, '-c', '{LEAF}', sys.argv[1]], start_new_session=True); "

def tree(mark: str) -> str:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", SLEEPER + MORE + "print(1, flush=True); time.sleep(1000)", mark],
            start_new_session=bool(number),
        )
        for number in range(2)
    ]
    for child in children:
        child.wait()
    return "never"
"""

ALONE = """
import time

def alone(number: int) -> str:
    begin = time.time()
    time.sleep(0.05)
    return f"{begin} {time.time()}"
"""


def python(code: str, **source: Any) -> tools_pb2.PythonSource:  # noqa: ANN401 - of any field
    return tools_pb2.PythonSource(code=code, **source)


async def made(wire: Wire, source: tools_pb2.PythonSource | str, **fields: Any) -> tools_pb2.Tool:  # noqa: ANN401 - as above
    chosen = python(source) if isinstance(source, str) else source
    request = pb.CreateToolRequest(tool=tools_pb2.Tool(python=chosen, **fields))
    return (await wire.tools.CreateTool(request)).tool


async def got(wire: Wire, tool_id: str) -> tools_pb2.Tool:
    return (await wire.tools.GetTool(pb.GetToolRequest(tool_id=tool_id))).tool


async def listed(wire: Wire, **query: Any) -> list[tools_pb2.Tool]:  # noqa: ANN401 - as above
    found: list[tools_pb2.Tool] = []
    token = ""
    while True:
        page = await wire.tools.ListTools(pb.ListToolsRequest(page_token=token, page_size=4, **query))
        found += page.tools
        token = page.next_page_token
        if not token:
            return found


def calling(*calls: tuple[str, Mapping[str, object]]) -> str:
    """A turn that calls tools, and one that answers."""
    made_calls = [{"tool_call": {"name": name, "arguments": arguments}} for name, arguments in calls]
    return json.dumps([made_calls, [{"text": "done"}]])


def returns(events: Sequence[events_pb2.RunEvent]) -> list[messages_pb2.ToolReturn]:
    return [event.tool_return for event in events if event.WhichOneof("payload") == "tool_return"]


async def agent_with(wire: Wire, *tools: str, **agent: Any) -> Talk:  # noqa: ANN401 - as above
    return await talk(wire, "scripted/script", tools, **agent)


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
    wish = tools_pb2.Tool(name="other", parameters=schema, python=python(code))
    assert list(fields_of(await failure_of(wire.tools.CreateTool(pb.CreateToolRequest(tool=wish))))) == ["tool.name"]


@requirement("tool_source")
async def test_source_that_is_no_tool_is_refused_with_its_reason(wire: Wire) -> None:
    for code in ("def broken(:", "x = 1", "import no_such_module\ndef tool(): ..."):
        error = await failure_of(wire.tools.CreateTool(pb.CreateToolRequest(tool=tools_pb2.Tool(python=python(code)))))
        code_, reason, _ = info_of(error)
        assert (code_, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "TOOL_SOURCE_INVALID")


@requirement("tool_source")
async def test_a_request_that_breaks_rules_names_each_field(wire: Wire) -> None:
    wish = tools_pb2.Tool(
        name="not a name",
        parameters="[]",
        python=python("", timeout=Duration(seconds=4000), secrets=["A B"]),
        tags=[""],
        return_char_limit=0,
    )
    broken = fields_of(await failure_of(wire.tools.CreateTool(pb.CreateToolRequest(tool=wish))))
    assert set(broken) == {
        "tool.name",
        "tool.parameters",
        "tool.python.code",
        "tool.python.timeout",
        "tool.python.secrets[0]",
        "tool.tags[0]",
        "tool.return_char_limit",
    }
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
    wish = tools_pb2.Tool(name="add_names", python=python('def add_names():\n    "Otherwise."\n'), idempotent=True)
    second = (await wire.tools.UpsertTool(pb.UpsertToolRequest(tool=wish))).tool
    assert (second.id, second.create_time) == (first.id, first.create_time)
    assert (second.description, second.idempotent, list(second.tags)) == ("Otherwise.", True, [])
    assert await listed(wire, name="add_names") == [second]
    third = (await wire.tools.UpsertTool(pb.UpsertToolRequest(tool=tools_pb2.Tool(python=python("def newer(): ..."))))).tool
    assert third.id != first.id
    await wire.tools.DeleteTool(pb.DeleteToolRequest(tool_id=third.id))


@requirement("tool_update")
async def test_an_update_changes_what_its_mask_names(wire: Wire) -> None:
    tool = await made(wire, ADD.format(name="update"), tags=["t"], description="Mine.")

    async def update(wish: tools_pb2.Tool, *paths: str) -> tools_pb2.Tool:
        request = pb.UpdateToolRequest(tool_id=tool.id, tool=wish, update_mask=FieldMask(paths=paths))
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


@requirement("tool_output", "weakness_hidden_tools")
async def test_what_a_tool_writes_is_streamed_before_its_return(wire: Wire) -> None:
    await made(wire, ADD.format(name="output"))
    one = await agent_with(wire, "add_output")
    events = await one.ask(calling(("add_output", {"left": 40})))
    order = [event.WhichOneof("payload") for event in events]
    assert order.index("tool_execution_started") < order.index("tool_output_delta") < order.index("tool_return")
    (delta,) = [event.tool_output_delta for event in events if event.WhichOneof("payload") == "tool_output_delta"]
    assert (delta.stream, delta.text) == (events_pb2.OUTPUT_STREAM_STDOUT, "adding 40\n")
    (returned,) = returns(events)
    assert (returned.text, list(returned.stdout), list(returned.stderr)) == ("42", ["adding 40"], [])
    assert [message.tool_returns[0] for message in await one.history() if message.tool_returns] == [returned]


@requirement("tool_secrets")
async def test_a_tool_gets_the_secrets_that_it_declares(wire: Wire) -> None:
    code = "import os\ndef look(name: str) -> str:\n    return os.environ.get(name, 'nothing')\n"
    await made(wire, python(code, secrets=["MINE"]))
    one = await agent_with(wire, "look", secrets={"MINE": "s3cret", "OTHER": "hidden"})
    events = await one.ask(calling(*(("look", {"name": name}) for name in ("MINE", "OTHER", "LETTA_GRPC_DATABASE"))))
    assert sorted(returned.text for returned in returns(events)) == ["nothing", "nothing", "s3cret"]
    poor = await agent_with(wire, "look")
    (returned,) = returns(await poor.ask(calling(("look", {"name": "MINE"}))))
    assert returned.status == messages_pb2.TOOL_RETURN_STATUS_ERROR
    assert "MINE" in returned.text


@requirement("tool_return_limit")
async def test_a_return_is_cut_at_the_tools_limit(wire: Wire) -> None:
    await made(wire, "def wordy() -> str:\n    return 'x' * 1000\n", return_char_limit=10)
    one = await agent_with(wire, "wordy")
    (returned,) = returns(await one.ask(calling(("wordy", {}))))
    assert returned.text == "x" * 10 + "\n[cut: 10 of 1000 characters are shown]"


@requirement("tool_serial")
async def test_serial_tools_run_one_after_the_other(wire: Wire) -> None:
    await made(wire, ALONE, parallel=False)
    one = await agent_with(wire, "alone")
    found = returns(await one.ask(calling(*(("alone", {"number": number}) for number in range(3)))))
    spans = [tuple(map(float, returned.text.split())) for returned in found]
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


@requirement("tool_trial")
async def test_a_tool_is_tried_out_by_id_by_name_and_from_its_source(wire: Wire) -> None:
    code = ADD.format(name="trial")
    tool = await made(wire, code)
    for request in (
        pb.RunToolRequest(tool_id=tool.id),
        pb.RunToolRequest(name=tool.name),
        pb.RunToolRequest(python=python(code)),
    ):
        request.arguments = '{"left": 3}'
        answer = await wire.tools.RunTool(request)
        assert (answer.status, answer.text) == (messages_pb2.TOOL_RETURN_STATUS_SUCCESS, "5")
        assert list(answer.stdout) == ["adding 3"]
        assert answer.duration.ToNanoseconds() > 0
    wrong = await wire.tools.RunTool(pb.RunToolRequest(name=tool.name, arguments='{"left": "x"}'))
    assert wrong.status == messages_pb2.TOOL_RETURN_STATUS_ERROR
    assert "left" in wrong.text
    unknown = pb.RunToolRequest(name="no_such_tool")
    assert info_of(await failure_of(wire.tools.RunTool(unknown)))[1:] == ("TOOL_NOT_FOUND", {"name": "no_such_tool"})


@requirement("tool_trial", "tool_secrets")
async def test_a_trial_has_the_secrets_and_the_timeout_of_its_request(wire: Wire) -> None:
    code = "import os\ndef peek() -> str:\n    return os.environ['KEY']\n"
    answer = await wire.tools.RunTool(pb.RunToolRequest(python=python(code, secrets=["KEY"]), secrets={"KEY": "k"}))
    assert answer.text == "k"
    source = python(SLOW.format(name="trial"), timeout=Duration(nanos=200_000_000))
    late = await wire.tools.RunTool(pb.RunToolRequest(python=source))
    assert (late.status, list(late.stdout)) == (messages_pb2.TOOL_RETURN_STATUS_ERROR, ["begun"])


@requirement("tool_cancel", "complaint_07_cancel_tools")
async def test_a_cancel_ends_the_tool_and_lets_no_other_begin(wire: Wire) -> None:
    for name in ("cancel", "after"):
        await made(wire, SLOW.format(name=name), parallel=False)
    one = await agent_with(wire, "slow_cancel", "slow_after")
    script = [[{"text": "Wait. "}, {"tool_call": {"name": "slow_cancel"}}, {"tool_call": {"name": "slow_after"}}]]
    call = wire.runs.StreamRun(one.start(json.dumps(script)))
    events: list[events_pb2.RunEvent] = []
    acknowledged = 0.0
    async for response in call:
        events += response.events
        if not acknowledged and events[-1].WhichOneof("payload") == "tool_output_delta":
            await wire.runs.CancelRun(run_pb.CancelRunRequest(run_id=run_id_of(events)))
            acknowledged = time.monotonic()
    assert time.monotonic() - acknowledged < 1
    assert run_of(events).state == runs_pb2.RUN_STATE_CANCELLED
    begun = [event for event in events if event.WhichOneof("payload") == "tool_execution_started"]
    assert len(begun) == 1
    history = await one.history()
    assert [message.content[0].text for message in history if message.role == messages_pb2.ROLE_ASSISTANT] == ["Wait. "]
    assert len(returns(events)) == len(script[0]) - 1
    await one.goes_on()


@requirement("tool_cancel", "complaint_07_cancel_tools")
async def test_a_cancel_ends_all_processes_that_the_tool_has_started(wire: Wire) -> None:
    await wire.tools.UpsertTool(pb.UpsertToolRequest(tool=tools_pb2.Tool(python=python(TREE))))
    one, mark = await agent_with(wire, "tree"), str(uuid4())
    call = wire.runs.StreamRun(one.start(calling(("tree", {"mark": mark}))))
    events: list[events_pb2.RunEvent] = []
    acknowledged, heard = 0.0, ""
    async for response in call:
        events += response.events
        heard += "".join(event.tool_output_delta.text for event in response.events)
        # Each of them has said that it is there.
        if not acknowledged and heard == "1\n" * 4:
            assert len(processes_of(mark)) == 4
            await wire.runs.CancelRun(run_pb.CancelRunRequest(run_id=run_id_of(events)))
            acknowledged = time.monotonic()
    assert processes_of(mark) == []
    assert time.monotonic() - acknowledged < 1
    assert run_of(events).state == runs_pb2.RUN_STATE_CANCELLED


def processes_of(mark: str) -> list[int]:
    """The processes whose last argument this is, in whichever namespace they are."""
    return [process.pid for process in psutil.process_iter(["cmdline"]) if (process.info["cmdline"] or [""])[-1] == mark]


def run_id_of(events: Sequence[events_pb2.RunEvent]) -> str:
    return events[0].run_started.run.id


@requirement("tool_quick", "weakness_slow_tools")
async def test_a_trivial_tool_costs_milliseconds(wire: Wire) -> None:
    await made(wire, "def quick() -> str:\n    return 'ok'\n")
    one = await agent_with(wire, "quick")
    spans = []
    for _ in range(15):
        events = {event.WhichOneof("payload"): event for event in await one.ask(calling(("quick", {})))}
        begin, end = events["tool_execution_started"].create_time, events["tool_return"].create_time
        spans.append((end.ToNanoseconds() - begin.ToNanoseconds()) / 1e6)
    # 20 ms is what it may cost. The machine may be busy with other things, but not at each of these moments: a new interpreter
    # would take a quarter of a second even then.
    assert min(spans) < 100


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
    wish = agents_pb2.Agent(model="scripted/echo", tools=["add_born", "memory_insert"])
    agent = (await wire.agents.CreateAgent(agent_service_pb2.CreateAgentRequest(agent=wish))).agent
    assert list(agent.tools) == ["add_born", "memory_insert"]
    wish.tools.append("nowhere")
    error = await failure_of(wire.agents.CreateAgent(agent_service_pb2.CreateAgentRequest(agent=wish)))
    assert set(fields_of(error)) == {"agent.tools[2]"}
