"""Approvals, tools and turns, against the server as its users start it."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from letta_grpc.client import (
    Answers,
    ApprovalPending,
    AsyncClient,
    Client,
    InvalidRequest,
    NameTaken,
    RunFailed,
    ToolNotFound,
    ToolSourceInvalid,
    approve,
    deny,
    tool_return,
)
from letta_grpc.v1 import agents_pb2, messages_pb2, runs_pb2
from tests.support.server_process import serving_process

COMPLETED, INTERRUPTED = runs_pb2.RUN_STATE_COMPLETED, runs_pb2.RUN_STATE_INTERRUPTED


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving_process(tmp_path_factory.mktemp("server"), "--mcp-stdio", "true") as (target, _):
        yield target


def call(name: str, call_id: str, **arguments: object) -> dict[str, Any]:
    return {"tool_call": {"id": call_id, "name": name, "arguments": arguments}}


def script(*calls: dict[str, Any], then: str = "done") -> str:
    return json.dumps([list(calls), [{"text": then}]])


def note(call_id: str, text: str = "milk") -> dict[str, Any]:
    return call("archival_memory_insert", call_id, text=text)


async def careful(client: AsyncClient) -> str:
    """An agent that asks before it keeps a note."""
    name = "archival_memory_insert"
    return (await client.agents.create(model="scripted/script", tools=[name], tool_approvals={name: True})).id


async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def fail() -> None:
    """Fail."""
    raise LookupError("nothing there")


async def test_a_run_that_waits_is_answered_with_approvals_and_denials(server: str) -> None:
    async with AsyncClient(server) as client:
        agent_id = await careful(client)
        async with client.stream(agent_id, script(note("a"), note("b"), note("c"))) as stream:
            run = await stream.final()
            assert [action.tool_call_id for action in stream.pending_actions] == ["a", "b", "c"]
        assert [one.id async for one in client.runs.list(agent_id=agent_id, has_pending_actions=True)] == [run.id]
        answers: Answers = {"a": approve(), "b": approve({"text": "rye"}), "c": deny("no wine")}
        async with client.answer(run, answers) as stream:
            answered = await stream.final()
        assert (answered.state, answered.resumes_run_id) == (COMPLETED, run.id)
        returns = stream.so_far.tool_returns
        assert "no wine" in returns["c"].text
        assert returns["a"].status == returns["b"].status == messages_pb2.TOOL_RETURN_STATUS_SUCCESS
        assert stream.so_far.text == "done"


async def test_a_partial_answer_leaves_the_rest_waiting(server: str) -> None:
    async with AsyncClient(server) as client:
        agent_id = await careful(client)
        run = (await client.runs.execute(agent_id, script(note("a"), note("b")))).run
        rest = await client.answer(run, {"b": approve()}).final()
        assert (rest.state, [action.tool_call_id for action in rest.pending_actions]) == (INTERRUPTED, ["a"])
        with pytest.raises(ApprovalPending) as pending:
            await client.runs.create(agent_id, "more")
        assert (pending.value.run_id, pending.value.tool_call_ids) == (rest.id, ["a"])
        assert (await client.answer(rest, {"a": deny()}).final()).state == COMPLETED


async def test_a_stream_that_is_attached_at_the_end_of_a_waiting_run_says_what_waits(server: str) -> None:
    async with AsyncClient(server) as client:
        run = (await client.runs.execute(await careful(client), script(note("a")))).run
        last = (await client.runs.get(run.id)).last_sequence_number
        stream = client.attach(run.id, after=last)
        assert (await stream.final()).state == INTERRUPTED
        assert [action.tool_call_id for action in stream.pending_actions] == ["a"]


async def test_a_turn_runs_functions_here_until_it_ends(server: str) -> None:
    async with AsyncClient(server) as client:
        agent = await client.agents.create(model="scripted/script", include_base_tools=False)
        steps = [
            [call("add", "a", a=1, b=2), call("fail", "b"), call("add", "c", a=1)],
            [call("add", "d", a=3, b=4)],
            [{"text": "7"}],
        ]
        async with client.turn(agent.id, json.dumps(steps), tools=[add, fail], max_steps=5) as turn:
            starts = [event.run_started.run async for event in turn if event.HasField("run_started")]
        assert [bool(start.resumes_run_id) for start in starts] == [False, True, True]
        assert turn.so_far.text == "7"
        returns = {key: (one.status, one.text) for key, one in turn.so_far.tool_returns.items()}
        success, error = messages_pb2.TOOL_RETURN_STATUS_SUCCESS, messages_pb2.TOOL_RETURN_STATUS_ERROR
        assert returns["a"] == (success, "3")
        assert returns["b"] == (error, "LookupError: nothing there")
        assert returns["c"][0] == error
        assert "'b'" in returns["c"][1]
        assert returns["d"] == (success, "7")


async def test_a_turn_asks_for_decisions_and_stops_where_none_is_made(server: str) -> None:
    asked: list[str] = []

    async def decide(action: runs_pb2.PendingAction) -> messages_pb2.Approve | None:
        asked.append(action.arguments)
        return approve() if "milk" in action.arguments else None

    async with AsyncClient(server) as client:
        turn = client.turn(await careful(client), script(note("a"), note("b", "wine")), decide=decide)
        run = await turn.final()
        assert run.state == INTERRUPTED
        assert [action.tool_call_id for action in turn.pending_actions] == ["b"]
        assert [json.loads(one)["text"] for one in asked] == ["milk", "wine", "wine"]


async def test_a_turn_without_an_answer_ends_as_its_run_does(server: str) -> None:
    async with AsyncClient(server) as client:
        agent_id = await careful(client)
        turn = client.turn(agent_id, script(note("a")))
        assert (await turn.final()).state == INTERRUPTED
        await client.runs.cancel(turn.run_id)
        with pytest.raises(RunFailed):
            await client.turn(agent_id, json.dumps([[{"error": "MODEL_OVERLOADED"}]])).text()


async def test_client_tools_may_be_answered_by_hand(server: str) -> None:
    async with AsyncClient(server) as client:
        agent = await client.agents.create(model="scripted/script", include_base_tools=False)
        declared = runs_pb2.ClientTool(name="lookup", description="Looks it up.")
        run = (await client.runs.execute(agent.id, script(call("lookup", "a")), client_tools=[declared])).run
        assert run.stop_reason == runs_pb2.STOP_REASON_REQUIRES_CLIENT_TOOL
        assert await client.answer(run, {"a": tool_return({"found": 1})}).text() == "done"


def test_the_blocking_twin_takes_turns(server: str) -> None:
    with Client(server) as client:
        agent = client.agents.create(model="scripted/script", include_base_tools=False)
        with client.turn(agent.id, script(call("add", "a", a=1, b=2), then="three"), tools=[add]) as turn:
            assert "".join(turn.text_deltas()) == "three"
        assert turn.so_far.tool_returns["a"].text == "3"


async def test_tools_are_made_of_functions_listed_changed_tried_and_removed(server: str) -> None:
    def double(number: int) -> int:
        """Double a number."""
        print("doubling")  # noqa: T201 - what a tool writes is shown
        return 2 * number

    async with AsyncClient(server) as client:
        tool = await client.tools.create(double, tags=["numbers"], timeout=5)
        assert (tool.name, tool.description, tool.python.timeout.seconds) == ("double", "Double a number.", 5)
        with pytest.raises(NameTaken):
            await client.tools.create(double)
        with pytest.raises(ToolSourceInvalid):
            await client.tools.create("x = 1")
        assert (await client.tools.upsert(double, idempotent=True)).id == tool.id
        assert [one.name async for one in client.tools.list(name="double")] == ["double"]
        assert (await client.tools.update(tool.id, description="Twice.", parallel=False)).description == "Twice."
        with pytest.raises(InvalidRequest, match="no tool of an MCP server"):
            await client.tools.update(tool.id, mcp_timeout=90)
        tried = await client.tools.run("double", {"number": 4})
        assert (tried.text, list(tried.stdout)) == ("8", ["doubling"])
        assert (await client.tools.run_source("def hi() -> str:\n    'Hi.'\n    return 'hi'")).text == "hi"
        agent = await client.agents.create(model="scripted/script", include_base_tools=False)
        assert list((await client.tools.attach(agent.id, "double")).tools) == ["double"]
        careful = await client.tools.set_approval(agent.id, "double", requires_approval=True)
        assert dict(careful.tool_approvals) == {"double": True}
        assert list((await client.tools.detach(agent.id, "double")).tools) == []
        await client.tools.delete(tool.id)
        with pytest.raises(ToolNotFound):
            await client.tools.get(tool.id)


async def test_what_a_tool_writes_is_there_while_it_runs(server: str) -> None:
    code = "def tell() -> str:\n    'Tell.'\n    print('working', flush=True)\n    return 'told'"
    async with AsyncClient(server) as client:
        await client.tools.upsert(code)
        agent = await client.agents.create(model="scripted/script", tools=["tell"])
        async with client.stream(agent.id, script(call("tell", "a"))) as stream:
            await stream.final()
        assert stream.so_far.tool_output["a"].stdout == "working\n"


async def test_agents_have_kinds_rules_and_secrets(server: str) -> None:
    rule = agents_pb2.ToolRule(tool="send_message", exit_loop=agents_pb2.ExitLoopRule())
    async with AsyncClient(server) as client:
        agent = await client.agents.create(model="scripted/echo", kind="memgpt", tool_rules=[rule], secrets={"KEY": "x"})
        assert agent.kind == agents_pb2.AGENT_KIND_MEMGPT
        assert dict(agent.secrets) == {"KEY": ""}
        changed = await client.agents.update(agent.id, tool_rules=[], tool_approvals={"send_message": False})
        assert (list(changed.tool_rules), dict(changed.tool_approvals)) == ([], {"send_message": False})


async def test_mcp_servers_are_registered_by_command_or_address(server: str) -> None:
    async with AsyncClient(server) as client:
        command = await client.mcp_servers.add_command("files", "no-such-command", "--flag", environment={"KEY": "x"})
        listening = await client.mcp_servers.add_url("web", "http://127.0.0.1:1/mcp")
        assert [one.id async for one in client.mcp_servers.list()] == [command.id, listening.id]
        assert (await client.mcp_servers.get(command.id)).stdio.arguments == ["--flag"]
        for one in (command, listening):
            await client.mcp_servers.delete(one.id)


async def test_two_turns_at_once_do_not_wait_for_each_others_functions(server: str) -> None:
    meeting = asyncio.Barrier(2)

    async def meet() -> str:
        """Meet the other."""
        async with asyncio.timeout(20):
            await meeting.wait()
        return "met"

    async with AsyncClient(server) as client:
        agents = [await client.agents.create(model="scripted/script", include_base_tools=False) for _ in range(2)]
        turns = [client.turn(agent.id, script(call("meet", "a")), tools=[meet]) for agent in agents]
        assert await asyncio.gather(*(turn.text() for turn in turns)) == ["done", "done"]
