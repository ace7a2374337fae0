"""Opening the file."""

from contextlib import AbstractAsyncContextManager, ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path

from letta_grpc.adapters.sql.journal.readers import Readers
from letta_grpc.adapters.sql.migrations import ensure_current
from letta_grpc.adapters.sql.open_database import DEFAULT_LEASE_TIME, OpenDatabase, Parts, opened, read_parts
from letta_grpc.adapters.sql.sqlite.checkpoints import Checkpointer
from letta_grpc.adapters.sql.sqlite.connections import (
    SqliteConnection,
    Sync,
    clear_errors,
    connect_reader,
    connect_writer,
    path_of,
)
from letta_grpc.adapters.sql.sqlite.file_lock import FileLock
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.codec import EventCodec


def open_sqlite(
    url: str, *, codec: EventCodec, clock: Clock, sync: Sync = "normal", lease_time: timedelta = DEFAULT_LEASE_TIME
) -> AbstractAsyncContextManager[OpenDatabase]:
    """Open the file of a `sqlite:///…` URL; make it if there is none, and bring an older one up to date.

    Raises DatabaseUnusableError, DatabaseInUseError. With `sync="full"` what is durable also survives a loss of power.
    """
    return opened(partial(_open, path_of(url), codec, sync), clock, lease_time)


def _open(path: Path, codec: EventCodec, sync: Sync) -> Parts:
    with ExitStack() as stack, clear_errors(path):
        stack.callback(FileLock(path).release)
        writer = SqliteConnection(connect_writer(path, sync))
        stack.callback(writer.close)
        ensure_current(writer, path)
        # From here on only a checkpoint can keep the writer waiting, for a reader that is just looking at an old state.
        writer.driver.execute("PRAGMA busy_timeout = 100")
        readers = Readers(lambda: SqliteConnection(connect_reader(path)))
        stack.callback(readers.close)
        checkpointer = Checkpointer(path, sync, writer.driver)
        stack.callback(checkpointer.close)
        return read_parts(writer, readers, codec, checkpointer.committed, stack)
    raise AssertionError("unreachable")  # ExitStack may swallow an exception, as far as type checkers know.
