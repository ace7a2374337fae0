"""What an index of words keeps, and what it asks of a database."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Select


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept of the row at a position: whose it is, and its words in their order."""

    position: int
    owners: Sequence[str]
    words: Sequence[str]


class KeptWords(Protocol):
    """The words of one table's rows, as one kind of database keeps them."""

    def last(self, connection: Connection) -> int:
        """Return the highest position of which words are kept; 0 if there is none."""
        ...

    def put(self, connection: Connection, entries: Sequence[Entry]) -> None:
        """Keep the words of rows, in place of what was kept of them before."""
        ...

    def narrowed(
        self, query: Select[Any], position: ColumnElement[int], phrases: Sequence[Sequence[str]], owner: str | None
    ) -> Select[Any]:
        """Narrow a query to rows that have all phrases, the owner's if one is given, the best first."""
        ...
