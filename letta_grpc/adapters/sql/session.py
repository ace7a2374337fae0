"""Executing the statements of `queries.py`: the one thing that databases do differently on the hot path."""

from abc import ABC, abstractmethod
from collections.abc import Generator
from typing import Any, Protocol

from sqlalchemy import Select
from sqlalchemy.sql.dml import UpdateBase

from letta_grpc.adapters.sql.rows import Row, Values

Query = Select[*tuple[Any, ...]]


class Cursor(Protocol):
    """What a driver gives for a statement."""

    @property
    def rowcount(self) -> int:
        """How many rows it met."""
        ...

    def fetchall(self) -> list[Any]:
        """Return all rows."""
        ...


class Session(ABC):
    """A driver's connection, for the statements that are compiled once. Whoever gives it begins and ends the transaction."""

    @abstractmethod
    def _run(self, statement: Query | UpdateBase, values: Values) -> Cursor: ...

    @abstractmethod
    def each(self, query: Query, values: Values) -> Generator[Row, None, None]:
        """Yield rows as they are read; close it to leave the rest unread."""

    def fetch(self, query: Query | UpdateBase, values: Values) -> list[Row]:
        """Return all rows."""
        return self._run(query, values).fetchall()

    def first(self, query: Query | UpdateBase, values: Values) -> Row | None:
        """Return the first row, None if there is none."""
        rows = self._run(query, values).fetchall()
        return rows[0] if rows else None

    def execute(self, statement: UpdateBase, values: Values) -> int:
        """Run a statement; return how many rows it met."""
        return self._run(statement, values).rowcount
