"""`serve --standby` as a process: it waits for another server's end, says so, and takes its place."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from letta_grpc.client import Client, RetryPolicy, ServerUnavailable
from tests.requirements.registry import requirement
from tests.support.server_process import PROGRAM, environment, serving_process
from tests.support.sessions import end_sessions

STOP_SECONDS = 30
ONCE = RetryPolicy(call_attempts=1)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Either database; PostgreSQL's server is run where it is asked for alone."""
    return f"sqlite:///{tmp_path}/letta.db" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))


@contextmanager
def standing_by(url: str) -> Iterator[subprocess.Popen[str]]:
    """Run a server that has said that it stands by."""
    command = [*PROGRAM, "serve", "--standby", "--listen", "127.0.0.1:0", "--database", url]
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        try:
            assert process.stderr
            entry = json.loads(process.stderr.readline())
            assert entry["event"].startswith("standing by: ")
            assert "in use by another server" in entry["event"]
            yield process
        finally:
            process.kill()


def address_of(process: subprocess.Popen[str]) -> str:
    """Where it serves, once it does."""
    assert process.stdout
    line = process.stdout.readline()
    assert line.startswith("listening grpc=")
    return line.strip().removeprefix("listening grpc=")


@requirement("standby")
def test_it_ends_well_at_the_first_signal_while_it_waits(url: str, tmp_path: Path) -> None:
    with serving_process(tmp_path, "--database", url), standing_by(url) as process:
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=STOP_SECONDS)
        assert (process.returncode, said) == (0, "")


@requirement("standby")
def test_it_serves_what_the_other_one_has_left_when_that_is_killed(url: str, tmp_path: Path) -> None:
    with serving_process(tmp_path, "--database", url) as (address, first), Client(address) as client:
        agent = client.agents.create(model="scripted/echo")
        with standing_by(url) as second:
            first.kill()
            with Client(address_of(second)) as other:
                assert other.agents.get(agent.id) == agent


@requirement("one_server", "lost_database")
def test_one_that_does_not_stand_by_ends_where_another_has_taken_its_place(postgres_url: str, tmp_path: Path) -> None:
    with serving_process(tmp_path, "--database", postgres_url) as (address, first), standing_by(postgres_url) as second:
        first.send_signal(signal.SIGSTOP)
        end_sessions(postgres_url)
        address_of(second)
        first.send_signal(signal.SIGCONT)
        with Client(address, retry=ONCE) as client, pytest.raises(ServerUnavailable):
            client.agents.create(model="scripted/echo")
        assert first.wait(STOP_SECONDS) == 5
    *_, last = (tmp_path / "server.log").read_text().splitlines()
    assert last.startswith("letta-grpc: ")
    assert last.endswith("(DATABASE_IN_USE)")
