"""Which files a server takes, and what it says of the others."""

import asyncio
import errno
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from letta_grpc.adapters.sql.failures import DatabaseInUseError, DatabaseUnusableError
from letta_grpc.adapters.sql.sqlite.connections import path_of
from letta_grpc.domain.errors import StoreUnavailable
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.journals.scenes import deltas, frames_of, running
from tests.support.sqlite_worlds import opened


async def test_what_one_server_stored_the_next_one_finds(tmp_path: Path) -> None:
    async with opened(tmp_path / "letta.db", FakeClock()) as file:
        agent = await file.world.agent()
    async with opened(tmp_path / "letta.db", FakeClock()) as file:
        assert await file.world.agents.get(agent.id) == agent


async def test_a_second_server_is_told_who_has_the_file(tmp_path: Path) -> None:
    async with opened(tmp_path / "letta.db", FakeClock()):
        with pytest.raises(DatabaseInUseError, match=r"letta\.db is in use by another server \(process \d+\)") as caught:
            async with opened(tmp_path / "letta.db", FakeClock()):
                pass
    assert caught.value.reason == "DATABASE_IN_USE"


async def test_the_lock_ends_with_its_process_however_it_ends(tmp_path: Path) -> None:
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", _HOLD, str(tmp_path / "letta.db"), stdout=-1)
    assert holder.stdout is not None
    async with asyncio.timeout(20):
        await holder.stdout.readline()
        with pytest.raises(DatabaseInUseError, match=f"process {holder.pid}"):
            async with opened(tmp_path / "letta.db", FakeClock()):
                pass
        holder.kill()
        await holder.wait()
    async with opened(tmp_path / "letta.db", FakeClock()):
        pass


_HOLD = """
import sys, time
from contextlib import closing
from pathlib import Path
from letta_grpc.adapters.sql.sqlite.file_lock import FileLock
lock = FileLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read() or time.sleep(60)
"""


@pytest.mark.parametrize("way", ["a symbolic link", "another name", "a removed lock"])
async def test_a_database_has_one_server_by_whatever_name_it_is_opened(tmp_path: Path, way: str) -> None:
    path, other = tmp_path / "letta.db", tmp_path / "other.db"
    async with opened(path, FakeClock()):
        match way:
            case "a symbolic link":
                other.symlink_to(path)
            case "another name":
                other.hardlink_to(path)
            case _:
                (tmp_path / "letta.db.lock").unlink()
                other = path
        with pytest.raises(DatabaseInUseError):
            async with opened(other, FakeClock()):
                pass


async def test_a_new_database_is_its_owners_alone(tmp_path: Path) -> None:
    async with opened(tmp_path / "letta.db", FakeClock()):
        assert modes_in(tmp_path) == {"0o600"}


def modes_in(folder: Path) -> set[str]:
    return {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()}


@pytest.mark.parametrize("place", ["missing/letta.db", "folder"])
async def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(DatabaseUnusableError, match=place):
        async with opened(tmp_path / place, FakeClock()):
            pass


async def test_a_full_disk_is_told_with_the_file_that_found_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", _no_room)
        with pytest.raises(DatabaseUnusableError, match=r"letta\.db\.lock: No space left on device\.$"):
            async with opened(tmp_path / "letta.db", FakeClock()):
                pass
    # Once there is room again.
    async with opened(tmp_path / "letta.db", FakeClock()):
        pass


def _no_room(*_: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "letta.db"
    path.write_text("my diary " * 1000)
    with pytest.raises(DatabaseUnusableError, match="file is not a database"):
        async with opened(path, FakeClock()):
            pass
    assert path.read_text() == "my diary " * 1000


async def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "letta.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE diary (entry TEXT)")
    other.close()
    with pytest.raises(DatabaseUnusableError, match="belongs to another program"):
        async with opened(path, FakeClock()):
            pass


@pytest.mark.parametrize(
    "url", ["letta.db", "mysql://host/db", "sqlite://", "sqlite:///:memory:", "sqlite:///x.db?mode=ro", "sqlite://data/x.db"]
)
async def test_a_url_that_names_no_file_is_refused(url: str) -> None:
    with pytest.raises(DatabaseUnusableError, match=r"sqlite:///letta\.db"):
        path_of(url)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://letta:s3cret@db.example/letta", "'postgresql://letta:***@db.example/letta' names no SQLite file"),
        ("postgresql://letta:s3cret@db.example:port/letta", "'postgresql://***' is not a database URL"),
        ("letta:s3@cret@db.example", "'letta:***' is not a database URL"),
    ],
)
async def test_a_password_in_a_url_that_is_refused_is_not_told(url: str, told: str) -> None:
    with pytest.raises(DatabaseUnusableError) as refused:
        path_of(url)
    assert str(refused.value).startswith(told)


async def test_a_copy_that_sqlite_makes_while_it_is_served_has_everything(tmp_path: Path) -> None:
    async with opened(tmp_path / "letta.db", FakeClock()) as file:
        claim = await running(file.world)
        assert claim.lease is not None
        await file.world.journal.append(claim.lease, deltas(5))
        with closing(sqlite3.connect(tmp_path / "letta.db")) as another:
            another.execute("VACUUM INTO ?", (str(tmp_path / "backup.db"),))
    async with opened(tmp_path / "backup.db", FakeClock()) as file:
        assert len(await frames_of(file.world.log, claim.run.id)) == 6


async def test_a_closed_database_says_so_instead_of_waiting(tmp_path: Path) -> None:
    async with opened(tmp_path / "letta.db", FakeClock()) as file:
        claim = await running(file.world)
    assert claim.lease is not None
    async with asyncio.timeout(5):
        with pytest.raises(StoreUnavailable):
            await file.world.journal.append(claim.lease, [])


async def test_what_waits_when_the_database_closes_is_stored(tmp_path: Path) -> None:
    async with opened(tmp_path / "letta.db", FakeClock()) as file:
        claim = await running(file.world)
        assert claim.lease is not None
        last = file.world.journal.append(claim.lease, deltas(5))
    await last
    async with opened(tmp_path / "letta.db", FakeClock()) as file:
        assert len(await frames_of(file.world.log, claim.run.id)) == 6
