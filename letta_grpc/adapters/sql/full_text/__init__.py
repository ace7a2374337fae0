"""Finding rows by words: what all databases share. How each keeps the words is in the file that has its name.

`letta_grpc.domain.words` says what a word is, so that every store finds the same; a database takes the words as they come and
only counts and ranks them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, Select

from letta_grpc.adapters.sql.database import Database
from letta_grpc.adapters.sql.full_text.entries import Entry, KeptWords
from letta_grpc.adapters.sql.full_text.sqlite import SqliteWords
from letta_grpc.adapters.sql.rows import Row
from letta_grpc.adapters.sql.session import Query
from letta_grpc.domain.words import words_of

# So many rows are put into an index by one transaction: runs that write meanwhile wait for it.
_BATCH = 200
# A row, and what the index keeps of it.
_Found = tuple[Row, Entry]


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
            await database.write(partial(self._add, found))
            if len(found) < _BATCH:
                return

    def replace(self, connection: Connection, position: int) -> None:
        """Take in a row that was changed, if it had been taken in before."""
        if position <= self._kept(connection).last(connection):
            where = self.source.selected_columns[0] == position
            self._add(self._read(connection, self.source.where(where)), connection)

    def narrowed(
        self, connection: Connection, query: Select[Any], phrases: Sequence[Sequence[str]], owner: str | None
    ) -> Select[Any]:
        """Narrow a query of the indexed table to rows that have all phrases, the owner's if one is given, the best first."""
        return self._kept(connection).narrowed(query, self.source.selected_columns[0], phrases, owner)

    def _kept(self, connection: Connection) -> KeptWords:
        if connection.dialect.name == "sqlite":
            return SqliteWords(self.name)
        from letta_grpc.adapters.sql.full_text.postgres import PostgresWords  # noqa: PLC0415 - SQLite's start does without

        return PostgresWords(self.name)

    def _missing(self, connection: Connection) -> Sequence[_Found]:
        position, last = self.source.selected_columns[0], self._kept(connection).last(connection)
        return self._read(connection, self.source.where(position > last).order_by(position).limit(_BATCH))

    def _read(self, connection: Connection, query: Query) -> Sequence[_Found]:
        return [(row, self._entry(row)) for row in connection.execute(query)]

    def _entry(self, row: Row) -> Entry:
        position, *owners, raw = row
        return Entry(position, owners, words_of(self.text_of(raw)))

    def _add(self, found: Sequence[_Found], connection: Connection) -> None:
        # Another search may have been quicker, and a row may have been changed since it was read, or be gone.
        known = {row[0]: (row, entry) for row, entry in found}
        here = self.source.where(self.source.selected_columns[0].in_(list(known)))
        entries = []
        for now in connection.execute(here):
            row, entry = known[now[0]]
            entries.append(entry if now == row else self._entry(now))
        if entries:
            self._kept(connection).put(connection, entries)
