"""The lock that makes a database file one server's own."""

import fcntl
import os
from pathlib import Path

from letta_grpc.adapters.sql.failures import DatabaseInUseError, DatabaseUnusableError


class FileLock:
    """Held by an open file beside the database: the system lets go of it when the process ends, however it ends."""

    def __init__(self, database: Path) -> None:
        path = database.with_name(f"{database.name}.lock")
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DatabaseUnusableError(f"The database {database} cannot be used: {path}: {error.strerror}.") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._file, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise DatabaseInUseError(f"The database {database} is in use by another server (process {holder}).") from error
        os.truncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another server have the file. The lock's own file stays: removing it would let two hold a lock of one name."""
        os.close(self._file)
