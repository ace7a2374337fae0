"""The server as a process: what it prints, how it ends, and what it says when it cannot start."""

import json
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest

from letta_grpc.client import Client
from tests.requirements.registry import requirement
from tests.support.server_process import PROGRAM, environment, gateway_process, letta_grpc, serving_process

STOP_SECONDS = 30


@requirement("complaint_21_one_command")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_says_where_it_listens_and_ends_well_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    with serving_process(tmp_path) as (address, process):
        host, _, port = address.rpartition(":")
        assert host == "127.0.0.1"
        assert int(port) > 0
        with Client(address) as client:
            assert list(client.agents.list()) == []
        process.send_signal(number)
        rest, _ = process.communicate(timeout=STOP_SECONDS)
        assert process.returncode == 0
        # The line with the address is all there is on stdout; the log is JSON where nobody watches.
        assert rest == ""
    entries = [json.loads(line) for line in (tmp_path / "server.log").read_text().splitlines()]
    began, *_, ended = entries
    assert (began["event"], began["version"], began["folder"]) == ("serving", version("letta-grpc"), str(Path.cwd()))
    assert began["database"].endswith(f"{tmp_path}/letta.db")
    assert ended["event"] == "draining"


# `letta-grpc` that says at its end how long a thread may compute while others wait.
TELLING = """
import atexit, sys
from letta_grpc.__main__ import main
atexit.register(lambda: print(sys.getswitchinterval()))
main()
"""


def test_no_thread_computes_for_long_while_runs_wait(tmp_path: Path) -> None:
    with serving_process(tmp_path, program=(sys.executable, "-c", TELLING)) as (_, process):
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=STOP_SECONDS)
    assert float(rest) < 0.001


# `letta-grpc` whose store never says which runs were left open.
STUCK = """
from letta_grpc.__main__ import main, settle_grpc
settle_grpc()
import asyncio
from letta_grpc.adapters.sql.journal.leases import SqlLeases
async def take_over(*_):
    print("taking over", flush=True)
    await asyncio.Event().wait()
SqlLeases.take_over = take_over
main()
"""


# The first process of a container is deaf to what it does not handle.
AS_FIRST = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child")


