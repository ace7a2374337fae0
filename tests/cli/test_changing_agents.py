"""What of an agent the command line changes: what it is, and what it remembers."""

import json

import pytest

from letta_grpc.client import Client
from tests.support.commands import Invoke
from tests.support.server_process import letta_grpc

NOTE = "archival_memory_insert"
SEARCH = "archival_memory_search"


@pytest.fixture
def agent_id(invoke: Invoke) -> str:
    made = invoke("agents", "create", "--model", "scripted/echo", "--tool", NOTE, "--tag", "old", "--human", "Likes tea.")
    return made.stdout.strip()


def test_only_what_is_given_changes(invoke: Invoke, address: str, agent_id: str) -> None:
    with Client(address) as client:
        before = client.agents.get(agent_id)
    changed = invoke("agents", "update", agent_id, "--name", "eve", "--description", "Knows all about tea.")
    assert changed.exit_code == 0, changed.output
    assert changed.stdout == invoke("agents", "get", agent_id).stdout
    assert {f"eve  {agent_id}", "about  Knows all about tea.", "tags   old"} <= set(changed.stdout.splitlines())
    invoke("agents", "update", agent_id, "--model", "scripted/demo", "--system", "Be brief.")
    with Client(address) as client:
        after = client.agents.get(agent_id)
    assert (after.name, after.description, after.model, after.system) == (
        "eve",
        "Knows all about tea.",
        "scripted/demo",
        "Be brief.",
    )
    assert (after.tools, after.tags, after.memory_blocks) == (before.tools, before.tags, before.memory_blocks)


def test_tools_and_tags_come_and_go_one_by_one(invoke: Invoke, agent_id: str) -> None:
    invoke("agents", "update", agent_id, "--tool", SEARCH, "--tool", NOTE, "--ask", SEARCH, "--tag", "new", "--no-tag", "old")
    agent = json.loads(invoke("agents", "get", agent_id, "--json").stdout)
    assert (agent["tools"], agent["toolApprovals"], agent["tags"]) == ([NOTE, SEARCH], {SEARCH: True}, ["new"])
    assert f"asks   {SEARCH}" in invoke("agents", "get", agent_id).stdout.splitlines()
    changed = invoke("agents", "update", agent_id, "--no-tool", NOTE, "--no-ask", SEARCH, "--no-tag", "new", "--json")
    agent = json.loads(changed.stdout)
    assert (agent["tools"], agent["toolApprovals"], agent.get("tags", [])) == ([SEARCH], {SEARCH: False}, [])


def test_what_was_said_of_a_tool_is_taken_back_when_the_agent_has_it_no_more(invoke: Invoke, agent_id: str) -> None:
    invoke("agents", "update", agent_id, "--tool", SEARCH, "--ask", SEARCH)
    invoke("agents", "update", agent_id, "--no-tool", SEARCH)
    changed = invoke("agents", "update", agent_id, "--no-ask", SEARCH, "--json")
    assert json.loads(changed.stdout)["toolApprovals"] == {SEARCH: False}


def test_a_tool_that_is_to_be_asked_about_and_that_a_new_agent_has_not_is_told(invoke: Invoke) -> None:
    made = invoke("agents", "create", "--model", "scripted/echo", "--tool", NOTE, "--ask", NOTE, "--ask", "nto")
    assert made.stdout.startswith("agent-")
    assert made.stderr == "letta-grpc: nothing will ask about nto: the agent has no such tool\n"


def test_an_empty_text_clears(invoke: Invoke) -> None:
    made = invoke("agents", "create", "--model", "scripted/echo", "--description", "For tea.", "--json")
    agent_id, description = (json.loads(made.stdout)[name] for name in ("id", "description"))
    assert description == "For tea."
    changed = invoke("agents", "update", agent_id, "--description", "", "--json")
    assert "description" not in json.loads(changed.stdout)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "say what is to change"),
        (("--no-tag", "odl"), "--no-tag odl: the agent has old"),
        (("--no-tool", SEARCH), f"--no-tool {SEARCH}: the agent has {NOTE}"),
        (("--ask", NOTE, "--no-ask", NOTE), f"--ask and --no-ask exclude each other: {NOTE}"),
        (("--tool", NOTE, "--no-tool", NOTE), f"--tool and --no-tool exclude each other: {NOTE}"),
        (("--ask", SEARCH), f"--ask {SEARCH}: the agent has {NOTE}"),
        (("--no-ask", "nto"), f"--no-ask nto: the agent has {NOTE}"),
        (("--no-tool", NOTE, "--ask", NOTE), f"--ask {NOTE}: the agent has none"),
        (("--model", "nobody/has-this"), "MODEL_UNKNOWN"),
    ],
)
def test_a_change_that_makes_no_sense_changes_nothing(
    invoke: Invoke, agent_id: str, arguments: tuple[str, ...], told: str
) -> None:
    before = invoke("agents", "get", agent_id, "--json").stdout
    refused = invoke("agents", "update", agent_id, *arguments)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert told in refused.stderr
    assert invoke("agents", "get", agent_id, "--json").stdout == before


@pytest.mark.parametrize("value", ["Likes coffee.", "- tea\n- coffee", "--json", ""])
def test_what_an_agent_remembers_is_seen_and_set(invoke: Invoke, agent_id: str, value: str) -> None:
    assert invoke("agents", "memory", "get", agent_id, "human").stdout == "Likes tea.\n"
    assert (
        invoke("agents", "memory", "set", agent_id, "human", *(("--", value) if value == "--json" else (value,))).output == ""
    )
    assert invoke("agents", "memory", "get", agent_id, "human").stdout == f"{value}\n"
    (row,) = invoke("agents", "memory", "list", agent_id).stdout.splitlines()[1:]
    assert row.split()[:4] == ["human", str(len(value)), "20000", "edit"]


def test_what_is_piped_in_is_a_value_and_comes_back_as_it_was(address: str, agent_id: str) -> None:
    block, text = (agent_id, "human", "--target", address), "Likes tea.\n\nAnd ü.\n"
    told = letta_grpc("agents", "memory", "set", *block, "-", "--json", stdin=f"{text}\n")
    assert json.loads(told.stdout)["value"] == text
    again = letta_grpc(
        "agents", "memory", "set", *block, "-", "--json", stdin=letta_grpc("agents", "memory", "get", *block).stdout
    )
    assert json.loads(again.stdout)["value"] == text


@pytest.mark.parametrize(("piped", "told"), [(b"", "nothing was piped in"), (b"caf\xe9\n", "not UTF-8")])
def test_what_is_piped_in_by_mistake_is_not_remembered(invoke: Invoke, agent_id: str, piped: bytes, told: str) -> None:
    refused = invoke("agents", "memory", "set", agent_id, "human", "-", stdin=piped)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert told in refused.stderr
    assert invoke("agents", "memory", "get", agent_id, "human").stdout == "Likes tea.\n"


def test_a_block_that_is_not_there_is_told(invoke: Invoke, agent_id: str) -> None:
    for command in (("get", agent_id, "humn"), ("set", agent_id, "humn", "x")):
        refused = invoke("agents", "memory", *command)
        assert (refused.exit_code, refused.stdout) == (4, "")
        assert "BLOCK_NOT_FOUND" in refused.stderr
