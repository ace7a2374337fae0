"""Statements on a plain `sqlite3` connection."""

import sqlite3
from collections.abc import Generator

from sqlalchemy import FromClause
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.sql.dml import UpdateBase

from letta_grpc.adapters.sql.compiled import CompiledStatements
from letta_grpc.adapters.sql.rows import Row, Values
from letta_grpc.adapters.sql.session import Query, Session


class HintingCompiler(SQLiteCompiler):
    """Writes what `with_hint` says of a table behind its name, where SQLite takes `INDEXED BY`."""

    def get_from_hint_text(self, table: FromClause, text: str | None) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return it."""
        return text


_DIALECT = sqlite.dialect(paramstyle="named")
_DIALECT.statement_compiler = HintingCompiler
_statements = CompiledStatements(_DIALECT)


class SqliteSession(Session):
    """A Session on a `sqlite3` connection."""

    def __init__(self, driver: sqlite3.Connection) -> None:
        self._driver = driver

    def _run(self, statement: Query | UpdateBase, values: Values) -> sqlite3.Cursor:
        return self._driver.execute(*_statements.bound(statement, values))

    def each(self, query: Query, values: Values) -> Generator[Row, None, None]:
        """Yield rows as they are read; close it to leave the rest unread."""
        cursor = self._run(query, values)
        try:
            yield from cursor
        finally:
            cursor.close()
