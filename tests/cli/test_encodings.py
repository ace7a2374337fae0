"""Text that cannot be read, shown or sent."""

import json
import subprocess
from pathlib import Path

import pytest

from letta_grpc.client import Client
from tests.support.server_process import BIN, environment, letta_grpc

ASCII = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}


@pytest.fixture(scope="module")
def agent_id(address: str) -> str:
    with Client(address) as client:
        return client.agents.create(model="scripted/echo", name="ü").id


def test_what_the_output_cannot_show_is_replaced(address: str, agent_id: str) -> None:
    talk = letta_grpc("chat", "--agent", agent_id, "--target", address, stdin="grüße\n", **ASCII)  # type: ignore[arg-type]  # none is `timeout`
    assert (talk.returncode, talk.stderr) == (0, "")
    assert talk.stdout.startswith(f"scripted/echo ? {agent_id}\n")
    listed = letta_grpc("agents", "list", "--json", "--target", address, **ASCII)  # type: ignore[arg-type]  # as above
    assert "ü" in [json.loads(line)["name"] for line in listed.stdout.splitlines()]


def test_input_that_is_not_utf_8_is_sent_with_what_can_be_read(address: str, agent_id: str) -> None:
    ended = subprocess.run(  # noqa: S603 - our own command
        [BIN / "letta-grpc", "chat", "--agent", agent_id, "--target", address],
        input=b"abc \xff def\n",
        capture_output=True,
        check=False,
        timeout=60,
        env=environment(),
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert "abc \ufffd def" in ended.stdout.decode()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("agents", "create", "--model", "scripted/echo", "--name", b"x\xff"), r"not UTF-8: x\udcff"),
        (("chat", "--agent", b"x\xff"), r"not UTF-8: x\udcff"),
        (("agents", "list", "--target", b"x\xff"), "--target"),
        (("agents", "list", "--target", ""), "--target"),
        (("chat", "--target", ""), "--target"),
        (("gateway", "--target", ""), "--target"),
        (("agents", "list", "--api-key", "kö"), "--api-key"),
        (("chat", "--api-key", "one\ntwo"), "--api-key"),
    ],
)
def test_an_argument_that_cannot_be_sent_is_told_in_words(address: str, arguments: tuple[str | bytes, ...], told: str) -> None:
    ended = subprocess.run(  # noqa: S603 - our own command
        [BIN / "letta-grpc", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment(LETTA_GRPC_TARGET=address, COLUMNS="200"),
    )
    assert ended.returncode == 2, ended.stderr
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "kö" not in ended.stderr


def test_a_file_that_is_no_text_is_told_in_words(address: str, tmp_path: Path) -> None:
    file = tmp_path / "tool.py"
    file.write_bytes(b'"""\xff"""')
    ended = letta_grpc("tools", "add", str(file), "--target", address)
    assert ended.returncode == 2, ended.stderr
    assert f"{file} is not UTF-8" in ended.stderr


def test_a_file_may_begin_with_the_mark_of_its_encoding(address: str, tmp_path: Path) -> None:
    """Editors on Windows write it, and Python takes it."""
    file = tmp_path / "tool.py"
    file.write_bytes(b"\xef\xbb\xbfdef marked() -> None: ...\n")
    ended = letta_grpc("tools", "add", str(file), "--target", address)
    assert (ended.returncode, ended.stdout) == (0, "marked\n"), ended.stderr
