"""Conversations: piped in, and interrupted."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from typer.testing import CliRunner

from letta_grpc.cli.program import program
from letta_grpc.client import Client
from tests.support.server_process import BIN, environment, letta_grpc, serving_process

WAITING = json.dumps([[{"text": "Thinking "}, {"wait_for_cancel": True}]])
STOP_SECONDS = 30


@pytest.fixture
def agent_id(address: str) -> str:
    with Client(address) as client:
        return client.agents.create(model="scripted/script").id


@contextmanager
def chatting(address: str, agent_id: str, stdin: int = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    command = [str(BIN / "letta-grpc"), "chat", "--agent", agent_id, "--target", address]
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def say(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdin
    process.stdin.write(f"{text}\n")
    process.stdin.flush()


def wait_for(stream: IO[str] | None, text: str) -> None:
    """Read what is printed until this has been printed."""
    assert stream
    seen = b""
    while text.encode() not in seen:
        piece = os.read(stream.fileno(), 1024)
        assert piece, f"it ended after {seen.decode()!r}"
        seen += piece


def test_what_is_piped_in_is_answered_line_by_line(address: str, agent_id: str) -> None:
    lines = [json.dumps([[{"reasoning": "Hm. "}, {"text": f"Answer {number}"}]]) for number in (1, 2)]
    talk = letta_grpc("chat", "--agent", agent_id, "--target", address, stdin="\n".join([*lines, ""]))
    assert talk.returncode == 0, talk.stderr
    assert talk.stdout.index("Hm.") < talk.stdout.index("Answer 1") < talk.stdout.index("Answer 2")


def test_a_failed_run_is_shown_and_is_the_exit_code(address: str, agent_id: str) -> None:
    talk = letta_grpc("chat", "--agent", agent_id, "--target", address, stdin='[[{"error": "MODEL_BAD_REQUEST"}]]\n')
    assert talk.returncode == 1
    assert "MODEL_BAD_REQUEST" in talk.stdout


def test_tool_calls_and_their_returns_are_shown(address: str, agent_id: str) -> None:
    call = {"name": "conversation_search", "arguments": {"query": "nothing"}}
    script = json.dumps([[{"tool_call": call}], [{"text": "Done."}]])
    talk = letta_grpc("chat", "--agent", agent_id, "--target", address, stdin=f"{script}\n")
    assert "→ conversation_search" in talk.stdout
    assert "← " in talk.stdout


def test_what_an_agent_says_by_a_tool_is_shown_as_its_words_alone(address: str) -> None:
    with Client(address) as client:
        agent_id = client.agents.create(model="scripted/script", kind="memgpt").id
    calls = [{"tool_call": {"name": "send_message", "arguments": {"message": "Good morning."}}}]
    talk = letta_grpc("chat", "--agent", agent_id, "--target", address, stdin=f"{json.dumps([calls])}\n")
    assert talk.stdout.splitlines()[1:] == ["Good morning.", ""]


def test_an_unknown_agent_ends_the_chat_before_it_begins(address: str) -> None:
    talk = letta_grpc("chat", "--agent", "agent-00000000-0000-4000-8000-000000000000", "--target", address)
    assert talk.returncode == 4


def test_the_first_interrupt_cancels_the_run_and_the_chat_goes_on(address: str, agent_id: str) -> None:
    with chatting(address, agent_id) as process:
        say(process, WAITING)
        wait_for(process.stdout, "Thinking")
        process.send_signal(signal.SIGINT)
        wait_for(process.stdout, "ended: cancelled")
        say(process, json.dumps([[{"text": "Still here."}]]))
        wait_for(process.stdout, "Still here.")
        assert process.stdin
        process.stdin.close()
        assert process.wait(STOP_SECONDS) == 0
    with Client(address) as client:
        states = [run.state for run in client.runs.list(agent_id=agent_id)]
    assert len(states) == 2


def test_the_end_of_the_input_at_the_prompt_leaves(address: str, agent_id: str) -> None:
    keyboard, terminal = os.openpty()
    try:
        with chatting(address, agent_id, stdin=terminal) as process:
            wait_for(process.stdout, "you> ")
            os.write(keyboard, b"\x04")
            assert process.wait(STOP_SECONDS) == 0
    finally:
        os.close(keyboard)
        os.close(terminal)


def test_an_interrupt_at_the_prompt_leaves(address: str, agent_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # In process: from outside nobody can tell whether it has begun to read, and a signal just before that is lost on `input`.
    def interrupted(_prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupted)
    left = CliRunner().invoke(program, ["chat", "--agent", agent_id, "--target", address])
    assert left.exit_code == 0
    assert agent_id in left.stdout


def test_a_second_interrupt_leaves_even_when_the_server_does_not_answer(tmp_path: Path) -> None:
    with serving_process(tmp_path) as (address, server):
        with Client(address) as client:
            agent_id = client.agents.create(model="scripted/script").id
        with chatting(address, agent_id) as process:
            say(process, WAITING)
            wait_for(process.stdout, "Thinking")
            server.send_signal(signal.SIGSTOP)
            try:
                process.send_signal(signal.SIGINT)
                wait_for(process.stderr, "Ctrl-C again leaves")
                process.send_signal(signal.SIGINT)
                assert process.wait(STOP_SECONDS) == 130
            finally:
                server.send_signal(signal.SIGCONT)


def test_without_an_agent_one_is_made_and_found_again(address: str) -> None:
    first = letta_grpc("chat", "--model", "scripted/demo", "--target", address, stdin="Hello!\n")
    again = letta_grpc("chat", "--target", address, stdin="Who are you?\n")
    assert "glad you are here" in first.stdout
    assert "I am scripted/demo" in again.stdout
    assert first.stdout.splitlines()[0] == again.stdout.splitlines()[0]
