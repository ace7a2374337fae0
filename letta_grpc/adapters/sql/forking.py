"""Copied conversations: a long one in steps, between which others write.

Until the last step it stands among the `removals`: nobody finds it, and a server that ends amid it removes it when it is back.
"""

from sqlalchemy import Connection, insert

from letta_grpc.adapters.sql.agents import check_agent
from letta_grpc.adapters.sql.claiming import add_run
from letta_grpc.adapters.sql.database import Step
from letta_grpc.adapters.sql.denying import StoredEndedRun
from letta_grpc.adapters.sql.filling import parts_of, store_for_a_while
from letta_grpc.adapters.sql.removing import Removal
from letta_grpc.adapters.sql.schema import conversations
from letta_grpc.adapters.sql.session import Session
from letta_grpc.adapters.sql.values import conversation_values
from letta_grpc.domain.forking import Fork
from letta_grpc.domain.runs import RunSpec


class Copying:
    """Stores a conversation with its messages and context, and their run."""

    def __init__(self, fork: Fork) -> None:
        copy = fork.copy
        self._conversation = copy.conversation
        self._ended = fork.ended
        # As long as this stands, the copy is not whole.
        self._mark = Removal("conversation", copy.conversation.id)
        self._parts = parts_of(copy.conversation.id, copy.messages, copy.summary_id, copy.kept_from)

    def begin(self, connection: Connection, session: Session) -> tuple[StoredEndedRun, Step | None]:
        """Store what one step can; return the run, and the next step, None if that was all.

        `session` is of the same transaction as `connection`.
        """
        run = self._ended.run
        check_agent(connection, run.agent_id)
        connection.execute(insert(conversations), conversation_values(self._conversation))
        spec = RunSpec(messages=(), kind=run.kind)
        position = add_run(session, run, spec, None, {"last_sequence_number": len(self._ended.events)})
        self._mark.mark(connection)
        return StoredEndedRun(position, self._ended), self._store(connection)

    def undo(self, connection: Connection) -> Step | None:
        """Remove what one step can of a copy that is not whole; return the next step, None if that was all."""
        return self._mark.undo(connection)

    def _go_on(self, connection: Connection) -> Step | None:
        # It may have been deleted since the last step, and with it all that is its own.
        check_agent(connection, self._conversation.agent_id)
        return self._store(connection)

    def _store(self, connection: Connection) -> Step | None:
        if store_for_a_while(connection, self._parts):
            return self._go_on
        self._mark.unmark(connection)
        return None
