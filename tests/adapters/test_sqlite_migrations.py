"""The revisions and the tables say the same, and a start costs no Alembic."""

import asyncio
import os
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from letta_grpc.adapters.sql import migrations
from letta_grpc.adapters.sql.failures import DatabaseInUseError, DatabaseUnusableError
from letta_grpc.adapters.sql.migrations import upgrade
from letta_grpc.adapters.sql.schema import REVISION, metadata
from letta_grpc.adapters.sql.sqlite.connections import connect_writer, core_connection
from letta_grpc.adapters.sql.sqlite.upkeep import current_revision, migrate
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.journals.scenes import running
from tests.support.sqlite_worlds import opened


def schema_of(path: Path) -> dict[str, set[str]]:
    with closing(sqlite3.connect(path)) as driver:
        rows = driver.execute("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite%'").fetchall()
    # Columns that a revision adds stand in the line of the one before them.
    return {name: {part.strip() for part in re.split("[,\n]", sql or "")} for name, sql in rows}


def upgrade_from_nothing(path: Path) -> None:
    with closing(connect_writer(path, "normal")) as driver, closing(core_connection(driver)) as connection:
        upgrade(connection, None, path)


def test_the_revisions_lead_to_the_tables(tmp_path: Path) -> None:
    upgrade_from_nothing(tmp_path / "migrated.db")
    migrate(f"sqlite:///{tmp_path}/created.db")
    migrated, created = schema_of(tmp_path / "migrated.db"), schema_of(tmp_path / "created.db")
    del migrated["alembic_version"], created["alembic_version"]
    assert migrated == created


def test_alembic_finds_nothing_to_do_on_a_migrated_database(tmp_path: Path) -> None:
    upgrade_from_nothing(tmp_path / "letta.db")
    with closing(connect_writer(tmp_path / "letta.db", "normal")) as driver, closing(core_connection(driver)) as connection:
        options = {
            # Indexes of words are SQLite's own matter: the test above compares them.
            "include_name": lambda name, kind, _: kind != "table" or "_words" not in name,
            # Those in the order of positions are PostgreSQL's own.
            "include_object": lambda _, name, kind, *__: kind != "index" or not name.endswith("_position"),
        }
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_the_newest_revision_is_the_one_that_the_schema_names() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_migrate_makes_a_database_of_the_newest_revision(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/letta.db"
    assert current_revision(url) is None
    migrate(url)
    assert current_revision(url) == REVISION
    migrate(url)
    assert current_revision(url) == REVISION


def test_a_folder_in_which_no_database_can_be_made_is_found_out_before_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not by the folder's mode: root, who may run this test, would write there all the same.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path or not mode & os.W_OK)
    with pytest.raises(DatabaseUnusableError, match=f"nothing can be made in {re.escape(str(tmp_path))}"):
        current_revision(f"sqlite:///{tmp_path}/letta.db")


async def test_the_runs_of_an_older_database_can_be_taken_over(tmp_path: Path) -> None:
    clock, path = FakeClock(), tmp_path / "letta.db"
    async with opened(path, clock) as file:
        claim = await running(file.world)
    with closing(sqlite3.connect(path)) as driver, driver:
        driver.execute("DROP TABLE removals")
        driver.execute("DROP INDEX ix_runs_turns")
        driver.execute("ALTER TABLE runs DROP COLUMN taken_over_at")
        driver.execute("ALTER TABLE runs DROP COLUMN idle_attempts")
        driver.execute("UPDATE alembic_version SET version_num = '0001'")
    async with opened(path, clock) as file:
        (taken,) = await file.database.leases.take_over(clock.now())
    assert (taken.run.id, taken.idle_attempts) == (claim.run.id, 0)
    assert current_revision(f"sqlite:///{path}") == REVISION


async def test_migrate_keeps_away_from_a_database_that_is_served(tmp_path: Path) -> None:
    async with opened(tmp_path / "letta.db", FakeClock()):
        url = f"sqlite:///{tmp_path}/letta.db"
        assert await asyncio.to_thread(current_revision, url) == REVISION
        with pytest.raises(DatabaseInUseError):
            await asyncio.to_thread(migrate, url)


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/letta.db"
    migrate(url)
    with closing(sqlite3.connect(tmp_path / "letta.db")) as driver, driver:
        driver.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseUnusableError, match="newer letta-grpc"):
        migrate(url)


async def test_opening_a_current_database_imports_no_alembic(tmp_path: Path) -> None:
    migrate(f"sqlite:///{tmp_path}/letta.db")
    script = f"""
import asyncio, sys
from letta_grpc.testing.clocks import FakeClock
from tests.support.sqlite_worlds import opened
from pathlib import Path
async def main():
    async with opened(Path({str(tmp_path / "letta.db")!r}), FakeClock()):
        print(sorted(name for name in sys.modules if name.startswith("alembic")))
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=-1)
    async with asyncio.timeout(30):
        out, _ = await process.communicate()
    assert out.decode().strip() == "[]"
