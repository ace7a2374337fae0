"""Filling conversations that are made with what was said in them, copies and those of a file, part by part."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from time import monotonic

from sqlalchemy import Connection, select, update

from letta_grpc.adapters.sql.database import STEP_SECONDS
from letta_grpc.adapters.sql.queries import ADD_MESSAGE
from letta_grpc.adapters.sql.rows import message_values
from letta_grpc.adapters.sql.schema import conversations, messages
from letta_grpc.domain.ids import ConversationId, MessageId
from letta_grpc.domain.messages import Message

# How many rows are stored at once.
ROWS = 20

# What is stored at once.
Part = Callable[[Connection], object]


def store_for_a_while(connection: Connection, parts: Iterator[Part]) -> bool:
    """Store what one step can; return whether there may be more."""
    until = monotonic() + STEP_SECONDS
    for store in parts:
        store(connection)
        if monotonic() >= until:
            return True
    return False


def parts_of(
    conversation_id: ConversationId, said: Sequence[Message], summary: MessageId | None, kept_from: MessageId | None
) -> Iterator[Part]:
    """Yield what stores messages, then their context: where it is compacted, a summary and everything from `kept_from` on."""
    sought = {id_ for id_ in (summary, kept_from) if id_}
    positions: dict[str, int] = {}
    for index in range(0, len(said), ROWS):
        rows = said[index : index + ROWS]
        yield partial(_add, conversation_id, rows)
        if not sought.isdisjoint(message.id for message in rows):
            yield partial(_look_up, conversation_id, len(rows), sought, positions)
    if summary:
        yield partial(_set_context, conversation_id, positions, summary)


def _add(conversation_id: ConversationId, rows: Sequence[Message], connection: Connection) -> None:
    connection.execute(ADD_MESSAGE, [message_values(message, conversation_id) for message in rows])


def _look_up(
    conversation_id: ConversationId, count: int, sought: set[MessageId], positions: dict[str, int], connection: Connection
) -> None:
    # Among those just stored: ids have no index, and the last step would read all the others.
    here = messages.c.conversation_id == conversation_id
    newest = select(messages.c.id, messages.c.position).where(here).order_by(messages.c.position.desc()).limit(count)
    positions.update({row[0]: row[1] for row in connection.execute(newest) if row[0] in sought})


def _set_context(
    conversation_id: ConversationId, positions: dict[str, int], summary: MessageId, connection: Connection
) -> None:
    # A context is read from its start on, and the summary must be in it.
    placed = update(conversations).where(conversations.c.id == conversation_id)
    connection.execute(placed.values(context_start=min(positions.values()), summary_position=positions[summary]))
