"""Copied conversations."""

from sqlalchemy import Connection, insert, select, update

from letta_grpc.adapters.sql.agents import check_agent
from letta_grpc.adapters.sql.claiming import add_run
from letta_grpc.adapters.sql.denying import StoredBrief
from letta_grpc.adapters.sql.queries import ADD_MESSAGE
from letta_grpc.adapters.sql.rows import message_values
from letta_grpc.adapters.sql.schema import conversations, messages
from letta_grpc.adapters.sql.session import Session
from letta_grpc.adapters.sql.values import conversation_values
from letta_grpc.domain.forking import Fork, WholeThread
from letta_grpc.domain.ids import MessageId
from letta_grpc.domain.runs import RunSpec


def store_fork(connection: Connection, session: Session, fork: Fork) -> StoredBrief:
    """Store a conversation with its messages and context, and their run.

    `session` is of the same transaction as `connection`.
    """
    thread, run = fork.thread, fork.brief.run
    check_agent(connection, run.agent_id)
    connection.execute(insert(conversations), conversation_values(thread.conversation))
    spec = RunSpec(messages=(), kind=run.kind)
    position = add_run(session, run, spec, None, {"last_sequence_number": len(fork.brief.events)})
    for message in thread.messages:
        session.execute(ADD_MESSAGE, message_values(message, run.conversation_id))
    if thread.summary_id:
        _compact(connection, thread, thread.summary_id)
    return StoredBrief(position, fork.brief)


def _compact(connection: Connection, thread: WholeThread, summary_id: MessageId) -> None:
    here = select(messages.c.position).where(messages.c.conversation_id == thread.conversation.id)
    start = here.where(messages.c.id == (thread.kept_from or summary_id)).scalar_subquery()
    summary = here.where(messages.c.id == summary_id).scalar_subquery()
    compacted = update(conversations).where(conversations.c.id == thread.conversation.id)
    connection.execute(compacted.values(context_start=start, summary_position=summary))
