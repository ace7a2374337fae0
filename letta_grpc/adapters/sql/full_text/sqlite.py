"""Words in SQLite's FTS5."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnClause, ColumnElement, Connection, Integer, Select, column, func, literal_column, table, text

from letta_grpc.adapters.sql.full_text.entries import Entry


class SqliteWords:
    """A virtual table: `rowid` is the position."""

    def __init__(self, name: str) -> None:
        self._name = name

    def last(self, connection: Connection) -> int:
        """Return the highest position of which words are kept."""
        newest = text(f"SELECT rowid FROM {self._name} ORDER BY rowid DESC LIMIT 1")  # noqa: S608 - a name of ours
        return connection.execute(newest).scalar() or 0

    def put(self, connection: Connection, entries: Sequence[Entry]) -> None:
        """Keep the words of rows."""
        values = "VALUES (:the_position, :owners, :words)"
        rows = [
            {
                "the_position": entry.position,
                "owners": " ".join(map(_token, entry.owners)),
                "words": " ".join(entry.words),
            }
            for entry in entries
        ]
        connection.execute(text(f"INSERT OR REPLACE INTO {self._name} (rowid, owners, words) {values}"), rows)

    def narrowed(
        self, query: Select[Any], position: ColumnElement[int], phrases: Sequence[Sequence[str]], owner: str | None
    ) -> Select[Any]:
        """Narrow a query to rows that have all phrases, the owner's if one is given, the best first."""
        index = table(self._name, column("rowid", Integer))
        whole: ColumnClause[str] = literal_column(self._name)
        wanted = " ".join(f'"{" ".join(phrase)}"*' for phrase in phrases)
        theirs = f'owners : "{_token(owner)}" AND ' if owner else ""
        match = whole.op("MATCH")(f"{theirs}words : ({wanted})")
        # Owners narrow, and say nothing about how well a row fits.
        return query.join(index, index.c.rowid == position).where(match).order_by(func.bm25(whole, 0.0, 1.0))


def _token(owner: str) -> str:
    """Return an id as one word."""
    return owner.replace("-", "").lower()
