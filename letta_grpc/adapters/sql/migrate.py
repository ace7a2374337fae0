"""Bringing a database up to date without serving it."""

from contextlib import closing

from letta_grpc.adapters.sql.migrations import ensure_current, revision_of
from letta_grpc.adapters.sql.schema import REVISION
from letta_grpc.adapters.sql.sqlite.connections import clear_errors, connect_reader, connect_writer, core_connection, path_of
from letta_grpc.adapters.sql.sqlite.file_lock import FileLock


def migrate(url: str) -> str:
    """Make a database or upgrade it to the newest schema; return that revision.

    Raises DatabaseInUseError while a server has it, DatabaseUnusableError.
    """
    path = path_of(url)
    with clear_errors(path):
        lock = FileLock(path)
        try:
            with closing(connect_writer(path, "full")) as driver, closing(core_connection(driver)) as connection:
                ensure_current(connection, path)
        finally:
            lock.release()
    return REVISION


def current_revision(url: str) -> str | None:
    """Return the revision of a database's schema; None if there is no database yet. A server may have it open."""
    path = path_of(url)
    if not path.exists():
        return None
    with clear_errors(path), closing(connect_reader(path)) as driver, closing(core_connection(driver)) as connection:
        return revision_of(connection)
