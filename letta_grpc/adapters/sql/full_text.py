"""Finding rows by words, with SQLite's FTS5. What another database does instead goes here, behind the same names.

`letta_grpc.domain.words` says what a word is, so that every store finds the same; FTS5 takes the words as they come and only
counts and ranks them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnClause,
    Connection,
    Integer,
    Select,
    column,
    func,
    literal_column,
    table,
    text,
)

from letta_grpc.adapters.sql.database import Database
from letta_grpc.adapters.sql.rows import Row
from letta_grpc.adapters.sql.session import Query
from letta_grpc.domain.words import words_of

# So many rows are put into an index by one transaction: runs that write meanwhile wait for it.
_BATCH = 200
_Entry = dict[str, object]
# A row, and what the index keeps of it.
_Found = tuple[Row, _Entry]


@dataclass(frozen=True, slots=True)
class WordIndex:
    """The index of one table's words.

    `source` selects position, owners' ids and, last, what `text_of` makes the text of. Rows enter in the order of their
    position, when a search needs them; so what is indexed is always everything up to some position.
    """

    name: str
    source: Query
    text_of: Callable[[Any], str]

    async def catch_up(self, database: Database) -> None:
        """Take in the rows that were written since the last search."""
        while found := await database.read(self._missing):
            await database.write(lambda connection, found=found: self._add(connection, found))  # type: ignore[misc]  # mypy does not infer a default
            if len(found) < _BATCH:
                return

    def replace(self, connection: Connection, position: int) -> None:
        """Take in a row that was changed, if it had been taken in before."""
        if position <= self._last(connection):
            where = self.source.selected_columns[0] == position
            self._add(connection, self._read(connection, self.source.where(where)))

    def narrowed(self, query: Select[Any], phrases: Sequence[Sequence[str]], owner: str | None) -> Select[Any]:
        """Narrow a query of the indexed table to rows that have all phrases, the owner's if one is given, the best first."""
        index = table(self.name, column("rowid", Integer))
        whole: ColumnClause[str] = literal_column(self.name)
        wanted = " ".join(f'"{" ".join(phrase)}"*' for phrase in phrases)
        theirs = f'owners : "{_token(owner)}" AND ' if owner else ""
        match = whole.op("MATCH")(f"{theirs}words : ({wanted})")
        position = self.source.selected_columns[0]
        # Owners narrow, and say nothing about how well a row fits.
        return query.join(index, index.c.rowid == position).where(match).order_by(func.bm25(whole, 0.0, 1.0))

    def _last(self, connection: Connection) -> int:
        newest = text(f"SELECT rowid FROM {self.name} ORDER BY rowid DESC LIMIT 1")  # noqa: S608 - a name of ours
        return connection.execute(newest).scalar() or 0

    def _missing(self, connection: Connection) -> Sequence[_Found]:
        position = self.source.selected_columns[0]
        return self._read(connection, self.source.where(position > self._last(connection)).order_by(position).limit(_BATCH))

    def _read(self, connection: Connection, query: Query) -> Sequence[_Found]:
        return [(row, self._entry(row)) for row in connection.execute(query)]

    def _entry(self, row: Row) -> _Entry:
        position, *owners, raw = row
        return {
            "the_position": position,
            "owners": " ".join(_token(owner) for owner in owners),
            "words": " ".join(words_of(self.text_of(raw))),
        }

    def _add(self, connection: Connection, found: Sequence[_Found]) -> None:
        # Another search may have been quicker, and a row may have been changed since it was read, or be gone.
        known = {row[0]: (row, entry) for row, entry in found}
        here = self.source.where(self.source.selected_columns[0].in_(list(known)))
        entries = []
        for now in connection.execute(here):
            row, entry = known[now[0]]
            entries.append(entry if now == row else self._entry(now))
        if entries:
            values = "VALUES (:the_position, :owners, :words)"
            connection.execute(text(f"INSERT OR REPLACE INTO {self.name} (rowid, owners, words) {values}"), entries)


def _token(owner: str) -> str:
    """Return an id as one word."""
    return owner.replace("-", "").lower()
