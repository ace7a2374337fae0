"""How many queries a read costs, and that SQLite finds its way by index."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Literal, TypeVar

import pytest
from sqlalchemy import Connection, event

from letta_grpc.adapters.sql import removing
from letta_grpc.adapters.sql.agents import SqlAgentStore
from letta_grpc.adapters.sql.callbacks import SqlCallbackStore
from letta_grpc.adapters.sql.database import Step
from letta_grpc.adapters.sql.history import SqlHistoryStore
from letta_grpc.adapters.sql.open_database import OpenDatabase
from letta_grpc.adapters.sql.passage_vectors import SqlPassageVectors
from letta_grpc.adapters.sql.passages import SqlPassageStore
from letta_grpc.adapters.sql.queries import (
    CALL,
    COMPACT,
    EXPIRED_CALLS,
    EXPIRED_RUNS,
    OPEN_CALLS,
    OPEN_RUNS,
    OPEN_RUNS_OF_CONVERSATION,
    SETTLED_CALLS,
    WAITING_CONVERSATIONS,
)
from letta_grpc.adapters.sql.removing import Removal
from letta_grpc.adapters.sql.rows import Values
from letta_grpc.adapters.sql.runs import SqlRunStore, check_idle
from letta_grpc.adapters.sql.schema import runs
from letta_grpc.adapters.sql.session import Query
from letta_grpc.adapters.sql.tools import SqlToolStore
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import RunState
from letta_grpc.ports.stores import RunFilter
from letta_grpc.testing.journals.asking import waiting
from tests.requirements.registry import requirement
from tests.support.sql_worlds import Opened

T = TypeVar("T")


class Watched:
    """A Database that notes the statements of every job, and what SQLite plans for them."""

    def __init__(self, database: OpenDatabase) -> None:
        self._database = database
        self.jobs = 0
        self.statements: list[str] = []
        self.plans: list[list[str]] = []

    async def read(self, query: Callable[[Connection], T]) -> T:
        self.jobs += 1
        return await self._database.read(lambda connection: self._watched(connection, query))

    async def write(self, change: Callable[[Connection], T]) -> T:
        return await self._database.write(lambda connection: self._watched(connection, change))

    async def write_in_steps(self, step: Step, *, otherwise: Step | None = None) -> None:
        await self._database.write_in_steps(lambda connection: self._watched(connection, step), otherwise=otherwise)

    def last_sequence_number(self, run_id: RunId) -> int | None:
        return self._database.last_sequence_number(run_id)

    def _watched(self, connection: Connection, query: Callable[[Connection], T]) -> T:
        with self._noting(connection) as noted:
            result = query(connection)
        for statement, parameters in noted:
            self.statements.append(statement)
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            self.plans.append([row[3] for row in plan])
        return result

    @contextmanager
    def _noting(self, connection: Connection) -> Iterator[list[tuple[str, Sequence[Any]]]]:
        noted: list[tuple[str, Sequence[Any]]] = []

        def note(_: object, _cursor: object, statement: str, parameters: Sequence[Any], _context: object, many: bool) -> None:  # noqa: FBT001 - SQLAlchemy's signature
            noted.append((statement, parameters[0] if many else parameters))

        event.listen(connection, "before_cursor_execute", note)
        try:
            yield noted
        finally:
            event.remove(connection, "before_cursor_execute", note)


async def test_a_page_of_agents_with_blocks_is_two_queries(file: Opened) -> None:
    for _ in range(5):
        await file.world.agent(file.world.new_block("a"), file.world.new_block("b"))
    watched = Watched(file.database)
    page = await SqlAgentStore(watched).list(PageRequest())
    assert [len(agent.memory_blocks) for agent in page.items] == [2] * 5
    assert len(watched.statements) == 2


@requirement("complaint_19_queries")
async def test_a_context_is_three_queries_in_one_job_without_a_scan(file: Opened) -> None:
    thread = await file.world.conversation(await file.world.agent(file.world.new_block("human")))
    await file.world.turn(thread, "hi", "hello", context_tokens=7)
    watched = Watched(file.database)
    context = await SqlHistoryStore(watched).load(thread.id)
    assert context.reported_tokens == 7
    assert (watched.jobs, len(watched.statements)) == (1, 3)
    assert [step for plan in watched.plans for step in plan if step.startswith("SCAN")] == []


async def test_a_message_to_go_on_behind_is_sought_in_its_conversation_alone(file: Opened) -> None:
    thread = await file.world.conversation(await file.world.agent())
    await file.world.turn(thread, "hi", "hello")
    first, second = (await file.world.history.load(thread.id)).messages
    watched = Watched(file.database)
    page = await SqlHistoryStore(watched).list(thread.id, PageRequest(after_id=first.id))
    assert page.items == (second,)
    assert [step for plan in watched.plans for step in plan if step.startswith("SCAN")] == []


async def test_what_a_compaction_keeps_is_sought_from_the_beginning_of_the_context_on(file: Opened) -> None:
    thread = await file.world.conversation(await file.world.agent())
    await file.world.turn(thread, "hi", "hello")
    watched = Watched(file.database)
    await watched.write(
        lambda connection: connection.execute(COMPACT, {"the_conversation": thread.id, "the_kept": "message-1"})
    )
    assert "SEARCH messages USING INDEX ix_messages_conversation_id (conversation_id=? AND rowid>?)" in watched.plans[0]


async def test_the_newest_count_is_found_from_the_end(file: Opened) -> None:
    thread = await file.world.conversation(await file.world.agent())
    await file.world.turn(thread, "hi", "hello", context_tokens=7)
    watched = Watched(file.database)
    await SqlHistoryStore(watched).load(thread.id)
    assert [step for step in watched.plans[0] if "TEMP B-TREE" in step] == []


async def test_the_last_turns_of_an_agent_are_counted_and_found_by_index(file: Opened) -> None:
    agent = await file.world.agent()
    await file.world.turn(await file.world.default(agent), "hi", "hello")
    watched = Watched(file.database)
    assert (await SqlRunStore(watched).last_turns(agent.id, 3))[0] == 1
    # With the index alone where rows are counted; in its order where the last are wanted, so that the others stay unread.
    searched = "ix_runs_turns (agent_id=?)"
    assert watched.plans == [[f"SEARCH runs USING COVERING INDEX {searched}"], [f"SEARCH runs USING INDEX {searched}"]]


async def test_notes_without_a_vector_are_sought_without_a_look_at_other_agents_notes(file: Opened) -> None:
    agent, other = await file.world.agent(), await file.world.agent()
    note, theirs = await file.world.note(agent, "a"), await file.world.note(other, "b")
    watched = Watched(file.database)
    vectors = SqlPassageVectors(watched)
    await vectors.add("m/m", [(theirs, (1.0,))])
    assert await vectors.missing(agent.id, "m/m", 10) == (note,)
    assert [step for plan in watched.plans for step in plan if step.startswith("SCAN")] == []


async def test_a_search_takes_many_notes_in_by_as_many_statements_as_one(file: Opened) -> None:
    agent = await file.world.agent()
    counts = []
    for texts in (["tea"], ["tea with milk", "tea with lemon", "tea with rum"]):
        for words in texts:
            await file.world.note(agent, words)
        watched = Watched(file.database)
        assert len(await SqlPassageStore(watched).search(agent.id, texts[-1], (), 10)) == 1
        counts.append(len(watched.statements))
    assert counts[0] == counts[1]


async def test_a_tool_is_taken_from_many_agents_by_as_many_statements_as_from_one(file: Opened) -> None:
    counts = []
    for agents in (1, 3):
        tool = await file.world.tools.create(file.world.new_tool(f"tool_of_{agents}"))
        for _ in range(agents):
            await file.world.agent_tools.attach((await file.world.agent()).id, tool.name, file.world.time())
        watched = Watched(file.database)
        await SqlToolStore(watched).delete(tool.id)
        counts.append(len(watched.statements))
    assert counts[0] == counts[1]
    assert [agent.tools for agent in (await file.world.agents.list(PageRequest())).items] == [()] * 4


@pytest.mark.parametrize("kind", ["agent", "conversation"])
async def test_what_is_removed_is_sought_by_index(
    file: Opened, kind: Literal["agent", "conversation"], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each step is one statement, so that the first one has more behind it.
    monkeypatch.setattr(removing, "STEP_SECONDS", 0)
    agent = await file.world.agent()
    thread = await file.world.conversation(agent)
    await file.world.turn(thread, "hi", "hello")
    watched = Watched(file.database)
    await watched.write_in_steps(Removal(kind, agent.id if kind == "agent" else thread.id).begin)
    assert len(watched.statements) > 2
    assert [step for plan in watched.plans for step in plan if step.startswith("SCAN")] == []


async def test_due_callbacks_are_found_by_index(file: Opened) -> None:
    run = await file.world.start(await file.world.default(await file.world.agent()), "Hi.", callback_url="https://example.com")
    await file.world.finish(run)
    watched, now = Watched(file.database), file.world.time()
    later = now + timedelta(minutes=1)
    assert await SqlCallbackStore(watched).take(now, later, 10)
    assert "ix_callbacks_due" in watched.plans[0][0]
    watched.plans.clear()
    assert not await SqlCallbackStore(watched).take(now, later, 10)
    # What is due, and what would be later than anything is.
    ranges = [plan[0].partition("ix_callbacks_due ")[2] for plan in watched.plans]
    assert ranges == ["(next_time>? AND next_time<?)", "(next_time>?)"]


async def test_open_runs_are_found_by_index_in_whatever_order_the_indexes_were_made(file: Opened) -> None:
    await file.database.write(_make_index_of_conversations_last)
    values = {"the_conversation": "conv-1", "the_owner": "other", "the_now": 0}
    watched = Watched(file.database)
    for query in (OPEN_RUNS, OPEN_RUNS_OF_CONVERSATION, EXPIRED_RUNS, WAITING_CONVERSATIONS):
        await watched.read(partial(_run, query=query, values=values))
    await SqlRunStore(watched).list(PageRequest(), RunFilter(states=(RunState.RUNNING,)))
    await watched.read(partial(check_idle, where=runs.c.agent_id == "agent-1"))
    plans = [plan[0] for plan in watched.plans if "callbacks" not in plan[0]]
    assert ["ix_runs_open" in plan for plan in plans] == [True] * 6


def _make_index_of_conversations_last(connection: Connection) -> None:
    connection.exec_driver_sql("DROP INDEX ix_runs_conversation_id")
    connection.exec_driver_sql("CREATE INDEX ix_runs_conversation_id ON runs (conversation_id)")


async def test_waiting_calls_are_found_by_index(file: Opened) -> None:
    asked = await waiting(file.world, "a", "b")
    values = {"the_conversation": asked.conversation_id, "the_run": asked.id, "the_call": "a", "the_now": 0}
    watched = Watched(file.database)
    for query in (OPEN_CALLS, SETTLED_CALLS, CALL, EXPIRED_CALLS):
        await watched.read(partial(_run, query=query, values=values))
    await SqlRunStore(watched).list(PageRequest(), RunFilter(has_pending_actions=True))
    calls_by_id, open_calls = "ix_waiting_calls_conversation_id_tool_call_id", "ix_waiting_calls_open"
    # Each list of runs looks for their callbacks, too.
    indexes = [open_calls, calls_by_id, calls_by_id, open_calls, "ix_runs_waiting", "sqlite_autoindex_callbacks_1"]
    assert [index in plan[0] for index, plan in zip(indexes, watched.plans, strict=True)] == [True] * len(indexes)


def _run(connection: Connection, query: Query, values: Values) -> object:
    return connection.execute(query, values).all()


@requirement("complaint_19_queries")
async def test_an_ordinary_start_does_not_look_for_waiting_calls(file: Opened) -> None:
    traced: list[str] = []
    thread = await file.world.default(await file.world.agent())
    await file.database.write(lambda connection: driver_of(connection).set_trace_callback(traced.append))
    await file.world.start(thread, "hi")
    await file.database.write(lambda connection: driver_of(connection).set_trace_callback(None))
    assert [statement for statement in traced if "messages" in statement]
    assert [statement for statement in traced if "waiting_calls" in statement] == []


def driver_of(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver
