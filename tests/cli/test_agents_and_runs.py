"""The commands that call a server, against one."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from letta_grpc.client import Client
from tests.support.commands import Invoke

NOBODY = "agent-00000000-0000-4000-8000-000000000000"


@pytest.fixture
def agent_id(invoke: Invoke) -> str:
    return invoke("agents", "create", "--name", "ada", "--model", "scripted/echo", "--human", "Likes tea.").stdout.strip()


@pytest.fixture
def run_id(address: str, agent_id: str) -> str:
    with Client(address) as client:
        return client.runs.execute(agent_id, "one two").run.id


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_an_agent_is_made_listed_shown_and_deleted(invoke: Invoke, agent_id: str) -> None:
    assert agent_id in invoke("agents", "list", "--name", "ada").stdout
    assert agent_id in [agent["id"] for agent in lines(invoke("agents", "list", "--json"))]
    shown = invoke("agents", "get", agent_id).stdout
    assert "[human]\nLikes tea." in shown
    assert invoke("agents", "delete", agent_id).exit_code == 0
    assert invoke("agents", "get", agent_id).exit_code == 4


def test_an_agent_is_taken_along_as_a_file(invoke: Invoke, address: str, agent_id: str, run_id: str, tmp_path: Path) -> None:
    file = tmp_path / "ada.json"
    file.write_text(invoke("agents", "export", agent_id).stdout)
    copy = invoke("agents", "import", str(file), "--name", "eve").stdout.strip()
    with Client(address) as client:
        assert [said.content[0].text for said in client.agents.messages(copy)] == ["one two", "one two"]
        assert (client.agents.get(copy).name, client.agents.block(copy, "human").value) == ("eve", "Likes tea.")
    file.write_text(invoke("agents", "export", agent_id, "--without-messages", "--without-notes").stdout)
    (bare,) = lines(invoke("agents", "import", str(file), "--json"))
    with Client(address) as client:
        assert (bare["name"], list(client.agents.messages(bare["id"]))) == ("ada", [])
    assert run_id


def test_an_agent_goes_through_a_pipe(invoke: Invoke, agent_id: str) -> None:
    file = invoke("agents", "export", agent_id).stdout
    copy = invoke("agents", "import", "-", "--name", "piped", stdin=file.encode())
    assert copy.exit_code == 0, copy.output
    assert "[human]\nLikes tea." in invoke("agents", "get", copy.stdout.strip()).stdout
    refused = invoke("agents", "import", "-", stdin=b"")
    assert (refused.exit_code, refused.stdout) == (2, "")


@pytest.mark.parametrize("text", ['{"agents": []}', "junk", "\udcff"])
def test_a_file_that_is_no_agents_is_refused(invoke: Invoke, tmp_path: Path, text: str) -> None:
    file = tmp_path / "other.af"
    file.write_bytes(text.encode(errors="surrogateescape"))
    refused = invoke("agents", "import", str(file))
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "other.af" in refused.stderr
    assert "/v1/agents/import" in refused.stderr


@pytest.mark.parametrize("command", ["agents import", "tools add"])
@pytest.mark.parametrize(("file", "told"), [("not-there", "not-there"), ("x" * 300, "xxx"), (".", "is a directory")])
def test_a_file_that_cannot_be_read_is_told(invoke: Invoke, command: str, file: str, told: str) -> None:
    refused = invoke(*command.split(), file)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert told in refused.stderr


def test_a_name_without_agents_lists_none(invoke: Invoke) -> None:
    assert lines(invoke("agents", "list", "--name", "nobody", "--json")) == []


def test_runs_are_listed_by_state_and_agent(invoke: Invoke, agent_id: str, run_id: str) -> None:
    of_agent = ("runs", "list", "--agent", agent_id, "--json")
    assert [run["id"] for run in lines(invoke(*of_agent))] == [run_id]
    assert [run["id"] for run in lines(invoke(*of_agent, "--state", "completed"))] == [run_id]
    assert lines(invoke(*of_agent, "--state", "running", "--state", "queued")) == []
    assert run_id in invoke("runs", "list").stdout


def test_a_run_is_shown_as_it_stands(invoke: Invoke, run_id: str) -> None:
    (run,) = lines(invoke("runs", "get", run_id, "--json"))
    assert run["state"] == "RUN_STATE_COMPLETED"
    assert run_id in invoke("runs", "get", run_id).stdout


def test_following_begins_behind_a_number(invoke: Invoke, run_id: str) -> None:
    everything = lines(invoke("runs", "follow", run_id, "--json"))
    assert [event["sequenceNumber"] for event in everything] == list(range(1, len(everything) + 1))
    assert "runFinished" in everything[-1]
    assert lines(invoke("runs", "follow", run_id, "--after", "4", "--json")) == everything[4:]
    told = invoke("runs", "follow", run_id, "--after", "3").stdout.splitlines()
    assert len(told) == len(everything) - 3
    assert told[0].split() == ["4", "textDelta", '"one', '"']


def test_following_a_failed_run_exits_with_1(invoke: Invoke, address: str, agent_id: str) -> None:
    with Client(address) as client:
        failed = client.runs.execute(agent_id, "not a script", model="scripted/script").run
    result = invoke("runs", "follow", failed.id)
    assert result.exit_code == 1
    assert "failed" in result.stdout.splitlines()[-1]


def test_following_a_failed_run_behind_its_last_event_exits_with_1_too(invoke: Invoke, address: str, agent_id: str) -> None:
    with Client(address) as client:
        failed = client.runs.execute(agent_id, "not a script", model="scripted/script").run
    result = invoke("runs", "follow", failed.id, "--after", str(failed.last_sequence_number))
    assert (result.exit_code, result.stdout) == (1, "")


def test_cancelling_a_finished_run_changes_nothing(invoke: Invoke, run_id: str) -> None:
    assert invoke("runs", "cancel", run_id).stdout == "completed\n"


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("agents", "get", NOBODY), 4, "AGENT_NOT_FOUND"),
        (("runs", "get", NOBODY.replace("agent", "run")), 4, "RUN_NOT_FOUND"),
        (("runs", "get", "run-1"), 2, "run_id"),
        (("agents", "create", "--model", "nobody/has-this"), 2, "MODEL_UNKNOWN"),
        (("runs", "list", "--state", "sleeping"), 2, "sleeping"),
        (("agents", "list", "--target", "127.0.0.1:1"), 3, "letta-grpc serve"),
        (("agents", "list", "--target", "http://127.0.0.1:1"), 2, "is a URL: say 127.0.0.1:1,"),
        (("runs", "follow", NOBODY.replace("agent", "run"), "--target", "127.0.0.1:1"), 3, "letta-grpc serve"),
        (("runs", "follow", NOBODY.replace("agent", "run")), 4, "RUN_NOT_FOUND"),
        (("runs", "follow", NOBODY.replace("agent", "run"), "--after", "99999999999999999999"), 2, "--after"),
        *((("tools", "add", __file__, "--timeout", seconds), 2, "--timeout") for seconds in ("inf", "nan", "1e300", "0")),
    ],
)
def test_what_goes_wrong_has_a_code_and_a_line(invoke: Invoke, arguments: tuple[str, ...], code: int, word: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == code
    assert word in result.stderr
    assert not result.stdout
