"""Opening the database."""

import logging
from contextlib import AbstractAsyncContextManager, ExitStack
from datetime import timedelta
from functools import partial

from letta_grpc.adapters.sql.failures import without_password
from letta_grpc.adapters.sql.journal.readers import Readers
from letta_grpc.adapters.sql.migrations import ensure_current
from letta_grpc.adapters.sql.open_database import DEFAULT_LEASE_TIME, OpenDatabase, Parts, opened, read_parts
from letta_grpc.adapters.sql.postgres.connections import PostgresConnection, clear_errors, connect, weaknesses
from letta_grpc.adapters.sql.postgres.lock import take_lock
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.codec import EventCodec

logger = logging.getLogger(__name__)


def open_postgres(
    url: str, *, codec: EventCodec, clock: Clock, lease_time: timedelta = DEFAULT_LEASE_TIME
) -> AbstractAsyncContextManager[OpenDatabase]:
    """Open the database of a `postgresql://…` URL; make the tables if there are none, and bring older ones up to date.

    Raises DatabaseUnusableError, DatabaseInUseError. What is durable survives what the database survives.
    """
    return opened(partial(_open, url, codec), clock, lease_time)


def _open(url: str, codec: EventCodec) -> Parts:
    with ExitStack() as stack, clear_errors(url):
        writer = PostgresConnection(connect(url))
        stack.callback(writer.close)
        take_lock(writer.driver, url)
        ensure_current(writer, without_password(url))
        for weakness in weaknesses(writer.driver):
            logger.warning("%s", weakness)
        readers = Readers(lambda: PostgresConnection(connect(url)))
        stack.callback(readers.close)
        return read_parts(writer, readers, codec, lambda: None, stack)
    raise AssertionError("unreachable")  # ExitStack may swallow an exception, as far as type checkers know.
