"""Copied conversations: a long one in steps, between which others write.

Until the last step it stands among the `removals`: nobody finds it, and a server that ends amid it removes it when it is back.
"""

from functools import partial
from time import monotonic

from sqlalchemy import Connection, insert, select, update

from letta_grpc.adapters.sql.agents import check_agent
from letta_grpc.adapters.sql.claiming import add_run
from letta_grpc.adapters.sql.database import STEP_SECONDS, Step
from letta_grpc.adapters.sql.denying import StoredEndedRun
from letta_grpc.adapters.sql.queries import ADD_MESSAGE
from letta_grpc.adapters.sql.removing import Removal
from letta_grpc.adapters.sql.rows import message_values
from letta_grpc.adapters.sql.schema import conversations, messages
from letta_grpc.adapters.sql.session import Session
from letta_grpc.adapters.sql.values import conversation_values
from letta_grpc.domain.forking import Fork
from letta_grpc.domain.ids import MessageId
from letta_grpc.domain.runs import RunSpec

# How many messages are stored at once.
_ROWS = 20


class Copying:
    """Stores a conversation with its messages and context, and their run."""

    def __init__(self, fork: Fork) -> None:
        self._copy = fork.copy
        self._ended = fork.ended
        self._id = fork.copy.conversation.id
        # As long as this stands, the copy is not whole.
        self._mark = Removal("conversation", self._id)
        self._sought = {id_ for id_ in (fork.copy.summary_id, fork.copy.kept_from) if id_}
        self._positions: dict[str, int] = {}

    def begin(self, connection: Connection, session: Session) -> tuple[StoredEndedRun, Step | None]:
        """Store what one step can; return the run, and the next step, None if that was all.

        `session` is of the same transaction as `connection`.
        """
        run = self._ended.run
        check_agent(connection, run.agent_id)
        connection.execute(insert(conversations), conversation_values(self._copy.conversation))
        spec = RunSpec(messages=(), kind=run.kind)
        position = add_run(session, run, spec, None, {"last_sequence_number": len(self._ended.events)})
        self._mark.mark(connection)
        return StoredEndedRun(position, self._ended), self._store(0, connection)

    def undo(self, connection: Connection) -> Step | None:
        """Remove what one step can of a copy that is not whole; return the next step, None if that was all."""
        return self._mark.go_on(connection) if self._mark.stands(connection) else None

    def _go_on(self, start: int, connection: Connection) -> Step | None:
        # It may have been deleted since the last step, and with it all that is its own.
        check_agent(connection, self._copy.conversation.agent_id)
        return self._store(start, connection)

    def _store(self, start: int, connection: Connection) -> Step | None:
        until = monotonic() + STEP_SECONDS
        for index in range(start, len(self._copy.messages), _ROWS):
            rows = self._copy.messages[index : index + _ROWS]
            connection.execute(ADD_MESSAGE, [message_values(message, self._id) for message in rows])
            if not self._sought.isdisjoint(message.id for message in rows):
                self._look_up(connection, len(rows))
            if monotonic() >= until:
                return partial(self._go_on, index + _ROWS)
        if self._copy.summary_id:
            self._compact(connection, self._copy.summary_id)
        self._mark.unmark(connection)
        return None

    def _look_up(self, connection: Connection, count: int) -> None:
        # Among those just stored: ids have no index, and the last step would read all the others.
        here = messages.c.conversation_id == self._id
        newest = select(messages.c.id, messages.c.position).where(here).order_by(messages.c.position.desc()).limit(count)
        self._positions.update({row[0]: row[1] for row in connection.execute(newest) if row[0] in self._sought})

    def _compact(self, connection: Connection, summary_id: MessageId) -> None:
        start, summary = self._positions[self._copy.kept_from or summary_id], self._positions[summary_id]
        compacted = update(conversations).where(conversations.c.id == self._id)
        connection.execute(compacted.values(context_start=start, summary_position=summary))
