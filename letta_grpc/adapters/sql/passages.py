"""Archival notes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, or_, select, update

from letta_grpc.adapters.sql.agents import check_agent
from letta_grpc.adapters.sql.database import Database
from letta_grpc.adapters.sql.full_text import WordIndex
from letta_grpc.adapters.sql.pages import page_of, paged
from letta_grpc.adapters.sql.rows import passage_of, passage_values, search_tags
from letta_grpc.adapters.sql.schema import passage_vectors, passages
from letta_grpc.adapters.sql.session import Query
from letta_grpc.domain.errors import PassageNotFound
from letta_grpc.domain.ids import AgentId, PassageId
from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.domain.passages import Passage
from letta_grpc.domain.words import phrases_of

_INDEX = WordIndex(name="passage_words", source=select(passages.c.position, passages.c.agent_id, passages.c.text), text_of=str)


class SqlPassageStore:
    """Archival notes, and finding them by their words."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, passage: Passage) -> Passage:
        """Store a note."""
        await self._database.write(lambda connection: _create(connection, passage))
        return passage

    async def get(self, agent_id: AgentId, passage_id: PassageId) -> Passage:
        """Return a note of this agent."""
        return await self._database.read(lambda connection: _get(connection, agent_id, passage_id))

    async def list(self, agent_id: AgentId, page: PageRequest, *, tags: Sequence[str] = ()) -> Page[Passage]:
        """Return notes of this agent."""
        return await self._database.read(lambda connection: _list(connection, agent_id, page, tags))

    async def update(
        self, agent_id: AgentId, passage_id: PassageId, changes: Mapping[str, Any], update_time: datetime
    ) -> Passage:
        """Set the named fields."""
        return await self._database.write(lambda connection: _update(connection, agent_id, passage_id, changes, update_time))

    async def delete(self, agent_id: AgentId, passage_id: PassageId) -> None:
        """Remove a note."""
        await self._database.write(lambda connection: _delete(connection, agent_id, passage_id))

    async def search(self, agent_id: AgentId, query: str, tags: Sequence[str], limit: int) -> tuple[Passage, ...]:
        """Return the notes with all these tags that fit best."""
        phrases = phrases_of(query)
        if query.strip():
            if not phrases:
                return ()
            await _INDEX.catch_up(self._database)
        return await self._database.read(lambda connection: _search(connection, agent_id, phrases, tags, limit))


def tagged(query: Query, tags: Sequence[str]) -> Query:
    """Narrow a query of notes to those that have all the tags."""
    return query.where(*map(_has, tags))


def _has(tag: str) -> ColumnElement[bool]:
    kept, sought = passages.c.search_tags, search_tags([tag])
    if not sought.strip():
        # As many line ends as stand between any two tags: beside another one a blank tag makes them more.
        return or_(kept == sought, kept.contains(f"{sought}\n"))
    return kept.contains(sought, autoescape=True)


def _create(connection: Connection, passage: Passage) -> None:
    check_agent(connection, passage.agent_id)
    connection.execute(insert(passages), passage_values(passage))


def _get(connection: Connection, agent_id: AgentId, passage_id: PassageId) -> Passage:
    query = select(passages).where(passages.c.id == passage_id, passages.c.agent_id == agent_id)
    row = connection.execute(query).first()
    if row is None:
        raise PassageNotFound(passage_id=passage_id)
    return passage_of(row)


def _list(connection: Connection, agent_id: AgentId, page: PageRequest, tags: Sequence[str]) -> Page[Passage]:
    check_agent(connection, agent_id)
    query = paged(select(passages).where(passages.c.agent_id == agent_id), passages.c.position, page)
    return page_of(connection.execute(tagged(query, tags)).all(), page, passage_of)


def _update(
    connection: Connection, agent_id: AgentId, passage_id: PassageId, changes: Mapping[str, Any], update_time: datetime
) -> Passage:
    passage = _get(connection, agent_id, passage_id)
    changed = replace(passage, **changes, update_time=update_time)
    connection.execute(update(passages).where(passages.c.id == passage_id).values(passage_values(changed)))
    if changed.text != passage.text:
        _INDEX.replace(connection, connection.scalar(select(passages.c.position).where(passages.c.id == passage_id)) or 0)
        connection.execute(delete(passage_vectors).where(passage_vectors.c.passage_id == passage_id))
    return changed


def _delete(connection: Connection, agent_id: AgentId, passage_id: PassageId) -> None:
    _get(connection, agent_id, passage_id)
    connection.execute(delete(passages).where(passages.c.id == passage_id))


def _search(
    connection: Connection, agent_id: AgentId, phrases: Sequence[Sequence[str]], tags: Sequence[str], limit: int
) -> tuple[Passage, ...]:
    query = tagged(select(passages).where(passages.c.agent_id == agent_id), tags)
    if phrases:
        query = _INDEX.narrowed(connection, query, phrases, agent_id)
    rows = connection.execute(query.order_by(passages.c.position.desc()).limit(limit))
    return tuple(passage_of(row) for row in rows)
