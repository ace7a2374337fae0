"""Connections to the database, and what is done with one."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from select import POLLIN, poll
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.types.string import StrDumper
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from letta_grpc.adapters.sql.connection import DatabaseConnection
from letta_grpc.adapters.sql.failures import DatabaseUnusableError, is_clear, without_password
from letta_grpc.adapters.sql.postgres.session import PostgresSession

Driver = psycopg.Connection[tuple[object, ...]]

OLDEST_VERSION = 14

# What a URL may say otherwise. A machine that is gone is found out about within half a minute, by both ends: until then its
# lock keeps others from taking its place.
_DEFAULTS = {
    "application_name": "letta-grpc",
    "connect_timeout": "10",
    "target_session_attrs": "read-write",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}
_SESSION = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "25000",
    # Each of them would end a connection that only waits, and with it the lock.
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "statement_timeout": "0",
    # Statements take microseconds; compiling one takes a tenth of a second.
    "jit": "off",
}
_SET = "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS given (name, value)"


class _TextDumper(StrDumper):
    """Text as PostgreSQL takes it: it has no NUL, and gets the sign for it."""

    def dump(self, obj: str) -> bytes | None:
        """Return the text's bytes."""
        return super().dump(obj.replace("\0", "\N{SYMBOL FOR NULL}") if "\0" in obj else obj)  # type: ignore[return-value]


@contextmanager
def clear_errors(url: str) -> Iterator[None]:
    """Turn what PostgreSQL says about the database into DatabaseUnusableError."""
    try:
        yield
    except (psycopg.Error, DBAPIError) as error:
        said = " ".join(str(error.orig if isinstance(error, DBAPIError) else error).split())
        raise DatabaseUnusableError(f"The database {without_password(url)} cannot be used: {said.rstrip('.?')}.") from error


def connect(url: str) -> Driver:
    """Open a connection. Raises DatabaseUnusableError, psycopg.Error."""
    driver = psycopg.connect(make_conninfo("", **(_DEFAULTS | _options_of(url))), autocommit=True)
    try:
        _check(driver, url)
        driver.execute(_SET, (list(_SESSION), list(_SESSION.values())))
    except BaseException:
        driver.close()
        raise
    driver.adapters.register_dumper(str, _TextDumper)
    return driver


def _options_of(url: str) -> dict[str, Any]:
    told = without_password(url)
    if not is_clear(url):
        raise DatabaseUnusableError(
            f"The database {told} cannot be used: its URL cannot be read. It should look like "
            "postgresql://user:password@host:5432/name, where @ / : ? % in a name or a password are %40 %2F %3A %3F %25."
        )
    try:
        return conninfo_to_dict(url)
    except psycopg.Error as error:
        # It quotes what it could not read, which may be of the password.
        said = str(error).partition(': "')[0]
        raise DatabaseUnusableError(f"The database {told} cannot be used: its URL cannot be read: {said}.") from None


def _check(driver: Driver, url: str) -> None:
    told = without_password(url)
    if driver.info.server_version // 10_000 < OLDEST_VERSION:
        raise DatabaseUnusableError(f"The database {told} cannot be used: it has to be PostgreSQL {OLDEST_VERSION} or newer.")
    encoding = driver.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise DatabaseUnusableError(f"The database {told} cannot be used: its encoding is {encoding}, and has to be UTF8.")


def weaknesses(driver: Driver) -> list[str]:
    """Return the settings by which a commit may be lost that was reported as done, in words."""
    names = ["fsync", "full_page_writes", "synchronous_commit"]
    rows = driver.execute("SELECT name FROM pg_settings WHERE setting = 'off' AND name = ANY(%s) ORDER BY 1", (names,))
    return [f"PostgreSQL has {name} = off: events that were seen may be lost when it crashes" for (name,) in rows]


def _core_connection(driver: Driver) -> Connection:
    # A failed statement is logged; its parameters are what people said, and their secrets.
    engine = create_engine("postgresql+psycopg://", creator=lambda: driver, poolclass=StaticPool, hide_parameters=True)
    return engine.connect().execution_options(isolation_level="AUTOCOMMIT")


class PostgresConnection(DatabaseConnection):
    """A connection to PostgreSQL."""

    BEGIN = "BEGIN"
    BEGIN_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
    # As often as a server that stands by looks for its chance: until then two have readers, one of them in vain.
    look_seconds = 0.5

    def __init__(self, driver: Driver) -> None:
        self._counting = PostgresSession(driver)
        super().__init__(driver, psycopg.Error, self._counting, _core_connection(driver))
        self.driver = driver

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open: after an error PostgreSQL lets it only be undone."""
        return self.driver.info.transaction_status is TransactionStatus.INTRANS

    @property
    def changed_rows(self) -> int:
        """How many rows the session has changed so far."""
        return self._counting.changed_rows

    @property
    def is_lost(self) -> bool:
        """Whether it has come to its end; also if nobody has asked anything since, as what is to be read of it tells."""
        if not self.driver.closed and self.driver.info.transaction_status is TransactionStatus.IDLE and self._has_news():
            with suppress(psycopg.Error):
                self.driver.execute("")
        return self.driver.closed

    def _has_news(self) -> bool:
        socket = poll()
        socket.register(self.driver, POLLIN)
        return bool(socket.poll(0))

    def rollback(self) -> None:
        """Undo the transaction, if one is open."""
        if self.driver.info.transaction_status is not TransactionStatus.IDLE:
            with suppress(psycopg.Error):
                self.driver.execute("ROLLBACK")

    def one_statement(self) -> AbstractContextManager[None]:
        """Let the transaction go on where the one statement within raises: PostgreSQL lets it only be undone."""
        return self.savepoint()
