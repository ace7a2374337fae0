"""The server that `chat --embedded` starts for itself."""

import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.server_process import environment, letta_grpc, serving_process

CERTIFICATE = Path(__file__).parents[1] / "support" / "tls" / "certificate.pem"
END_SECONDS = 40
# A chat shows its server's address to nobody.
PROGRAM = """
import signal, sys
from letta_grpc.cli.embedded import embedded_server

with embedded_server(sys.argv[1]) as address:
    print(address, flush=True)
    signal.pause()
"""


def database_in(folder: Path) -> str:
    return f"sqlite:///{folder / 'letta.db'}"


def wait_for_the_end(connection: socket.socket) -> None:
    """Wait until the other side has gone. A server that drains says farewell first."""
    connection.settimeout(END_SECONDS)
    with suppress(ConnectionResetError):
        while connection.recv(1024):
            pass


def test_it_ends_with_the_chat_even_when_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, database_in(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as chat:  # noqa: S603 - ours
        assert chat.stdout
        host, _, port = chat.stdout.readline().strip().rpartition(":")
        with socket.create_connection((host, int(port)), END_SECONDS) as connection:
            chat.send_signal(signal.SIGKILL)
            wait_for_the_end(connection)


def test_its_database_stands_on_no_command_line_where_everybody_could_read_a_password(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, database_in(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as chat:  # noqa: S603 - ours
        try:
            assert chat.stdout
            assert chat.stdout.readline()
            (server,) = psutil.Process(chat.pid).children()
            assert str(tmp_path) not in " ".join(server.cmdline())
        finally:
            chat.terminate()


# What the shell may have set for another server. Of TLS one file alone would end the start, and both together the first call.
@pytest.mark.parametrize(
    "foreign",
    [
        {"API_KEYS": "a-key", "API_KEYS_FILE": "none"},
        {"TLS_CERTIFICATE_FILE": str(CERTIFICATE), "TLS_KEY_FILE": str(CERTIFICATE.with_name("key.pem"))},
        {"HTTP": "0.0.0.0:0"},
    ],
    ids=",".join,
)
def test_it_takes_nothing_of_what_the_environment_says_of_another(tmp_path: Path, foreign: Mapping[str, str]) -> None:
    told: dict[str, Any] = {f"LETTA_GRPC_{name}": value for name, value in foreign.items()}
    database = database_in(tmp_path)
    talked = letta_grpc("chat", "--embedded", "--database", database, stdin="Hello!\n", **told)
    assert talked.returncode == 0, talked.stderr
    assert "glad you are here" in talked.stdout


def test_it_waits_for_no_other_server_to_end(tmp_path: Path) -> None:
    with serving_process(tmp_path):
        told = letta_grpc("chat", "--embedded", "--database", database_in(tmp_path), LETTA_GRPC_STANDBY="true")
    assert told.returncode == 5
    assert "(DATABASE_IN_USE)" in told.stderr
