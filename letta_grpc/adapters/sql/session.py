"""Executing the statements of `queries.py`: the one thing that databases do differently on the hot path."""

from collections.abc import Generator
from typing import Any, Protocol

from sqlalchemy import Select
from sqlalchemy.sql.dml import UpdateBase

from letta_grpc.adapters.sql.rows import Row, Values

Query = Select[*tuple[Any, ...]]


class Session(Protocol):
    """A transaction that statements run in."""

    def fetch(self, query: Query | UpdateBase, values: Values) -> list[Row]:
        """Return all rows."""
        ...

    def first(self, query: Query | UpdateBase, values: Values) -> Row | None:
        """Return the first row, None if there is none."""
        ...

    def each(self, query: Query, values: Values) -> Generator[Row, None, None]:
        """Yield rows as they are read; close it to leave the rest unread."""
        ...

    def execute(self, statement: UpdateBase, values: Values) -> int:
        """Run a statement; return how many rows it met."""
        ...
