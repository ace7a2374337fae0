"""Statements on a plain `sqlite3` connection."""

import sqlite3
from collections.abc import Generator

from sqlalchemy import FromClause
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.sql.dml import UpdateBase

from letta_grpc.adapters.sql.compiled import CompiledStatements
from letta_grpc.adapters.sql.rows import Row, Values
from letta_grpc.adapters.sql.session import Query


class HintingCompiler(SQLiteCompiler):
    """Writes what `with_hint` says of a table behind its name, where SQLite takes `INDEXED BY`."""

    def get_from_hint_text(self, table: FromClause, text: str | None) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return it."""
        return text


_DIALECT = sqlite.dialect(paramstyle="named")
_DIALECT.statement_compiler = HintingCompiler
_statements = CompiledStatements(_DIALECT)


class SqliteSession:
    """A Session on a driver connection. Whoever gives it the connection begins and ends the transaction."""

    def __init__(self, driver: sqlite3.Connection) -> None:
        self._driver = driver

    def _run(self, statement: Query | UpdateBase, values: Values) -> sqlite3.Cursor:
        return self._driver.execute(*_statements.bound(statement, values))

    def fetch(self, query: Query | UpdateBase, values: Values) -> list[Row]:
        """Return all rows."""
        return self._run(query, values).fetchall()

    def first(self, query: Query | UpdateBase, values: Values) -> Row | None:
        """Return the first row, None if there is none."""
        rows = self._run(query, values).fetchall()
        return rows[0] if rows else None

    def each(self, query: Query, values: Values) -> Generator[Row, None, None]:
        """Yield rows as they are read; close it to leave the rest unread."""
        cursor = self._run(query, values)
        try:
            yield from cursor
        finally:
            cursor.close()

    def execute(self, statement: UpdateBase, values: Values) -> int:
        """Run a statement; return how many rows it met."""
        return self._run(statement, values).rowcount
