"""The lock that makes a database file one server's own."""

import fcntl
import os
import sys
from pathlib import Path

from letta_grpc.adapters.sql.failures import DatabaseInUseError, DatabaseUnusableError

# Elsewhere a lock on the database as a whole would shut out SQLite's own locks on parts of it.
_LOCKS_DATABASE = sys.platform == "linux"


class FileLock:
    """Held by open files: the system lets go of it when the process ends, however it ends.

    One lies beside the database and tells who holds the lock; it stays, for what is removed and made again is another file.
    The other is the database's own, whatever name it was opened by: a link to it is no other database. To be released
    behind all connections: SQLite's locks on a file end when the process closes it anywhere.
    """

    def __init__(self, database: Path) -> None:
        real = database.resolve()
        beside = real.with_name(f"{real.name}.lock")
        self._files: list[int] = []
        try:
            for path in (beside, real) if _LOCKS_DATABASE else (beside,):
                self._files.append(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
                fcntl.flock(self._files[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.truncate(self._files[0], 0)
            os.pwrite(self._files[0], f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError as error:
            holder = os.pread(self._files[0], 20, 0).decode(errors="replace").strip() or "unknown"
            self.release()
            raise DatabaseInUseError(f"The database {database} is in use by another server (process {holder}).") from error
        except OSError as error:
            self.release()
            path = error.filename or beside
            raise DatabaseUnusableError(f"The database {database} cannot be used: {path}: {error.strerror}.") from error

    def release(self) -> None:
        """Let another server have the database."""
        for file in self._files:
            os.close(file)
