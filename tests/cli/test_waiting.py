"""Calls that wait for answers, from the command line."""

import json
from pathlib import Path
from typing import Any

import pytest

from letta_grpc.client import Client, Run
from letta_grpc.v1 import runs_pb2
from tests.support.commands import Invoke
from tests.support.server_process import letta_grpc

TOOL = "archival_memory_insert"


def script(*call_ids: str) -> str:
    calls = [{"tool_call": {"id": one, "name": TOOL, "arguments": {"text": f"note {one}"}}} for one in call_ids]
    return json.dumps([calls, [{"text": "All noted."}]])


@pytest.fixture
def agent_id(invoke: Invoke) -> str:
    made = invoke("agents", "create", "--model", "scripted/script", "--tool", TOOL, "--ask", TOOL)
    return made.stdout.strip()


@pytest.fixture
def waiting_run(address: str, agent_id: str) -> Run:
    with Client(address) as client:
        return client.runs.execute(agent_id, script("a", "b")).run


def rows(invoke: Invoke, agent_id: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in invoke("runs", "waiting", "--agent", agent_id, "--json").stdout.splitlines()]


def test_what_waits_is_listed_call_by_call(invoke: Invoke, waiting_run: Run) -> None:
    assert [(row["runId"], row["toolCallId"]) for row in rows(invoke, waiting_run.agent_id)] == [
        (waiting_run.id, "a"),
        (waiting_run.id, "b"),
    ]
    table = invoke("runs", "waiting").stdout
    assert f"{waiting_run.id}  a     approval" in table
    assert '{"text": "note a"}' in table


def test_answers_are_given_one_by_one_and_the_last_one_shows_the_run(invoke: Invoke, waiting_run: Run) -> None:
    first = invoke("runs", "answer", waiting_run.id, "--deny", "b=not today")
    assert first.exit_code == 7
    assert "waits for approval: a" in first.stdout
    (row,) = rows(invoke, waiting_run.agent_id)
    last = invoke("runs", "answer", row["runId"], "--approve", 'a={"text": "an edited note"}')
    assert last.exit_code == 0
    assert "not today" in last.stdout
    assert "All noted." in last.stdout
    assert rows(invoke, waiting_run.agent_id) == []


def test_an_answer_in_json_is_its_runs_events(invoke: Invoke, waiting_run: Run) -> None:
    told = invoke("runs", "answer", waiting_run.id, "--approve", "a", "--approve", "b", "--json")
    events = [json.loads(line) for line in told.stdout.splitlines()]
    assert events[0]["runStarted"]["run"]["resumesRunId"] == waiting_run.id
    assert events[-1]["runFinished"]["run"]["state"] == "RUN_STATE_COMPLETED"


def test_a_clients_tool_is_answered_with_what_it_gave(invoke: Invoke, address: str) -> None:
    call = {"tool_call": {"id": "x=1", "name": "lookup", "arguments": {}}}
    with Client(address) as client:
        agent = client.agents.create(model="scripted/script", include_base_tools=False)
        declared = [runs_pb2.ClientTool(name="lookup")]
        run = client.runs.execute(agent.id, json.dumps([[call], [{"text": "Found."}]]), client_tools=declared).run
    answered = invoke("runs", "answer", run.id, "--return", "x=1=It is sunny.")
    assert answered.exit_code == 0, answered.output
    assert "It is sunny." in answered.stdout


@pytest.mark.parametrize(
    ("flags", "code", "word"),
    [((), 2, "--approve"), (("--approve", "a", "--deny", "a"), 2, "two answers"), (("--approve", "zz"), 2, "zz")],
)
def test_an_answer_that_means_nothing_is_refused(
    invoke: Invoke, waiting_run: Run, flags: tuple[str, ...], code: int, word: str
) -> None:
    refused = invoke("runs", "answer", waiting_run.id, *flags)
    assert refused.exit_code == code
    assert word in refused.stderr


def test_following_a_run_that_waits_exits_with_7(invoke: Invoke, waiting_run: Run) -> None:
    followed = invoke("runs", "follow", waiting_run.id)
    assert followed.exit_code == 7
    assert f"{TOOL} a, {TOOL} b" in followed.stdout
    listed = invoke("runs", "list", "--agent", waiting_run.agent_id, "--state", "interrupted").stdout
    assert waiting_run.id in listed


