"""A real PostgreSQL server of our own, with its files in a folder of its own.

    with running_postgres() as server:
        with server.database() as url: ...      a new database, dropped when its block ends
        server.kill(); server.start()           as when its machine fails and comes back: the address stays

Each call blocks: a test on an event loop makes it through `asyncio.to_thread`. Processes and files are gone when the block has
ended, and soon after this process is gone, however that happened.
"""

import itertools
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.support.ports import kept_port
from tests.support.programs import required

START_SECONDS = 30
STOP_SECONDS = 10
# Text sorts as in a dictionary, as on most servers and never in SQLite; letters of all languages have their upper case.
LOCALE = (
    "--encoding=UTF8",
    "--locale=" + ("en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"),
    "--locale-provider=icu",
    "--icu-locale=en-US",
)
# What is left is ended and removed once nobody holds the other end of this shell's input.
GUARD = """
read -r _
if pid=$(head -n 1 "$0/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid" 2>/dev/null; then
    for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$pid" 2>/dev/null || break; sleep 0.5; done
fi
rm -rf "$0" || { sleep 1; rm -rf "$0"; }
"""
# As Popen does it where it is told a user. For that it forks, and grpc's threads may crash a child that is forked from them.
BECOME = """
import os, sys
_, user, group, *program = sys.argv
os.setgroups([])
os.setgid(int(group))
os.setuid(int(user))
os.execv(program[0], program)
"""


class PostgresServer:
    """A server that can be struck down, and comes back where it was."""

    def __init__(self, folder: Path, programs: Path, port: int, *, fsync: bool) -> None:
        self._folder = folder
        self._programs = programs
        self._port = port
        self._fsync = fsync
        self._names = (f"test_{number}" for number in itertools.count(1))
        self._process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """Make its files."""
        making = self._run("initdb", "--pgdata=data", "--username=letta", "--auth=trust", "--no-sync", *LOCALE)
        try:
            making.communicate(timeout=START_SECONDS)
        finally:
            making.terminate()
            making.communicate(timeout=STOP_SECONDS)
        assert making.returncode == 0, self._log

    def start(self) -> None:
        """Return once it answers. Nothing happens if it is running."""
        if self._process and self._process.poll() is None:
            return
        until = time.monotonic() + START_SECONDS
        settings = {"port": self._port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": self._fsync}
        self._process = self._run("postgres", "-D", "data", *(f"--{name}={value}" for name, value in settings.items()))
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self._end(signal.SIGQUIT)
                raise AssertionError(self._log)
            time.sleep(0.01)

    def stop(self) -> None:
        """End it as an administrator does: whoever is connected is told."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it as a loss of power does: nobody is told, and it has to recover when it starts."""
        if self._process:
            server = psutil.Process(self._process.pid)
            server.suspend()  # It would start others for those that die before it.
            for process in server.children():
                process.kill()
            self._end(signal.SIGKILL)

    def close(self) -> None:
        """End it, and see that nothing of it is left in the machine's memory."""
        if (self._folder / "data" / "postmaster.pid").exists():
            self.start()  # Only its next life removes the shared memory of one that was killed.
            self._end(signal.SIGQUIT)

    @contextmanager
    def database(self) -> Iterator[str]:
        """Make an empty database, on a server that is started if it has to be; give its URL.

        Whoever is still connected when the block ends well fails it.
        """
        name = next(self._names)
        self.start()
        self._execute(f"CREATE DATABASE {name}")
        yield self._url(name)
        self.start()
        self._execute(f"DROP DATABASE {name}")

    def empty(self, url: str) -> None:
        """Remove all rows of a database of ours, and keep its tables: a tenth of the time that a new one takes."""
        import psycopg  # noqa: PLC0415 - as in _answers

        with psycopg.connect(url) as connection:
            tables = connection.execute("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'")
            names = [name for (name,) in tables if name != "alembic_version"]
            connection.execute("; ".join(f"DELETE FROM {name}" for name in names).encode())  # noqa: S608 - names of ours

    def _url(self, database: str) -> str:
        return f"postgresql://letta@127.0.0.1:{self._port}/{database}"

    def _answers(self) -> bool:
        import psycopg  # noqa: PLC0415 - it takes a quarter of a second, and most tests need no server

        try:
            self._execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _execute(self, statement: str) -> None:
        import psycopg  # noqa: PLC0415 - as above

        with psycopg.connect(self._url("postgres"), autocommit=True, connect_timeout=START_SECONDS) as connection:
            connection.execute(statement.encode())

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start one of its programs in its folder, as whoever owns that, away from this terminal's signals."""
        owner = self._folder.stat()
        becoming = [sys.executable, "-ISc", BECOME, str(owner.st_uid), str(owner.st_gid)] if os.geteuid() == 0 else []
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - PostgreSQL's own
                [*becoming, self._programs / program, *arguments],
                cwd=self._folder,
                env={"PATH": os.defpath},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,  # All that it starts holds it, too: it ends with the last of them.
                stderr=log,
                start_new_session=True,
            )

    def _end(self, how: signal.Signals) -> None:
        if self._process:
            try:
                self._process.send_signal(how)
                self._process.communicate(timeout=STOP_SECONDS)
            finally:
                self._process.kill()
                self._process.communicate(timeout=STOP_SECONDS)
                self._process = None

    @property
    def _log(self) -> str:
        return (self._folder / "log").read_text()


@contextmanager
def running_postgres(*, fsync: bool = False) -> Iterator[PostgresServer]:
    """Run a server. `fsync`: whether it waits for its disk, which makes no difference but to a machine that fails."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True)
    initdb = required("initdb", path=os.pathsep.join([os.environ.get("PATH", os.defpath), *map(str, installed)]))
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    with (
        subprocess.Popen(  # noqa: S603 - our own
            ["/bin/sh", "-c", GUARD, folder],
            env={"PATH": os.defpath},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ),
        kept_port() as port,
    ):
        os.chown(folder, *_owner())
        server = PostgresServer(folder, Path(initdb).resolve().parent, port, fsync=fsync)
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.close()


def _owner() -> tuple[int, int]:
    """Return who runs the server and has its files. PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    known = {account.pw_name: account for account in pwd.getpwall()}
    account = known.get("postgres") or known["nobody"]
    return account.pw_uid, account.pw_gid
