"""An agent's memory blocks on the command line: made, shared, changed in an editor, and taken away."""

import asyncio
import json
import shlex
import signal
import subprocess
from itertools import count
from pathlib import Path

import pytest

from letta_grpc.client import Client
from tests.support.commands import Invoke
from tests.support.listening import listening
from tests.support.relay import Relay
from tests.support.server_process import BIN, environment

NOBODY = "block-00000000-0000-4000-8000-000000000000"


@pytest.fixture
def agent_id(invoke: Invoke) -> str:
    return invoke("agents", "create", "--model", "scripted/echo", "--human", "Likes wine.\n\n- and tea\n").stdout.strip()


def labels(invoke: Invoke, agent_id: str) -> list[str]:
    rows = invoke("agents", "memory", "list", agent_id, "--json").stdout.splitlines()
    return [json.loads(row)["label"] for row in rows]


def kept(stderr: str) -> str:
    """Return what was left in a file, and remove the file."""
    _, said, path = stderr.strip().rpartition("What you wrote is in ")
    assert said
    file = Path(path)
    text = file.read_text()
    file.unlink()
    return text


def test_a_block_is_made_shared_and_taken_away(invoke: Invoke, agent_id: str) -> None:
    made = invoke("agents", "memory", "add", agent_id, "notes", "--value", "-", "--description", "Of both.", stdin=b"Tea.\n")
    block_id = made.stdout.strip()
    other = invoke("agents", "create", "--model", "scripted/echo").stdout.strip()
    assert invoke("agents", "memory", "attach", other, block_id).output == ""
    assert labels(invoke, other) == ["notes"]
    invoke("agents", "memory", "set", other, "notes", "Coffee.")
    assert invoke("agents", "memory", "get", agent_id, "notes").stdout == "Coffee.\n"
    row = invoke("agents", "memory", "list", agent_id).stdout.splitlines()[-1]
    assert row.split() == ["notes", "7", "20000", "edit", block_id, "Of", "both."]
    assert invoke("agents", "memory", "remove", agent_id, "notes").stdout == f"{block_id}\n"
    assert (labels(invoke, agent_id), labels(invoke, other)) == (["human"], ["notes"])
    invoke("agents", "memory", "attach", agent_id, block_id)
    assert invoke("agents", "memory", "remove", agent_id, "notes", "--delete").output == ""
    assert (labels(invoke, agent_id), labels(invoke, other)) == (["human"], [])


def test_a_block_that_an_agent_cannot_have_is_not_left_behind(invoke: Invoke, address: str, agent_id: str) -> None:
    invoke("agents", "memory", "add", agent_id, "only-here")
    refused = invoke("agents", "memory", "add", agent_id, "only-here")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "NAME_TAKEN" in refused.stderr
    with Client(address) as client:
        assert len(list(client.blocks.list(label="only-here"))) == 1


def test_what_a_block_is_changes_beside_its_value(invoke: Invoke, agent_id: str) -> None:
    block = ("agents", "memory", "update", agent_id)
    changed = invoke(
        *block, "human", "--new-label", "guest", "--description", "Who it is.", "--limit", "50", "--read-only", "--json"
    )
    stored = json.loads(changed.stdout)
    assert [stored[name] for name in ("label", "description", "limit", "readOnly")] == ["guest", "Who it is.", 50, True]
    assert stored["value"].startswith("Likes wine.")
    assert invoke(*block, "guest", "--no-read-only", "--description", "").output == ""
    (row,) = invoke("agents", "memory", "list", agent_id).stdout.splitlines()[1:]
    assert row.split()[2:4] == ["50", "edit"]


