"""What the words in PostgreSQL are beside what a search promises: without its limits, and found by an index."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Connection, text

from letta_grpc.adapters.sql.full_text.postgres import PostgresWords
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.stores import World
from tests.support.postgres_worlds import opened
from tests.support.sql_worlds import Opened


@pytest.fixture
async def opened_database(postgres_url: str) -> AsyncIterator[Opened]:
    async with opened(postgres_url, FakeClock()) as database:
        yield database


@pytest.fixture
def world(opened_database: Opened) -> World:
    return opened_database.world


async def test_a_text_of_more_words_than_a_filter_takes_is_found_by_each_of_them(world: World) -> None:
    agent = await world.agent()
    thread, other = await world.default(agent), await world.conversation(agent)
    long = " ".join(f"w{n}é" for n in range(150_000))
    await world.turn(thread, long, "w7e, and no more")
    await world.turn(other, long, "yes")
    assert await world.found(thread, "w149999e w8e") == [long]
    assert await world.found(thread, "w8e/w9e/w1") == [long]
    assert await world.found(thread, "w8e/w10e") == []
    assert await world.found(thread, "w7e") == ["w7e, and no more", long]


async def test_a_word_of_characters_that_take_many_bytes_is_found(world: World) -> None:
    thread = await world.default(await world.agent())
    said = "\N{MATHEMATICAL BOLD FRAKTUR CAPITAL A}" + "\N{LINEAR B SYLLABLE B008 A}" * 250
    await world.turn(thread, said, "other")
    assert await world.found(thread, said) == [said]


async def test_a_rare_word_weighs_more_than_a_common_one(world: World) -> None:
    thread = await world.default(await world.agent())
    await world.turn(thread, "the the the garden", "the garden garden the")
    for _ in range(5):
        await world.turn(thread, "the the the the house garden", "no")
    assert (await world.found(thread, "the garden"))[0] == "the garden garden the"


async def test_messages_are_found_by_the_index(opened_database: Opened) -> None:
    world = opened_database.world
    agent = await world.agent()
    thread = await world.default(agent)
    await world.turn(thread, "tea", "coffee")
    await world.found(thread, "tea")

    def plan(connection: Connection) -> str:
        words = PostgresWords("message_words")
        search = words.fitting([["green", "tea"], ["leaves"]], thread.id).compile(connection)
        # Of so few rows it would read all.
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        return "\n".join(connection.exec_driver_sql(f"EXPLAIN {search}", search.params).scalars())

    assert "Bitmap Index Scan on ix_message_words_terms" in await opened_database.database.read(plan)
