"""Connections to the file, and what is done with one."""

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import StaticPool

from letta_grpc.adapters.sql.connection import DatabaseConnection
from letta_grpc.adapters.sql.failures import DatabaseUnusableError, without_password
from letta_grpc.adapters.sql.sqlite.session import HintingCompiler, SqliteSession

Sync = Literal["normal", "full"]

# What the write-ahead log shrinks to once it has been copied into the file.
WAL_BYTES = 4 * 2**20


def path_of(url: str) -> Path:
    """Return the file of a `sqlite:///…` URL."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        # A ValueError is about its port.
        told = without_password(url)
        raise DatabaseUnusableError(f"{told!r} is not a database URL: it should look like sqlite:///letta.db.") from error
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        told = without_password(url)
        raise DatabaseUnusableError(f"{told!r} names no SQLite file: it should look like sqlite:///letta.db.")
    if parsed.host or parsed.query:
        # They would have no effect, and with a slash less than it takes a folder is read as a host.
        told = without_password(url)
        raise DatabaseUnusableError(f"{told!r} says more than a file's path: it should look like sqlite:///letta.db.")
    return Path(str(parsed.database))


@contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite says about the file into DatabaseUnusableError."""
    try:
        yield
    except (sqlite3.Error, DBAPIError) as error:
        said = error.orig if isinstance(error, DBAPIError) else error
        raise DatabaseUnusableError(f"The database {path} cannot be used: {said}.") from error


def connect_writer(path: Path, sync: Sync) -> sqlite3.Connection:
    """Open the connection that writes."""
    return _connect(
        path,
        "journal_mode = wal",
        f"synchronous = {sync}",
        "foreign_keys = on",
        # Copying the log into the file is the checkpointer's work: on the writer's path everyone would wait for the disk.
        "wal_autocheckpoint = 0",
        f"journal_size_limit = {WAL_BYTES}",
    )


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open a connection that cannot write."""
    return _connect(path, "query_only = on")


def connect_checkpointer(path: Path, sync: Sync) -> sqlite3.Connection:
    """Open the connection that copies the write-ahead log into the file."""
    return _connect(path, f"synchronous = {sync}", "wal_autocheckpoint = 0")


def _connect(path: Path, *pragmas: str) -> sqlite3.Connection:
    # isolation_level None: the driver begins no transaction of its own.
    driver = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        for pragma in pragmas:
            driver.execute(f"PRAGMA {pragma}")
    except BaseException:
        driver.close()
        raise
    return driver


def core_connection(driver: sqlite3.Connection) -> Connection:
    """Return a SQLAlchemy connection over an open driver connection. It begins and ends nothing by itself."""
    # A failed statement is logged; its parameters are what people said, and their secrets.
    engine = create_engine("sqlite://", creator=lambda: driver, poolclass=StaticPool, hide_parameters=True)
    engine.dialect.statement_compiler = HintingCompiler
    return engine.connect().execution_options(isolation_level="AUTOCOMMIT")


class SqliteConnection(DatabaseConnection):
    """A connection to the file. It lasts: what fails is the disk, and the next statement may succeed."""

    BEGIN = "BEGIN IMMEDIATE"
    BEGIN_SNAPSHOT = "BEGIN"

    def __init__(self, driver: sqlite3.Connection) -> None:
        super().__init__(driver, sqlite3.Error, SqliteSession(driver), core_connection(driver))
        self.driver = driver

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open: after some errors SQLite has undone it by itself."""
        return self.driver.in_transaction

    @property
    def changed_rows(self) -> int:
        """How many rows have been changed so far."""
        return self.driver.total_changes

    def rollback(self) -> None:
        """Undo the transaction, if one is open."""
        if self.driver.in_transaction:
            self.driver.execute("ROLLBACK")

    def one_statement(self) -> AbstractContextManager[None]:
        """Let the transaction go on where the one statement within raises: it is all or nothing by itself."""
        return nullcontext()
