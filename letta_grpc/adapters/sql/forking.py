"""Copied conversations: a long one in steps, between which others write.

Until the last step it stands among the `removals`: nobody finds it, and a server that ends amid it removes it when it is back.
"""

from functools import partial
from time import monotonic

from sqlalchemy import Connection, insert, select, update

from letta_grpc.adapters.sql.agents import check_agent
from letta_grpc.adapters.sql.claiming import add_run
from letta_grpc.adapters.sql.database import STEP_SECONDS, Step
from letta_grpc.adapters.sql.denying import StoredBrief
from letta_grpc.adapters.sql.queries import ADD_MESSAGE
from letta_grpc.adapters.sql.removing import Removal
from letta_grpc.adapters.sql.rows import message_values
from letta_grpc.adapters.sql.schema import conversations, messages
from letta_grpc.adapters.sql.session import Session
from letta_grpc.adapters.sql.values import conversation_values
from letta_grpc.domain.forking import Fork, WholeThread
from letta_grpc.domain.ids import MessageId
from letta_grpc.domain.runs import RunSpec

# How many messages are stored at once.
_ROWS = 20


class Copying:
    """Stores a conversation with its messages and context, and their run."""

    def __init__(self, fork: Fork) -> None:
        self._thread = fork.thread
        self._brief = fork.brief
        self._id = fork.thread.conversation.id
        self.removal = Removal("conversation", self._id)

    def begin(self, connection: Connection, session: Session) -> tuple[StoredBrief, Step | None]:
        """Store what one step can; return the run, and the next step, None if that was all.

        `session` is of the same transaction as `connection`.
        """
        run = self._brief.run
        check_agent(connection, run.agent_id)
        connection.execute(insert(conversations), conversation_values(self._thread.conversation))
        spec = RunSpec(messages=(), kind=run.kind)
        position = add_run(session, run, spec, None, {"last_sequence_number": len(self._brief.events)})
        self.removal.mark(connection)
        return StoredBrief(position, self._brief), self._go_on(0, connection)

    def _go_on(self, begin: int, connection: Connection) -> Step | None:
        # It may be removed meanwhile, and with it all that is its own.
        check_agent(connection, self._thread.conversation.agent_id)
        until = monotonic() + STEP_SECONDS
        for index in range(begin, len(self._thread.messages), _ROWS):
            rows = self._thread.messages[index : index + _ROWS]
            connection.execute(ADD_MESSAGE, [message_values(message, self._id) for message in rows])
            if monotonic() >= until:
                return partial(self._go_on, index + _ROWS)
        if self._thread.summary_id:
            _compact(connection, self._thread, self._thread.summary_id)
        self.removal.unmark(connection)
        return None


def _compact(connection: Connection, thread: WholeThread, summary_id: MessageId) -> None:
    here = select(messages.c.position).where(messages.c.conversation_id == thread.conversation.id)
    start = here.where(messages.c.id == (thread.kept_from or summary_id)).scalar_subquery()
    summary = here.where(messages.c.id == summary_id).scalar_subquery()
    compacted = update(conversations).where(conversations.c.id == thread.conversation.id)
    connection.execute(compacted.values(context_start=start, summary_position=summary))
