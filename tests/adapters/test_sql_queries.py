"""How many queries a read costs, and that SQLite finds its way by index."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, event

from letta_grpc.adapters.sql.agents import SqlAgentStore
from letta_grpc.adapters.sql.history import SqlHistoryStore
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.paging import PageRequest
from tests.support.sqlite import SqliteWorld, sqlite_world

T = TypeVar("T")


class Watched:
    """A Database that notes the statements of every job, and what SQLite plans for them."""

    def __init__(self, world: SqliteWorld) -> None:
        self._database = world.database
        self.jobs = 0
        self.statements: list[str] = []
        self.plans: list[list[str]] = []

    async def read(self, query: Callable[[Connection], T]) -> T:
        self.jobs += 1
        return await self._database.read(lambda connection: self._watched(connection, query))

    async def write(self, change: Callable[[Connection], T]) -> T:
        return await self._database.write(change)

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

        def note(_connection: object, _cursor: object, statement: str, parameters: Sequence[Any], *_: object) -> None:
            noted.append((statement, parameters))

        event.listen(connection, "before_cursor_execute", note)
        try:
            yield noted
        finally:
            event.remove(connection, "before_cursor_execute", note)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SqliteWorld]:
    async with sqlite_world(tmp_path) as world:
        yield world


async def test_a_page_of_agents_with_blocks_is_two_queries(world: SqliteWorld) -> None:
    for _ in range(5):
        await world.agent(world.new_block("a"), world.new_block("b"))
    watched = Watched(world)
    page = await SqlAgentStore(watched).list(PageRequest())
    assert [len(agent.memory_blocks) for agent in page.items] == [2] * 5
    assert len(watched.statements) == 2


async def test_a_context_is_three_queries_in_one_job_without_a_scan(world: SqliteWorld) -> None:
    thread = await world.conversation(await world.agent(world.new_block("human")))
    await world.turn(thread, "hi", "hello", context_tokens=7)
    watched = Watched(world)
    context = await SqlHistoryStore(watched).load(thread.id)
    assert context.reported_tokens == 7
    assert (watched.jobs, len(watched.statements)) == (1, 3)
    assert [step for plan in watched.plans for step in plan if step.startswith("SCAN")] == []


async def test_the_newest_count_is_found_from_the_end(world: SqliteWorld) -> None:
    thread = await world.conversation(await world.agent())
    await world.turn(thread, "hi", "hello", context_tokens=7)
    watched = Watched(world)
    await SqlHistoryStore(watched).load(thread.id)
    assert [step for step in watched.plans[0] if "TEMP B-TREE" in step] == []
