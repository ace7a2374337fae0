"""Agents that come from files."""

from sqlalchemy import Connection, insert, select, update

from letta_grpc.adapters.sql.agents import create_agent, get_agent
from letta_grpc.adapters.sql.database import Database
from letta_grpc.adapters.sql.queries import ADD_MESSAGE, ADD_RUN
from letta_grpc.adapters.sql.rows import SPEC, message_values, passage_values, run_values
from letta_grpc.adapters.sql.schema import conversations, messages, passages
from letta_grpc.adapters.sql.tools import create_tool
from letta_grpc.adapters.sql.values import conversation_values
from letta_grpc.domain.agent_files import Import, ImportedConversation
from letta_grpc.domain.agents import Agent
from letta_grpc.domain.ids import ConversationId, MessageId
from letta_grpc.domain.runs import Run, RunSpec

# `run_started` and `run_finished`, which nobody keeps.
_EVENTS = 2
_QUEUE_RANK = 1


class SqlAgentImporter:
    """Stores agents that come from files."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, imported: Import) -> Agent:
        """Store an agent with all that is its own, or nothing."""
        return await self._database.write(lambda connection: _put(connection, imported))


def _put(connection: Connection, imported: Import) -> Agent:
    default = next(each for each in imported.conversations if each.conversation.is_default)
    for tool in imported.tools:
        create_tool(connection, tool)
    create_agent(connection, imported.agent, default.conversation)
    for each in imported.conversations:
        if each is not default:
            connection.execute(insert(conversations), conversation_values(each.conversation))
        if each.run:
            _add_run(connection, each.run)
        if each.messages:
            # One statement for all: everyone's events wait for this transaction.
            connection.execute(ADD_MESSAGE, [message_values(message, each.conversation.id) for message in each.messages])
        _set_context(connection, each)
    if imported.passages:
        connection.execute(insert(passages), [passage_values(passage) for passage in imported.passages])
    return get_agent(connection, imported.agent.id)


def _add_run(connection: Connection, run: Run) -> None:
    spec = RunSpec(messages=(), kind=run.kind)
    journals = {
        "fingerprint": "",
        "spec": SPEC.dump(spec),
        "traceparent": None,
        "queue_rank": _QUEUE_RANK,
        "owner": None,
        "lease_expires_at": None,
        "cancel_requested": False,
        "last_sequence_number": _EVENTS,
    }
    connection.execute(ADD_RUN, run_values(run) | journals)


def _set_context(connection: Connection, each: ImportedConversation) -> None:
    if each.summary is None:
        return
    id_ = each.conversation.id
    summary = _position(connection, id_, each.summary)
    # A context is read from its start on, and the summary must be in it.
    start = min(summary, _position(connection, id_, each.kept_from)) if each.kept_from else summary
    placed = update(conversations).where(conversations.c.id == id_)
    connection.execute(placed.values(context_start=start, summary_position=summary))


def _position(connection: Connection, conversation_id: ConversationId, message_id: MessageId) -> int:
    query = select(messages.c.position).where(messages.c.conversation_id == conversation_id, messages.c.id == message_id)
    return int(connection.execute(query).scalar_one())
