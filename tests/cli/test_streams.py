"""What becomes of a command whose output nobody takes."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from letta_grpc.client import Client
from tests.support.server_process import BIN, environment

LISTINGS = ["agents list", "agents list --json", "runs list", "runs list --json", "runs follow RUN", "tools list", "--help"]


@pytest.fixture(scope="module")
def run_id(address: str) -> str:
    with Client(address) as client:
        agent_id = client.agents.create(model="scripted/echo").id
        return client.runs.execute(agent_id, "one two").run.id


def printing(command: str, address: str, stdout: int) -> subprocess.CompletedProcess[str]:
    """Run a command that prints to an open file."""
    return subprocess.run(  # noqa: S603 - our own command
        [BIN / "letta-grpc", *command.split()],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
        env=environment(LETTA_GRPC_TARGET=address),
    )


@pytest.mark.parametrize("command", LISTINGS)
def test_a_reader_that_has_left_ends_a_command_well(address: str, run_id: str, command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = printing(command.replace("RUN", run_id), address, writer)
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("command", ["agents list --json", "tools list", "runs follow RUN", "--help"])
def test_a_disk_that_is_full_is_one_line(address: str, run_id: str, command: str) -> None:
    with Path("/dev/full").open("w") as full:
        ended = printing(command.replace("RUN", run_id), address, full.fileno())
    assert (ended.returncode, ended.stderr) == (1, "letta-grpc: No space left on device\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_server_without_standard_streams_serves_and_gives_their_numbers_to_nothing_else(tmp_path: Path, closed: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = "{}:{}".format(*free.getsockname())
    command = f'exec "{BIN}/letta-grpc" serve --listen {address} --database sqlite:///{tmp_path}/letta.db {closed}'
    with subprocess.Popen(  # noqa: S602 - our own command
        command, shell=True, stdin=-1, stdout=-1, stderr=-1, env=environment()
    ) as process:
        try:
            grpc.channel_ready_future(grpc.insecure_channel(address)).result(30)
            if sys.platform == "linux":
                opened = [Path(f"/proc/{process.pid}/fd/{number}").readlink().name for number in range(3)]
                assert opened.count("null") == closed.count("&-")
                assert all(name == "null" or name.startswith("pipe:") for name in opened)
        finally:
            process.terminate()
        assert process.wait(30) == 0
