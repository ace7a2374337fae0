"""What PostgreSQL makes of the queries that must not cost more the longer a conversation is."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Connection, select, text

from letta_grpc.adapters.sql.database import Database
from letta_grpc.adapters.sql.history import CONTEXT
from letta_grpc.adapters.sql.open_database import OpenDatabase
from letta_grpc.adapters.sql.pages import paged
from letta_grpc.adapters.sql.queries import FIRST_MESSAGES, OPEN_RUNS_OF_CONVERSATION
from letta_grpc.adapters.sql.schema import messages, passages, runs
from letta_grpc.adapters.sql.session import Query
from letta_grpc.domain.paging import PageRequest
from letta_grpc.testing.clocks import FakeClock
from tests.support.postgres_worlds import opened

_PAGE = PageRequest(size=5, descending=True)
# The first agent says half of everything, the second one a hundredth.
_LONG = """
CREATE FUNCTION pg_temp.whose(n INT) RETURNS INT LANGUAGE sql
    AS 'SELECT CASE WHEN mod(n, 2) = 0 THEN 1 ELSE mod(n, 100) + 1 END';
INSERT INTO agents
    SELECT n, 'agent-' || n, '', '', '', '', '{}', '', '[]', '[]', '{}', '{}', NULL, '[]', '{}', 0, '', 0, 0
    FROM generate_series(1, 100) n;
INSERT INTO conversations SELECT n, 'conv-' || n, 'agent-' || n, '', true, '', '{}', 0, 0 FROM generate_series(1, 100) n;
INSERT INTO runs
    SELECT n, 'run-' || n, 'agent-' || pg_temp.whose(n), 'conv-' || pg_temp.whose(n), n, '', '{}', NULL, '', 'completed',
    NULL, 1, 1, NULL, NULL, false, n, n, n, '{}', NULL, '[]', NULL, 3, false, '{}', NULL, '[]', 'turn'
    FROM generate_series(1, 10000) n;
INSERT INTO messages
    SELECT n, 'message-' || n, 'conv-' || pg_temp.whose(n / 2), 'run-' || n / 2,
    CASE mod(n, 2) WHEN 1 THEN 'step-' || n / 2 END, 'user', '{}', n FROM generate_series(2, 20001) n;
INSERT INTO steps SELECT n, 'step-' || n, 'run-' || n, 0, '', '{}', '{}', '[]', n FROM generate_series(1, 10000) n;
INSERT INTO passages
    SELECT n, 'passage-' || n, 'agent-' || pg_temp.whose(n), '', '[]', '', n, n FROM generate_series(1, 10000) n;
ANALYZE
"""


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[OpenDatabase]:
    async with opened(postgres_url, FakeClock()) as open_database:
        yield open_database.database


async def plan_of(database: Database, query: Query, **values: object) -> str:
    def plan(connection: Connection) -> str:
        compiled = query.compile(connection)
        rows = connection.exec_driver_sql(f"EXPLAIN {compiled}", {**compiled.params, **values})
        return "\n".join(rows.scalars())

    return await database.read(plan)


async def long(database: Database) -> None:
    """Let there be long conversations."""

    def fill(connection: Connection) -> None:
        for statement in _LONG.split(";"):
            connection.execute(text(statement))

    await database.write(fill)


async def test_the_newest_count_is_found_from_the_end(database: OpenDatabase) -> None:
    await long(database)
    plan = await plan_of(database, CONTEXT, the_conversation="conv-1")
    assert "Seq Scan on steps" not in plan
    assert "Sort" not in plan


async def test_what_is_somebodys_is_read_in_its_order(database: OpenDatabase) -> None:
    await long(database)
    for owner in (messages.c.conversation_id, runs.c.conversation_id, runs.c.agent_id, passages.c.agent_id):
        of = "agent-2" if owner.name == "agent_id" else "conv-2"
        plan = await plan_of(database, paged(select(owner.table).where(owner == of), owner.table.c.position, _PAGE))
        assert f"ix_{owner.table.name}_{owner.name}_position" in plan
        assert "Sort" not in plan
    context = await plan_of(database, FIRST_MESSAGES, the_conversation="conv-2", the_start=100, the_limit=5)
    assert "ix_messages_conversation_id_position" in context
    assert "ix_runs_open" in await plan_of(database, OPEN_RUNS_OF_CONVERSATION, the_conversation="conv-2")