def test_where_nobody_can_be_asked_the_chat_says_what_waits_and_ends(address: str, agent_id: str) -> None:
    talk = letta_grpc("chat", "--agent", agent_id, "--target", address, stdin=f"{script('a')}\nnever said\n")
    assert talk.returncode == 7, talk.stderr
    assert f"? {TOOL}" in talk.stdout
    assert "letta-grpc runs answer run-" in talk.stdout
    again = letta_grpc("chat", "--agent", agent_id, "--target", address, stdin="never said either\n")
    assert again.returncode == 7
    assert "waits for approval: a" in again.stdout
    with Client(address) as client:
        assert len(list(client.runs.list(agent_id=agent_id))) == 1


@pytest.mark.parametrize(("flag", "told"), [("--approve-all", "All noted."), ("--deny-all", "Denied without")])
def test_a_flag_may_decide_for_everybody(address: str, agent_id: str, flag: str, told: str) -> None:
    talk = letta_grpc("chat", flag, "--agent", agent_id, "--target", address, stdin=f"{script('a', 'b')}\n")
    assert talk.returncode == 0, talk.stderr
    assert told in talk.stdout


def test_flags_that_exclude_each_other_are_refused(invoke: Invoke) -> None:
    assert invoke("chat", "--approve-all", "--deny-all").exit_code == 2


def test_tools_are_added_listed_tried_and_deleted(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "dice.py"
    file.write_text("def roll(sides: int) -> int:\n    'Roll the dice.'\n    print('rolling')\n    return sides\n")
    assert invoke("tools", "add", str(file), "--requires-approval", "--timeout", "5").stdout == "roll\n"
    assert invoke("tools", "add", "-", "--requires-approval", "--timeout", "5", stdin=file.read_bytes()).stdout == "roll\n"
    listed = [line.split() for line in invoke("tools", "list").stdout.splitlines()]
    assert ["roll", "python", "asks", "Roll", "the", "dice."] in listed
    assert invoke("tools", "run", "roll", "--arguments", '{"sides": 6}').stdout == "rolling\n6\n"
    assert invoke("tools", "run", "roll").exit_code == 1
    (tried,) = invoke("tools", "run", "roll", "--arguments", '{"sides": 6}', "--json").stdout.splitlines()
    assert json.loads(tried)["text"] == "6"
    assert invoke("tools", "delete", "roll").exit_code == 0
    assert invoke("tools", "delete", "roll").exit_code == 4
    assert not [line for line in invoke("tools", "list", "--json").stdout.splitlines() if json.loads(line)["name"] == "roll"]


def test_mcp_servers_are_registered_listed_and_removed(invoke: Invoke) -> None:
    assert invoke("mcp", "add", "files", "--env", "KEY=x", "--", "no-such-command", "--flag").stdout.startswith("mcp-")
    assert invoke("mcp", "add", "web", "--url", "http://127.0.0.1:1/mcp", "--header", "KEY=x").exit_code == 0
    listed = invoke("mcp", "list").stdout
    assert "no-such-command --flag" in listed
    assert "http://127.0.0.1:1/mcp" in listed
    assert [json.loads(line)["name"] for line in invoke("mcp", "list", "--json").stdout.splitlines()] == ["files", "web"]
    assert invoke("mcp", "add", "neither").exit_code == 2
    assert invoke("mcp", "add", "bad", "--url", "http://127.0.0.1:1/", "--header", "no pair").exit_code == 2
    assert "gets --header" in invoke("mcp", "add", "bad", "--url", "http://127.0.0.1:1/", "--env", "KEY=x").stderr
    assert "gets --env" in invoke("mcp", "add", "bad", "--header", "KEY=x", "--", "no-such-command").stderr
    assert [invoke("mcp", "delete", name).exit_code for name in ("files", "web", "files")] == [0, 0, 4]


def test_an_agent_may_speak_by_tools_alone(invoke: Invoke) -> None:
    made = invoke("agents", "create", "--model", "scripted/echo", "--kind", "memgpt", "--json").stdout
    assert json.loads(made)["kind"] == "AGENT_KIND_MEMGPT"