def test_a_value_is_changed_in_an_editor(invoke: Invoke, agent_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", "sed -i s/wine/water/")
    assert invoke("agents", "memory", "edit", agent_id, "human").output == ""
    again = invoke("agents", "memory", "edit", agent_id, "human", "--json")
    assert again.stderr == "letta-grpc: nothing was changed\n"
    assert json.loads(again.stdout)["value"] == "Likes water.\n\n- and tea\n"


def test_ends_of_lines_stay_as_they_are_in_an_editor(
    invoke: Invoke, address: str, agent_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(address) as client:
        client.agents.update_block(agent_id, "human", value="Likes wine.\r\nAnd tea.\rAt five.\n")
        monkeypatch.setenv("VISUAL", "true")
        assert invoke("agents", "memory", "edit", agent_id, "human").stderr == "letta-grpc: nothing was changed\n"
        monkeypatch.setenv("VISUAL", "sed -i s/wine/water/")
        assert invoke("agents", "memory", "edit", agent_id, "human").output == ""
        assert client.agents.block(agent_id, "human").value == "Likes water.\r\nAnd tea.\rAt five.\n"


def test_what_has_changed_meanwhile_is_not_overwritten_and_what_was_written_is_kept(
    invoke: Invoke, address: str, agent_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile = (
        str(BIN / "letta-grpc"),
        "agents",
        "memory",
        "set",
        agent_id,
        "human",
        "Changed by another.",
        "--target",
        address,
    )
    written = f"echo Mine. > $0 && {shlex.join(meanwhile)}"
    monkeypatch.setenv("VISUAL", shlex.join(["sh", "-c", written]))
    refused = invoke("agents", "memory", "edit", agent_id, "human")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "CONCURRENT_CHANGE" in refused.stderr
    assert kept(refused.stderr) == "Mine.\n"
    assert invoke("agents", "memory", "get", agent_id, "human").stdout == "Changed by another.\n"


async def test_what_was_written_is_kept_when_the_person_does_not_wait_for_the_server(address: str, agent_id: str) -> None:
    relay, calls, asked = Relay(int(address.rpartition(":")[2])), count(1), asyncio.Event()

    async def first_alone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if next(calls) == 1:
            await relay.serve(reader, writer)
        else:
            # What was written is on its way.
            asked.set()
            await reader.read(-1)

    async with asyncio.timeout(50), listening(first_alone) as target:
        process = await asyncio.create_subprocess_exec(
            *(str(BIN / "letta-grpc"), "agents", "memory", "edit", agent_id, "human", "--target", target),
            stderr=subprocess.PIPE,
            env=environment(VISUAL="sh -c 'echo Mine. > $0'"),
        )
        await asked.wait()
        process.send_signal(signal.SIGINT)
        _, told = await process.communicate()
    assert (kept(told.decode()), process.returncode) == ("Mine.\n", 130)


def test_an_editor_that_fails_changes_nothing(invoke: Invoke, agent_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", "sh -c 'echo gone > $0; false'")
    refused = invoke("agents", "memory", "edit", agent_id, "human")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.endswith(": ended with 1\n")
    for variable in ("VISUAL", "EDITOR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", "")
    told = invoke("agents", "memory", "edit", agent_id, "human").stderr
    assert told == "letta-grpc: vi: No such file or directory; $EDITOR names another\n"
    assert invoke("agents", "memory", "get", agent_id, "human").stdout.startswith("Likes wine.")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("update", "{}", "human"), 2, "say what is to change"),
        (("update", "{}", "human", "--limit", "3"), 2, "the block's limit is 3"),
        (("edit", "{}", "humn"), 4, "BLOCK_NOT_FOUND"),
        (("remove", "{}", "humn"), 4, "BLOCK_NOT_FOUND"),
        (("attach", "{}", NOBODY), 4, "BLOCK_NOT_FOUND"),
        (("attach", "{}", "human"), 2, "block_id"),
        (("add", "nobody-has-this-name", "notes"), 4, "there is no agent"),
        (("add", "{}", "two words"), 2, "label"),
    ],
)
def test_what_is_not_there_or_makes_no_sense_is_told(
    invoke: Invoke, agent_id: str, arguments: tuple[str, ...], code: int, told: str
) -> None:
    refused = invoke("agents", "memory", *(each.format(agent_id) for each in arguments))
    assert (refused.exit_code, refused.stdout) == (code, "")
    assert told in refused.stderr
    assert labels(invoke, agent_id) == ["human"]
