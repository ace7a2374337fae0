"""What is asked of the file without serving it."""

import os
from contextlib import closing

from letta_grpc.adapters.sql.failures import DatabaseUnusableError
from letta_grpc.adapters.sql.migrations import check_usable, ensure_current
from letta_grpc.adapters.sql.sqlite.connections import SqliteConnection, clear_errors, connect_reader, connect_writer, path_of
from letta_grpc.adapters.sql.sqlite.file_lock import FileLock


def migrate(url: str) -> None:
    """Make a database or upgrade it to the newest schema.

    Raises DatabaseInUseError while a server has it, DatabaseUnusableError.
    """
    path = path_of(url)
    with clear_errors(path):
        lock = FileLock(path)
        try:
            with closing(SqliteConnection(connect_writer(path, "full"))) as connection:
                ensure_current(connection, path)
        finally:
            lock.release()


def current_revision(url: str) -> str | None:
    """Return the revision of a database's schema; None if there is no database yet. A server may have it open.

    Raises DatabaseUnusableError for what no server would start on, and for a file that has come to harm.
    """
    path = path_of(url)
    if not path.exists():
        folder = path.absolute().parent
        if not folder.is_dir():
            raise DatabaseUnusableError(f"The database {path} cannot be used: there is no folder {path.parent}.")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise DatabaseUnusableError(f"The database {path} cannot be used: nothing can be made in {folder}.")
        return None
    with clear_errors(path), closing(SqliteConnection(connect_reader(path))) as connection:
        revision = check_usable(connection.core, path)
        (said,) = connection.driver.execute("PRAGMA quick_check(1)").fetchone()
    if said != "ok":
        raise DatabaseUnusableError(f"The database {path} is damaged: {said}.")
    return revision


def check_free(url: str) -> None:
    """Raise DatabaseInUseError while a server has the database."""
    path = path_of(url).resolve()
    # Taking the lock would make both files.
    if path.exists() and path.with_name(f"{path.name}.lock").exists():
        FileLock(path).release()


def weaknesses(_url: str) -> list[str]:
    """Return nothing: how a file is written is this server's own setting."""
    return []
