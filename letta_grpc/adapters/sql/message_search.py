"""Finding messages."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, select

from letta_grpc.adapters.sql.database import Database
from letta_grpc.adapters.sql.full_text import WordIndex
from letta_grpc.adapters.sql.queries import stays
from letta_grpc.adapters.sql.rows import message_of, text_of_body
from letta_grpc.adapters.sql.schema import conversations, messages
from letta_grpc.adapters.sql.times import to_micros
from letta_grpc.domain.words import phrases_of
from letta_grpc.ports.search import FoundMessage, MessageQuery

_INDEX = WordIndex(
    name="message_words",
    source=select(messages.c.position, conversations.c.agent_id, messages.c.conversation_id, messages.c.body).join(
        conversations, conversations.c.id == messages.c.conversation_id
    ),
    text_of=text_of_body,
)
_CONVERSATION_AT = messages.c.keys().index("conversation_id")


class SqlMessageSearch:
    """Messages by their words."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def search(self, query: MessageQuery) -> tuple[FoundMessage, ...]:
        """Return what fits best."""
        phrases = phrases_of(query.text)
        if query.text.strip():
            if not phrases:
                return ()
            await _INDEX.catch_up(self._database)
        return await self._database.read(lambda connection: _search(connection, query, phrases))


def _search(connection: Connection, query: MessageQuery, phrases: Sequence[Sequence[str]]) -> tuple[FoundMessage, ...]:
    rows = connection.execute(
        _statement(connection, query, phrases).order_by(messages.c.position.desc()).limit(query.limit)
    ).all()
    found = [(message_of(row), row[_CONVERSATION_AT]) for row in rows]
    here = conversations.c.id.in_([conversation_id for _, conversation_id in found])
    owners = connection.execute(select(conversations.c.id, conversations.c.agent_id).where(here))
    agent_of = {row[0]: row[1] for row in owners}
    return tuple(FoundMessage(message, agent_of[conversation_id], conversation_id) for message, conversation_id in found)


def _statement(connection: Connection, query: MessageQuery, phrases: Sequence[Sequence[str]]) -> Select[Any]:
    # Of an agent on its way out the conversations are not on theirs.
    of_agents_that_go = select(conversations.c.id).where(~stays(conversations.c.agent_id))
    here = messages.c.conversation_id
    statement = select(messages).where(stays(here), here.not_in(of_agents_that_go))
    if query.conversation_id is not None:
        statement = statement.where(messages.c.conversation_id == query.conversation_id)
    if query.agent_id is not None:
        # It counts also where a conversation is named: that may be another's.
        mine = select(conversations.c.id).where(conversations.c.agent_id == query.agent_id)
        statement = statement.where(messages.c.conversation_id.in_(mine))
    if phrases:
        statement = _INDEX.narrowed(connection, statement, phrases, query.conversation_id or query.agent_id)
    if query.roles:
        statement = statement.where(messages.c.role.in_([role.value for role in query.roles]))
    if query.create_time_from is not None:
        statement = statement.where(messages.c.create_time >= to_micros(query.create_time_from))
    if query.create_time_before is not None:
        statement = statement.where(messages.c.create_time < to_micros(query.create_time_before))
    return statement
