"""Removing what may be long, an agent, a conversation or its messages: in steps, between which others write.

It stands in `removals` from the first step to the last. An agent or a conversation is gone by then for all who ask for it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Literal

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, insert, select

from letta_grpc.adapters.sql.database import STEP_SECONDS, Step
from letta_grpc.adapters.sql.schema import (
    agent_blocks,
    agents,
    conversations,
    messages,
    passages,
    removals,
    runs,
    waiting_calls,
)

# How many rows are removed at once.
ROWS = 20


@dataclass(frozen=True, slots=True)
class Removal:
    """An agent or a conversation on its way out, with all that is its own, or a conversation's messages before a position."""

    kind: Literal["agent", "conversation", "messages"]
    id: str
    until: int = 0

    def begin(self, connection: Connection) -> Step | None:
        """Remove what one step can; return the next one, None if that was all."""
        if not remove_for_a_while(connection, self._parts()):
            return None
        # A second reset goes further than one that is still at work.
        connection.execute(delete(removals).where(removals.c.id == self.id, removals.c.kind == self.kind))
        self.mark(connection)
        if self.kind != "messages":
            # All at once: when they expire they would be looked for in runs that are gone.
            here = waiting_calls.c.conversation_id.in_(select(conversations.c.id).where(self._conversations()))
            connection.execute(delete(waiting_calls).where(here, waiting_calls.c.settled_run_id.is_(None)))
        if self.kind == "agent":
            # And what a block may be called, and how long it may be, is up to the agents that have it.
            connection.execute(delete(agent_blocks).where(agent_blocks.c.agent_id == self.id))
        return self.go_on

    def go_on(self, connection: Connection) -> Step | None:
        """Remove more; return the next step, None if that was all."""
        if remove_for_a_while(connection, self._parts()):
            return self.go_on
        self.unmark(connection)
        return None

    def mark(self, connection: Connection) -> None:
        """Let nobody find it from here on, an agent or a conversation; a server that ends before `unmark` then removes it."""
        connection.execute(insert(removals), {"id": self.id, "kind": self.kind, "until": self.until})

    def unmark(self, connection: Connection) -> None:
        """Undo `mark`."""
        connection.execute(delete(removals).where(*self._mine()))

    def undo(self, connection: Connection) -> Step | None:
        """Remove what one step can of what is still marked; return the next step, None if that was all."""
        is_marked = connection.scalar(select(removals.c.id).where(*self._mine())) is not None
        return self.go_on(connection) if is_marked else None

    def _mine(self) -> tuple[ColumnElement[bool], ...]:
        return (removals.c.id == self.id, removals.c.kind == self.kind, removals.c.until == self.until)

    # With a run go its steps and events, with an agent or a conversation what is left of its own: the schema says so of every
    # table. Messages go before their runs: the one of a copied or imported conversation has them all.
    def _parts(self) -> Iterator[tuple[Table, ColumnElement[bool]]]:
        if self.kind == "messages":
            yield messages, and_(messages.c.conversation_id == self.id, messages.c.position < self.until)
            return
        mine = (runs.c.agent_id if self.kind == "agent" else runs.c.conversation_id) == self.id
        oldest = select(runs.c.id).where(mine).order_by(runs.c.position).limit(ROWS)
        yield messages, messages.c.run_id.in_(oldest)
        yield runs, runs.c.id.in_(oldest)
        if self.kind == "agent":
            yield passages, passages.c.agent_id == self.id
        yield conversations, self._conversations()
        if self.kind == "agent":
            yield agents, agents.c.id == self.id

    def _conversations(self) -> ColumnElement[bool]:
        return (conversations.c.agent_id if self.kind == "agent" else conversations.c.id) == self.id


def remove_for_a_while(connection: Connection, parts: Iterable[tuple[Table, ColumnElement[bool]]]) -> bool:
    """Remove rows, always of the first table that has any; return whether there may be more."""
    until = monotonic() + STEP_SECONDS
    statements = [
        delete(table).where(table.c.position.in_(select(table.c.position).where(where).limit(ROWS))) for table, where in parts
    ]
    while any(connection.execute(statement).rowcount for statement in statements):
        if monotonic() >= until:
            return True
    return False


def unfinished(connection: Connection) -> list[Removal]:
    """Return what was left half-way by a server that ended."""
    return [Removal(row.kind, row.id, row.until) for row in connection.execute(select(removals))]
