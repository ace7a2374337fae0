"""Agents that come from files: a long life in steps, between which others write.

Until the last step it stands among the `removals`: nobody finds it, and a server that ends amid it removes it when it is back.
What outlives an agent, tools and blocks, is stored in the last step.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from sqlalchemy import Connection, insert

from letta_grpc.adapters.sql.agents import add_agent, get_agent, give_blocks
from letta_grpc.adapters.sql.database import Database, Step
from letta_grpc.adapters.sql.filling import ROWS, Part, parts_of, store_for_a_while
from letta_grpc.adapters.sql.queries import ADD_RUN
from letta_grpc.adapters.sql.removing import Removal
from letta_grpc.adapters.sql.rows import SPEC, passage_values, run_values
from letta_grpc.adapters.sql.schema import conversations, passages
from letta_grpc.adapters.sql.tools import create_tool
from letta_grpc.adapters.sql.values import conversation_values
from letta_grpc.domain.agent_files import Import
from letta_grpc.domain.agents import Agent, Conversation
from letta_grpc.domain.passages import Passage
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
        importing = _Importing(imported)
        await self._database.write_in_steps(importing.begin, otherwise=importing.undo)
        return importing.agent


class _Importing:
    """Stores an agent with all that is its own. `agent`: as it is stored, once it is whole."""

    def __init__(self, imported: Import) -> None:
        self.agent = imported.agent
        self._imported = imported
        # As long as this stands, the agent is not whole.
        self._mark = Removal("agent", imported.agent.id)
        self._parts = _parts(imported)

    def begin(self, connection: Connection) -> Step | None:
        """Store what one step can; return the next step, None if that was all."""
        self._mark.mark(connection)
        add_agent(connection, self._imported.agent, _default(self._imported))
        return self._go_on(connection)

    def undo(self, connection: Connection) -> Step | None:
        """Remove what one step can of an agent that is not whole; return the next step, None if that was all."""
        return self._mark.undo(connection)

    def _go_on(self, connection: Connection) -> Step | None:
        if store_for_a_while(connection, self._parts):
            return self._go_on
        for tool in self._imported.tools:
            create_tool(connection, tool)
        give_blocks(connection, self._imported.agent)
        self._mark.unmark(connection)
        self.agent = get_agent(connection, self._imported.agent.id)
        return None


def _default(imported: Import) -> Conversation:
    return next(each.conversation for each in imported.conversations if each.conversation.is_default)


def _parts(imported: Import) -> Iterator[Part]:
    for each in imported.conversations:
        if not each.conversation.is_default:
            yield partial(_add_conversation, each.conversation)
        if each.run:
            yield partial(_add_run, each.run)
        yield from parts_of(each.conversation.id, each.messages, each.summary, each.kept_from)
    for index in range(0, len(imported.passages), ROWS):
        yield partial(_add_passages, imported.passages[index : index + ROWS])


def _add_conversation(conversation: Conversation, connection: Connection) -> None:
    connection.execute(insert(conversations), conversation_values(conversation))


def _add_passages(rows: Sequence[Passage], connection: Connection) -> None:
    connection.execute(insert(passages), [passage_values(passage) for passage in rows])


def _add_run(run: Run, connection: Connection) -> None:
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
