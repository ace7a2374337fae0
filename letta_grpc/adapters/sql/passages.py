"""Archival notes."""

from collections.abc import Sequence
from contextlib import closing
from itertools import islice

from sqlalchemy import Connection, select

from letta_grpc.adapters.sql.database import Database
from letta_grpc.adapters.sql.rows import Row, from_json
from letta_grpc.adapters.sql.schema import passages
from letta_grpc.adapters.sql.times import from_micros
from letta_grpc.adapters.sql.words import has_words, narrow, words_of
from letta_grpc.domain.ids import AgentId
from letta_grpc.domain.passages import Passage


class SqlPassageStore:
    """Archival notes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def search(self, agent_id: AgentId, query: str, tags: Sequence[str], limit: int) -> tuple[Passage, ...]:
        """Return the newest notes that have every word of the query and every tag, newest first."""
        wanted = {tag.casefold() for tag in tags}
        return await self._database.read(lambda connection: _search(connection, agent_id, words_of(query), wanted, limit))


def passage_of(row: Row) -> Passage:
    """Return the note of a row of `passages`."""
    _, id_, agent_id, text, tags, _, created = row
    return Passage(id=id_, agent_id=agent_id, text=text, tags=tuple(from_json(tags)), create_time=from_micros(created))


def _search(
    connection: Connection, agent_id: AgentId, words: Sequence[str], tags: set[str], limit: int
) -> tuple[Passage, ...]:
    query = narrow(select(passages).where(passages.c.agent_id == agent_id), passages.c.search_text, words)
    with closing(connection.execute(query.order_by(passages.c.position.desc()))) as rows:
        worded = (passage_of(row) for row in rows if has_words(row.search_text, words))
        return tuple(islice((passage for passage in worded if _has_tags(passage, tags)), limit))


def _has_tags(passage: Passage, tags: set[str]) -> bool:
    return tags <= {tag.casefold() for tag in passage.tags}
