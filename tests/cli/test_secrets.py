"""Secrets that do not stand on a command line, where everybody on the machine can read them."""

import json
from pathlib import Path

import pytest

from tests.support.commands import Invoke

TOOL = '''
def reveal() -> str:
    """Tell the secret."""
    import os
    return os.environ["TOKEN"]
'''


@pytest.fixture
def file(invoke: Invoke, tmp_path: Path) -> str:
    made = invoke("agents", "create", "--model", "scripted/echo").stdout.strip()
    path = tmp_path / "agent.json"
    path.write_text(invoke("agents", "export", made).stdout)
    return str(path)


def test_a_name_alone_takes_the_value_of_its_variable(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "reveal.py"
    source.write_text(TOOL)
    assert invoke("tools", "add", str(source), "--secret", "TOKEN").exit_code == 0
    monkeypatch.setenv("TOKEN", "a=secret with ü")
    assert invoke("tools", "run", "reveal", "--secret", "TOKEN").stdout == "a=secret with ü\n"
    assert invoke("tools", "run", "reveal", "--secret", "TOKEN=given=here").stdout == "given=here\n"
    monkeypatch.setenv("TOKEN", "")
    assert invoke("tools", "run", "reveal", "--secret", "TOKEN").stdout == "\n"


def test_agents_are_made_with_secrets(invoke: Invoke, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    for command in (("create", "--model", "scripted/echo"), ("import", file)):
        made = invoke("agents", *command, "--secret", "TOKEN", "--secret", "OTHER=x", "--json")
        assert made.exit_code == 0, made.output
        assert json.loads(made.stdout)["secrets"] == {"TOKEN": "", "OTHER": ""}


def test_an_agents_secrets_change(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "reveal.py"
    source.write_text(TOOL)
    invoke("tools", "add", str(source), "--secret", "TOKEN")
    made = invoke(
        "agents", "create", "--model", "scripted/demo", "--tool", "reveal", "--secret", "TOKEN=old", "--secret", "B=b"
    )
    agent_id = made.stdout.strip()
    monkeypatch.setenv("C", "c")
    changed = invoke("agents", "update", agent_id, "--no-secret", "B", "--secret", "C")
    assert "secrets  C, TOKEN" in changed.stdout.splitlines()
    said = invoke("chat", "--agent", agent_id, stdin=b"Please run reveal with {}\n")
    assert "← old\n" in said.stdout
    invoke("agents", "update", agent_id, "--secret", "TOKEN=new")
    said = invoke("chat", "--agent", agent_id, stdin=b"Please run reveal with {}\n")
    assert "← new\n" in said.stdout
    emptied = invoke("agents", "update", agent_id, "--no-secret", "C", "--no-secret", "TOKEN", "--json")
    assert json.loads(emptied.stdout).get("secrets", {}) == {}
    assert "--no-secret C: the agent has none" in invoke("agents", "update", agent_id, "--no-secret", "C").stderr


def test_a_header_is_found_by_the_name_that_a_shell_can_give_its_variable(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("X_API_KEY", "s3cret")
    added = invoke("mcp", "add", "headed", "--url", "http://127.0.0.1:1/mcp", "--header", "X-Api-Key", "--json")
    assert added.exit_code == 0, added.output
    assert list(json.loads(added.stdout)["http"]["headers"]) == ["X-Api-Key"]
    assert invoke("mcp", "delete", "headed").exit_code == 0


@pytest.mark.parametrize("command", ["agents import", "agents create", "tools run", "mcp add --env", "mcp add --header"])
def test_a_variable_that_is_not_there_is_named(
    invoke: Invoke, file: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_TOKEN", raising=False)
    arguments = {
        "agents import": (file, "--secret", "NO_TOKEN"),
        "agents create": ("--model", "scripted/echo", "--secret", "NO_TOKEN"),
        "tools run": ("reveal", "--secret", "NO_TOKEN"),
        "mcp add --env": ("none", "--env", "NO_TOKEN", "--", "no-such-command"),
        "mcp add --header": ("none", "--header", "No-Token", "--url", "http://127.0.0.1:1/"),
    }[command]
    refused = invoke(*command.split()[:2], *arguments)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "set the variable NO_TOKEN" in " ".join(refused.stderr.split())


def test_what_is_wrong_with_a_value_is_told_without_it(invoke: Invoke, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret\udcff")
    for given, told in (("TOKEN", "the variable TOKEN is not UTF-8"), ("=s3cret", "a value without a name")):
        refused = invoke("agents", "import", file, "--secret", given)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert told in refused.stderr
        assert "s3cret" not in refused.stderr
