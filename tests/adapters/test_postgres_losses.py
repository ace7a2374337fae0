"""A server of PostgreSQL that goes away, and what it had is still there when it comes back."""

import asyncio
from collections.abc import Callable

import pytest

from letta_grpc.domain.errors import StoreUnavailable
from letta_grpc.testing.clocks import FakeClock
from tests.support.postgres import PostgresServer
from tests.support.postgres_worlds import opened
from tests.support.sessions import end_sessions


@pytest.mark.parametrize("end", [PostgresServer.kill, PostgresServer.stop])
async def test_the_first_write_without_the_database_finds_out_that_it_is_lost(
    end: Callable[[PostgresServer], None], postgres: PostgresServer, postgres_url: str
) -> None:
    async with opened(postgres_url, FakeClock()) as one:
        agent = await one.world.agent()
        await asyncio.to_thread(end, postgres)
        with pytest.raises(StoreUnavailable):
            await one.world.agent()
        async with asyncio.timeout(5):
            await one.database.lost.wait()
    await asyncio.to_thread(postgres.start)
    async with opened(postgres_url, FakeClock()) as next_one:
        assert await next_one.world.agents.get(agent.id) == agent


async def test_a_database_that_nobody_asks_anything_is_found_out_to_be_lost(postgres_url: str) -> None:
    async with opened(postgres_url, FakeClock()) as one, asyncio.timeout(5):
        agent = await one.world.agent()
        await asyncio.to_thread(end_sessions, postgres_url)
        # Nothing fails meanwhile that can be done without the writer.
        assert await one.world.agents.get(agent.id) == agent
        await one.database.lost.wait()
