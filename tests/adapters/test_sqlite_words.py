"""The index of words says what is stored, also of rows that others change while a search takes them in."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy import Connection

from letta_grpc.adapters.sql.database import Step
from letta_grpc.adapters.sql.message_search import SqlMessageSearch
from letta_grpc.adapters.sql.open_database import OpenDatabase
from letta_grpc.adapters.sql.passages import SqlPassageStore
from letta_grpc.domain.ids import RunId
from letta_grpc.ports.search import MessageQuery
from tests.support.sql_worlds import Opened

T = TypeVar("T")


class Overtaken:
    """A Database in which others are quicker: `first` happens before each write."""

    def __init__(self, database: OpenDatabase, first: Callable[[], Awaitable[object]]) -> None:
        self._database = database
        self._first = first

    async def read(self, query: Callable[[Connection], T]) -> T:
        return await self._database.read(query)

    async def write(self, change: Callable[[Connection], T]) -> T:
        await self._first()
        return await self._database.write(change)

    async def write_in_steps(self, step: Step, *, otherwise: Step | None = None) -> None:
        await self._first()
        await self._database.write_in_steps(step, otherwise=otherwise)

    def last_sequence_number(self, run_id: RunId) -> int | None:
        return self._database.last_sequence_number(run_id)


async def test_a_note_that_is_changed_while_a_search_takes_it_in_is_found_by_its_new_words(file: Opened) -> None:
    world = file.world
    agent = await world.agent()
    note = await world.note(agent, "tea")

    async def change() -> None:
        await world.passages.update(agent.id, note.id, {"text": "milk"}, world.time())

    await SqlPassageStore(Overtaken(file.database, change)).search(agent.id, "tea", (), 10)
    assert await world.notes.search(agent.id, "tea", (), 10) == ()
    assert [found.id for found in await world.notes.search(agent.id, "milk", (), 10)] == [note.id]


async def test_messages_that_take_the_place_of_removed_ones_meanwhile_are_found(file: Opened) -> None:
    world = file.world
    agent = await world.agent()
    thread = await world.default(agent)
    await world.turn(thread, "two apples", "yes")

    async def replace() -> None:
        await world.history.reset(thread.id)
        await world.turn(thread, "three pears", "no")

    query = MessageQuery(agent_id=agent.id, text="apples")
    await SqlMessageSearch(Overtaken(file.database, replace)).search(query)
    assert await world.found(thread, "apples") == []
    assert await world.found(thread, "pears") == ["three pears"]
