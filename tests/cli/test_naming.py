"""Agents that are meant by their names."""

import json
from pathlib import Path

import pytest

from letta_grpc.client import Client
from tests.support.commands import Invoke, commands_of
from tests.support.server_process import letta_grpc, serving_process

NAMED = ["agents get", "agents export", "agents memory list", "conversations list --agent", "conversations messages --agent"]
LISTS = ["runs list --agent", "runs waiting --agent"]


@pytest.fixture(scope="module")
def ids(address: str) -> dict[str, str]:
    with Client(address) as client:
        ids = {name: client.agents.create(name=name, model="scripted/echo").id for name in ("named", "twin")}
        client.runs.execute(ids["named"], "one two")
        return ids | {"other twin": client.agents.create(name="twin", model="scripted/echo").id}


@pytest.mark.parametrize("command", [*NAMED, *LISTS])
def test_a_name_that_one_agent_has_is_as_good_as_its_id(invoke: Invoke, ids: dict[str, str], command: str) -> None:
    by_name, by_id = (invoke(*command.split(), agent) for agent in ("named", ids["named"]))
    assert (by_name.exit_code, by_name.output) == (0, by_id.output)


def test_what_is_changed_and_deleted_is_meant_by_its_name_too(invoke: Invoke) -> None:
    made = invoke(
        "agents", "create", "--name", "short lived", "--model", "scripted/echo", "--human", "Likes tea."
    ).stdout.strip()
    assert invoke("agents", "memory", "set", "short lived", "human", "Likes coffee.").exit_code == 0
    assert invoke("agents", "memory", "get", "short lived", "human").stdout == "Likes coffee.\n"
    assert json.loads(invoke("agents", "update", "short lived", "--tag", "x", "--json").stdout)["id"] == made
    assert invoke("agents", "delete", "short lived").exit_code == 0
    assert invoke("agents", "get", made).exit_code == 4


def test_a_chat_is_held_with_an_agent_by_name(address: str, ids: dict[str, str]) -> None:
    talk = letta_grpc("chat", "--agent", "named", "--target", address, stdin="Hello!\n")
    assert talk.stdout.splitlines()[:2] == [f"scripted/echo · {ids['named']}", "Hello!"]


@pytest.mark.parametrize("command", [*NAMED, *LISTS, "agents delete", "chat --agent"])
def test_a_name_that_is_nobodys_or_several_agents_is_told(invoke: Invoke, ids: dict[str, str], command: str) -> None:
    missing = invoke(*command.split(), "nobody")
    assert (missing.exit_code, missing.stdout) == (4, "")
    assert missing.stderr == "letta-grpc: there is no agent nobody\n"
    several = invoke(*command.split(), "twin")
    assert (several.exit_code, several.stdout) == (2, "")
    assert f"say which: {ids['twin']}, {ids['other twin']}" in several.stderr


def test_the_empty_name_is_not_the_only_agents(tmp_path: Path) -> None:
    """A shell writes it in place of a variable that is not set."""
    with serving_process(tmp_path) as (address, _):
        invoke = commands_of(address)
        made = invoke("agents", "create", "--model", "scripted/echo").stdout.strip()
        assert invoke("agents", "delete", "").exit_code == 2
        assert invoke("agents", "get", made).exit_code == 0