@pytest.mark.parametrize("within", [(), AS_FIRST], ids=["process", "first-process"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_still_starting_ends_at_a_second_signal(
    tmp_path: Path, number: signal.Signals, within: Sequence[str]
) -> None:
    flags = ("--listen", "127.0.0.1:0", "--database", f"sqlite:///{tmp_path / 'letta.db'}")
    with starting(STUCK, "taking over", *flags, within=within) as (process, server):
        for _ in range(STOP_SECONDS):
            # Two that come close together may reach it as one.
            server.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
                break
        assert process.poll()


@contextmanager
def starting(
    program: str, said: str, *flags: str, within: Sequence[str]
) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """Start a server that comes to a halt with these words; yield the process that was started, and the server's own."""
    command = (*within, sys.executable, "-c", program, "serve", *flags)
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{said}\n"
        started = psutil.Process(process.pid)
        try:
            yield process, started.children()[0] if within else started
        finally:
            process.kill()


# `letta-grpc` that takes long to load.
LOADING = """
import sys, time
from letta_grpc.__main__ import main
class Slow:
    def find_spec(self, name, *_):
        if name == "letta_grpc.cli.program":
            print("loading", flush=True)
            time.sleep(60)
sys.meta_path.insert(0, Slow())
main()
"""


@pytest.mark.parametrize(("within", "code"), [((), -signal.SIGTERM), (AS_FIRST, 143)], ids=["process", "first-process"])
def test_a_server_that_is_still_loading_ends_at_the_first_signal(within: Sequence[str], code: int) -> None:
    with starting(LOADING, "loading", within=within) as (process, server):
        server.send_signal(signal.SIGTERM)
        assert process.wait(STOP_SECONDS) == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_gateway_ends_well_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    with gateway_process(tmp_path, "127.0.0.1:1") as (_, process):
        process.send_signal(number)
        assert process.wait(STOP_SECONDS) == 0


def test_a_server_under_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    program = ("nohup", *PROGRAM)
    with serving_process(tmp_path, program=program) as (address, process), Client(address) as client:
        process.send_signal(signal.SIGHUP)
        assert list(client.agents.list()) == []
        process.terminate()
        assert process.wait(STOP_SECONDS) == 0


def test_a_second_server_on_the_same_file_or_port_refuses_to_start(tmp_path: Path) -> None:
    with serving_process(tmp_path) as (address, _):
        same_file = letta_grpc("serve", "--listen", "127.0.0.1:0", "--database", f"sqlite:///{tmp_path / 'letta.db'}")
        same_port = letta_grpc("serve", "--listen", address, "--database", f"sqlite:///{tmp_path / 'other.db'}")
    assert (same_file.returncode, same_port.returncode) == (5, 5)
    assert "in use by another server" in same_file.stderr
    assert same_file.stderr.endswith("(DATABASE_IN_USE)\n")
    assert address in same_port.stderr
    for refused in (same_file, same_port):
        assert refused.stdout == ""
        assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("taken", ["--listen", "--http"])
def test_a_server_that_cannot_listen_leaves_open_runs_to_the_next(tmp_path: Path, taken: str) -> None:
    """One that is started again and again where its port is taken would ask their models each time, and then give them up."""
    database = f"sqlite:///{tmp_path / 'letta.db'}"
    with serving_process(tmp_path, "--drain-seconds", "0") as (address, _), Client(address) as client:
        agent = client.agents.create(name="waits", model="scripted/script")
        run_id = client.runs.create(agent.id, json.dumps([[{"wait_for_cancel": True}]])).id
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        places = {"--listen": "127.0.0.1:0"} | {taken: f"127.0.0.1:{elsewhere.getsockname()[1]}"}
        flags = [word for place in places.items() for word in place]
        assert letta_grpc("serve", *flags, "--database", database).returncode == 5
    with serving_process(tmp_path, "--drain-seconds", "0") as (address, _), Client(address) as client:
        assert client.runs.get(run_id).attempt == 2


def test_a_database_that_cannot_be_used_is_said_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "folder.db").mkdir()
    (tmp_path / "text.db").write_text("This is no database, however long it may be. " * 100)
    for name in ("folder.db", "text.db", "missing/letta.db"):
        refused = letta_grpc("serve", "--listen", "127.0.0.1:0", "--database", f"sqlite:///{tmp_path / name}")
        assert refused.returncode == 5, refused.stderr
        assert len(refused.stderr.splitlines()) == 1, refused.stderr
        assert refused.stderr.startswith("letta-grpc: ")


def test_wrong_settings_are_refused_before_anything_starts(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'letta.db'}"
    exposed = letta_grpc("serve", "--listen", "0.0.0.0:0", "--database", database)
    assert exposed.returncode == 2
    assert "LETTA_GRPC_API_KEYS" in exposed.stderr
    misspelt = letta_grpc("serve", "--database", database, LETTA_GRPC_LISTN="127.0.0.1:0")
    assert misspelt.returncode == 2
    assert "did you mean LETTA_GRPC_LISTEN?" in misspelt.stderr
    assert not (tmp_path / "letta.db").exists()


def test_a_server_with_keys_answers_only_who_shows_one(tmp_path: Path) -> None:
    with serving_process(tmp_path, LETTA_GRPC_API_KEYS="first,second") as (address, _):
        listing = ("agents", "list", "--target", address)
        assert letta_grpc(*listing).returncode == 6
        assert letta_grpc(*listing, LETTA_GRPC_TARGET_API_KEY="third").returncode == 6
        assert letta_grpc(*listing, LETTA_GRPC_TARGET_API_KEY="second").returncode == 0


def test_migrate_makes_a_database_that_can_be_served(tmp_path: Path) -> None:
    path = tmp_path / "letta.db"
    migrated = letta_grpc("migrate", "--database", f"sqlite:///{path}")
    assert migrated.returncode == 0, migrated.stderr
    with sqlite3.connect(path) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    database.close()
    assert "runs" in tables
    with serving_process(tmp_path) as (address, _), Client(address) as client:
        assert list(client.agents.list()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads the limits of another process")
@pytest.mark.parametrize("kind", ["serve", "gateway"])
def test_it_takes_more_connections_than_a_process_may_have_until_it_asks(tmp_path: Path, kind: str) -> None:
    few = ("sh", "-c", 'ulimit -Sn 256 && exec "$0" "$@"', *PROGRAM)
    running = (
        serving_process(tmp_path, program=few) if kind == "serve" else gateway_process(tmp_path, "127.0.0.1:1", program=few)
    )
    with running as (_, process):
        soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    assert soft == min(hard, 65_536)
