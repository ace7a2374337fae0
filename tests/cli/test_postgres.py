"""Commands on PostgreSQL: what they say of a database, good or bad, and never its password."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from letta_grpc.adapters.sql.backends import backend_of
from letta_grpc.adapters.sql.failures import DatabaseUnusableError
from letta_grpc.client import Client
from tests.requirements.registry import requirement
from tests.support.postgres import PostgresServer
from tests.support.server_process import letta_grpc, serving_process

SECRET = "s3cret"


@pytest.fixture
def url(postgres_url: str) -> str:
    return with_password(postgres_url)


def with_password(url: str) -> str:
    return url.replace("letta@", f"letta:{SECRET}@")


@contextmanager
def made(postgres: PostgresServer, *statements: str) -> Iterator[str]:
    """A database in which something is."""
    with postgres.database() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())
        yield url


def refused(url: str, *flags: str) -> str:
    """What `serve` says, in its one line."""
    result = letta_grpc("serve", "--listen", "127.0.0.1:0", "--database", url, *flags)
    assert (result.returncode, result.stdout) == (5, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("letta-grpc: ")
    assert SECRET not in line
    return line


def unusable(url: str) -> str:
    """What any command would say in its line."""
    with pytest.raises(DatabaseUnusableError) as error:
        backend_of(url).check_free()
    assert SECRET not in str(error.value)
    return str(error.value)


def beside(url: str, name: str) -> str:
    """The URL of another database on the same server."""
    return f"{url.rpartition('/')[0]}/{name}"


def found(url: str, exit_code: int) -> str:
    result = letta_grpc("doctor", "--json", "--listen", "127.0.0.1:0", "--database", url)
    assert result.returncode == exit_code, result.stdout + result.stderr
    assert SECRET not in result.stdout + result.stderr
    (detail,) = [one["detail"] for one in json.loads(result.stdout) if one["subject"] == "database"]
    return str(detail)


@requirement("told_database")
def test_migrate_makes_a_database_that_can_be_served_and_doctor_tells_its_schema(url: str, tmp_path: Path) -> None:
    assert "is set up at the first start" in found(url, 0)
    migrated = letta_grpc("migrate", "--database", url)
    assert (migrated.returncode, migrated.stderr) == (0, "")
    assert migrated.stdout.endswith(" is up to date\n")
    assert SECRET not in migrated.stdout
    assert "has schema" in found(url, 0)
    with serving_process(tmp_path, "--database", url) as (address, _), Client(address) as client:
        assert list(client.agents.list()) == []
    assert SECRET not in (tmp_path / "server.log").read_text()


@requirement("one_server", "told_database")
def test_a_second_server_refuses_to_start_and_says_who_has_the_database(url: str, tmp_path: Path) -> None:
    with serving_process(tmp_path, "--database", url):
        line = refused(url)
        assert "is in use by another server (at 127.0.0.1, database process " in line
        assert line.endswith("(DATABASE_IN_USE)")
        migrated = letta_grpc("migrate", "--database", url)
        assert (migrated.returncode, migrated.stderr) == (5, f"{line}\n")
        assert "in use by another server" in found(url, 0)


@requirement("standby", "told_database")
@pytest.mark.parametrize("flags", [(), ("--standby",)], ids=["alone", "standing by"])
def test_a_server_that_is_away_is_not_waited_for_by_who_has_never_seen_it(flags: tuple[str, ...]) -> None:
    assert "Connection refused" in refused(with_password("postgresql://letta@127.0.0.1:1/letta"), *flags)


@requirement("told_database")
def test_a_database_of_another_program_is_left_alone(postgres: PostgresServer) -> None:
    with made(postgres, "CREATE TABLE agents (number integer)") as url:
        told = "belongs to another program: it has tables that are not ours. (DATABASE_UNUSABLE)"
        assert told in refused(url)
        assert told in letta_grpc("migrate", "--database", url).stderr
        assert told.removesuffix(" (DATABASE_UNUSABLE)") in found(url, 1)
        with psycopg.connect(url) as connection:
            tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            assert connection.execute(tables).fetchall() == [("agents",)]


@requirement("told_database")
def test_what_is_wrong_with_a_database_is_told_in_its_own_words(postgres: PostgresServer, postgres_url: str) -> None:
    nowhere = beside(postgres_url, "nowhere")
    assert 'database "nowhere" does not exist' in unusable(nowhere)
    assert "its URL cannot be read: invalid URI query parameter" in unusable(f"{nowhere}?application=x")
    with made(postgres, "CREATE DATABASE latin TEMPLATE template0 ENCODING LATIN1 LOCALE 'C' LOCALE_PROVIDER libc") as url:
        try:
            assert "its encoding is LATIN1, and has to be UTF8" in unusable(beside(url, "latin"))
        finally:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("DROP DATABASE latin")


@requirement("told_database")
def test_a_wrong_password_is_told_as_what_it_is(postgres: PostgresServer) -> None:
    reading = "SELECT setting FROM pg_settings WHERE name = 'hba_file'"
    with made(postgres, "CREATE ROLE asked LOGIN PASSWORD 'right'") as url:
        with psycopg.connect(url, autocommit=True) as connection:
            ((rules,),) = connection.execute(reading).fetchall()
            before = Path(str(rules)).read_text()
            Path(str(rules)).write_text(f"host all asked all scram-sha-256\n{before}")
            connection.execute("SELECT pg_reload_conf()")
            try:
                told = unusable(url.replace("letta@", f"asked:{SECRET}@"))
            finally:
                Path(str(rules)).write_text(before)
                connection.execute("SELECT pg_reload_conf()")
                connection.execute("DROP ROLE asked")
        assert 'password authentication failed for user "asked"' in told
