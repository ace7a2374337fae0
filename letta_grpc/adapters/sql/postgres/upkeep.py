"""What is asked of the database without serving it."""

from contextlib import closing

from letta_grpc.adapters.sql.failures import without_password
from letta_grpc.adapters.sql.migrations import check_usable, ensure_current
from letta_grpc.adapters.sql.postgres import connections, lock
from letta_grpc.adapters.sql.postgres.connections import PostgresConnection, clear_errors, connect


def migrate(url: str) -> None:
    """Make the tables or upgrade them to the newest schema.

    Raises DatabaseInUseError while a server has it, DatabaseUnusableError.
    """
    with clear_errors(url), closing(PostgresConnection(connect(url))) as connection:
        lock.take_lock(connection.driver, url)
        ensure_current(connection, without_password(url))


def current_revision(url: str) -> str | None:
    """Return the revision of the database's schema; None if it has no tables yet. A server may have it open.

    Raises DatabaseUnusableError for what no server would start on.
    """
    with clear_errors(url), closing(PostgresConnection(connect(url))) as connection:
        return check_usable(connection.core, without_password(url))


def check_free(url: str) -> None:
    """Raise DatabaseInUseError while a server has the database."""
    with clear_errors(url), closing(connect(url)) as driver:
        lock.check_free(driver, url)


def weaknesses(url: str) -> list[str]:
    """Return the settings by which a promise is weakened, in words."""
    with clear_errors(url), closing(connect(url)) as driver:
        return connections.weaknesses(driver)
