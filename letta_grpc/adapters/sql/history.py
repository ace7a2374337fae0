"""Messages."""

from sqlalchemy import BindParameter, ColumnElement, Connection, bindparam, func, select, update

from letta_grpc.adapters.sql.database import Database, Step
from letta_grpc.adapters.sql.pages import page_of, paged
from letta_grpc.adapters.sql.queries import AGENT_BLOCKS, CONVERSATION, stays
from letta_grpc.adapters.sql.removing import Removal
from letta_grpc.adapters.sql.rows import agent_of, block_of, context_of, conversation_of, from_json, message_of, thread_of
from letta_grpc.adapters.sql.runs import check_idle
from letta_grpc.adapters.sql.schema import agents, conversations, messages, removals, runs, steps
from letta_grpc.domain.errors import ConversationNotFound, ResourceInUse
from letta_grpc.domain.forking import WholeConversation
from letta_grpc.domain.ids import AgentId, ConversationId, MessageId, RunId
from letta_grpc.domain.messages import Message
from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.ports.stores import AgentContext

_CONVERSATION: BindParameter[str] = bindparam("the_conversation")

# The newest message in context whose step is recorded with a count, unless the context was compacted since: read from the end,
# so that a long conversation costs no more.
# JSON is looked at as text here, which every database can; rows.py writes it without spaces.
# Not joined: PostgreSQL would expect that hardly any message has a step, and read all steps that there are.
_USAGE = (
    select(steps.c.usage)
    .where(
        steps.c.run_id == messages.c.run_id,
        steps.c.id == messages.c.step_id,
        steps.c.usage.not_like('%"context_tokens":null%'),
    )
    .limit(1)
    .correlate(messages)
    .scalar_subquery()
)
_REPORTED_USAGE = (
    select(_USAGE)
    .where(
        messages.c.conversation_id == _CONVERSATION,
        messages.c.position >= conversations.c.context_start,
        messages.c.position > conversations.c.summary_position,
        _USAGE.is_not(None),
    )
    .order_by(messages.c.position.desc())
    .limit(1)
    .scalar_subquery()
)
CONTEXT = (
    select(_REPORTED_USAGE, *conversations.c, *agents.c)
    .join(agents, agents.c.id == conversations.c.agent_id)
    .where(conversations.c.id == _CONVERSATION)
)
_AGENT_AT = 1 + len(conversations.c)
_MESSAGES = (
    select(messages)
    .where(messages.c.conversation_id == _CONVERSATION, messages.c.position >= bindparam("the_start"))
    .order_by(messages.c.position)
)


class SqlHistoryStore:
    """The messages of conversations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, conversation_id: ConversationId) -> AgentContext:
        """Return what the next context is built from."""
        return await self._database.read(lambda connection: _load(connection, conversation_id))

    async def whole(self, conversation_id: ConversationId) -> WholeConversation:
        """Return all that is stored of a conversation."""
        return await self._database.read(lambda connection: _whole(connection, conversation_id))

    async def list(self, conversation_id: ConversationId, page: PageRequest) -> Page[Message]:
        """Return messages in the conversation's order."""
        return await self._list(messages.c.conversation_id == conversation_id, page)

    async def list_of_agent(self, agent_id: AgentId, page: PageRequest) -> Page[Message]:
        """Return the messages of all of an agent's conversations."""
        mine = select(conversations.c.id).where(conversations.c.agent_id == agent_id, stays(conversations.c.id))
        return await self._list(messages.c.conversation_id.in_(mine), page)

    async def _list(self, here: ColumnElement[bool], page: PageRequest) -> Page[Message]:
        query = paged(select(messages).where(here), messages.c.position, page, here)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return page_of(rows, page, message_of)

    async def of_run(self, run_id: RunId) -> tuple[Message, ...]:
        """Return the messages that a run brought, in order."""
        query = select(messages).where(messages.c.run_id == run_id).order_by(messages.c.position)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return tuple(message_of(row) for row in rows)

    async def reset(self, conversation_id: ConversationId) -> None:
        """Remove a conversation's messages."""
        await self._database.write_in_steps(lambda connection: _reset(connection, conversation_id))


def _load(connection: Connection, conversation_id: ConversationId) -> AgentContext:
    row = connection.execute(CONTEXT, {"the_conversation": conversation_id}).first()
    if row is None:
        raise ConversationNotFound(conversation_id=conversation_id)
    usage, conversation, thread = row[0], conversation_of(row[1:_AGENT_AT]), thread_of(row[1:_AGENT_AT])
    blocks = connection.execute(AGENT_BLOCKS, {"the_agent": conversation.agent_id}).all()
    values = {"the_conversation": conversation_id, "the_start": thread.context_start}
    return AgentContext(
        agent=agent_of(row[_AGENT_AT:], [block_of(block) for block in blocks]),
        conversation=conversation,
        messages=context_of(connection.execute(_MESSAGES, values).all(), thread.summary_position),
        reported_tokens=None if usage is None else from_json(usage)["context_tokens"],
    )


def _whole(connection: Connection, conversation_id: ConversationId) -> WholeConversation:
    row = connection.execute(CONVERSATION, {"the_conversation": conversation_id}).first()
    if row is None:
        raise ConversationNotFound(conversation_id=conversation_id)
    thread = thread_of(row)
    # Behind what a reset is still to remove.
    here = (removals.c.id == conversation_id, removals.c.kind == "messages")
    start = connection.scalar(select(removals.c.until).where(*here)) or 0
    rows = connection.execute(_MESSAGES, {"the_conversation": conversation_id, "the_start": start}).all()
    ids = {row[0]: MessageId(row[1]) for row in rows}
    # A context that goes on behind its summary keeps nothing older.
    keeps = thread.summary_position not in (0, thread.context_start)
    return WholeConversation(
        conversation=conversation_of(row),
        messages=tuple(message_of(row) for row in rows),
        summary_id=ids.get(thread.summary_position),
        kept_from=ids.get(thread.context_start) if keeps else None,
    )


def _reset(connection: Connection, conversation_id: ConversationId) -> Step | None:
    row = connection.execute(CONVERSATION, {"the_conversation": conversation_id}).first()
    if row is None:
        raise ConversationNotFound(conversation_id=conversation_id)
    check_idle(connection, runs.c.conversation_id == conversation_id)
    if thread_of(row).waiting_run_id:
        raise ResourceInUse("Calls of it wait for answers.", conversation_id=conversation_id)
    # What is said next comes behind the removed: at a place of theirs, page tokens from before the reset would skip it.
    behind = connection.scalar(select(func.max(messages.c.position) + 1).where(messages.c.conversation_id == conversation_id))
    if behind is None:
        return None
    emptied = update(conversations).where(conversations.c.id == conversation_id)
    connection.execute(emptied.values(context_start=behind, summary_position=0))
    return Removal("messages", conversation_id, behind).begin(connection)
