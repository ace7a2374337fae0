"""Statements on a plain psycopg connection."""

from collections.abc import Generator
from typing import Any

from psycopg import Connection, Cursor
from psycopg.pq import TransactionStatus
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.sql.dml import UpdateBase

from letta_grpc.adapters.sql.compiled import CompiledStatements
from letta_grpc.adapters.sql.rows import Row, Values
from letta_grpc.adapters.sql.session import Query, Session

_statements = CompiledStatements(psycopg.dialect())  # type: ignore[no-untyped-call]  # SQLAlchemy's own lack

# How many rows of a long result are fetched at once: segments of 64 KiB.
_ROWS_AT_ONCE = 16


class PostgresSession(Session):
    """A Session on a psycopg connection."""

    def __init__(self, driver: Connection[Any]) -> None:
        self._driver = driver
        self.changed_rows = 0

    def _run(self, statement: Query | UpdateBase, values: Values) -> Cursor[Any]:
        text, bound = _statements.bound(statement, values)
        cursor = self._driver.execute(text.encode(), bound, binary=True)
        if isinstance(statement, UpdateBase):
            self.changed_rows += cursor.rowcount
        return cursor

    def each(self, query: Query, values: Values) -> Generator[Row, None, None]:
        """Yield rows as they are read; close it to leave the rest unread."""
        if self._driver.info.transaction_status is not TransactionStatus.INTRANS:
            # Cursors live within transactions.
            yield from self.fetch(query, values)
            return
        with self._driver.cursor("rows", binary=True) as cursor:
            cursor.itersize = _ROWS_AT_ONCE
            text, bound = _statements.bound(query, values)
            cursor.execute(text.encode(), bound)
            yield from cursor
