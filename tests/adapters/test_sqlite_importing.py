"""Importing agents with a long life: step by step, and whole or not at all whatever happens meanwhile."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from letta_grpc.adapters.sql import filling
from letta_grpc.adapters.sql.rows import Values, message_values
from letta_grpc.domain.agent_files import Import
from letta_grpc.domain.agents import Agent
from letta_grpc.domain.errors import AgentNotFound, NameTaken, StoreUnavailable
from letta_grpc.domain.messages import Message, Role
from letta_grpc.domain.paging import PageRequest
from letta_grpc.ports.search import MessageQuery
from letta_grpc.ports.stores import RunFilter
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.stores.agent_files import imported
from letta_grpc.testing.stores.world import World
from tests.support.asking import until
from tests.support.long_histories import ended, left, unfinished
from tests.support.sql_worlds import Opened
from tests.support.sqlite_worlds import opened

pytestmark = pytest.mark.usefixtures("small_steps")
_SAID = 60
_NOTHING = {"removals": 0, "conversations": 0, "runs": 0, "messages": 0, "steps": 0, "waiting_calls": 0}
_WHOLE = _NOTHING | {"conversations": 2, "runs": 1, "messages": _SAID}


def long_life(world: World) -> Import:
    return imported(world, *((Role.USER, f"question {number}") for number in range(_SAID)))


@asynccontextmanager
async def import_of(file: Opened, given: Import) -> AsyncIterator[asyncio.Task[Agent]]:
    """Begin an import; at the end of the block it may still go on."""
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        task = group.create_task(file.world.importer.put(given))
        await until(lambda: unfinished(file))
        assert not task.done()
        yield task


async def check_undone(file: Opened, given: Import) -> None:
    """Wait until what is to be undone is; see that there is neither the agent nor a block of its own."""
    assert await ended(file) == _NOTHING
    with pytest.raises(AgentNotFound):
        await file.world.agents.get(given.agent.id)
    assert (await file.world.blocks.list(PageRequest())).items == ()


async def test_others_write_while_an_agent_is_imported_that_nobody_finds_before_it_is_whole(file: Opened) -> None:
    world = file.world
    other = await world.default(await world.agent())
    given = long_life(world)
    async with import_of(file, given) as importing:
        await world.turn(other, "and I?", "you go on")
        with pytest.raises(AgentNotFound):
            await world.agents.get(given.agent.id)
        with pytest.raises(AgentNotFound):
            await world.agents.delete(given.agent.id)
        with pytest.raises(AgentNotFound):
            await world.start(given.conversations[0].conversation, "there already?")
        assert [one.id for one in (await world.agents.list(PageRequest())).items] == [other.agent_id]
        assert {run.agent_id for run in (await world.runs.list(PageRequest(), RunFilter())).items} == {other.agent_id}
        assert await world.messages.search(MessageQuery(text="question", agent_id=None, limit=1000)) == ()
        assert (await world.blocks.list(PageRequest())).items == ()
        assert await world.named_tools.find(["of_a_file"]) == ()
        assert not importing.done()
    assert await importing == given.agent == await world.agents.get(given.agent.id)
    context = await world.history.load(given.conversations[0].conversation.id)
    assert [said.text for said in context.messages] == [f"question {number}" for number in range(_SAID)]
    assert (await left(file))["removals"] == 0


async def test_an_agent_becomes_whole_when_the_caller_leaves(file: Opened) -> None:
    given = long_life(file.world)
    async with import_of(file, given) as importing:
        importing.cancel()
    assert await ended(file) == _WHOLE
    assert await file.world.agents.get(given.agent.id) == given.agent


async def test_what_was_imported_when_the_server_ended_is_removed_after_a_restart(path: Path) -> None:
    async with opened(path, FakeClock()) as file:
        given = long_life(file.world)
    with pytest.raises(ExceptionGroup) as raised:
        async with opened(path, FakeClock()) as file, import_of(file, given):
            await file.database.close()
    assert [type(error) for error in raised.value.exceptions] == [StoreUnavailable]
    async with opened(path, FakeClock()) as file:
        assert (await left(file))["messages"] > 0
        await check_undone(file, given)
        assert await file.world.named_tools.find(["of_a_file"]) == ()


async def test_an_import_that_the_store_fails_is_undone(file: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    given = long_life(file.world)

    def failing(message: Message, conversation_id: str) -> Values:
        if message.text == "question 40":
            raise sqlite3.OperationalError("database or disk is full")
        return message_values(message, conversation_id)

    monkeypatch.setattr(filling, "message_values", failing)
    with pytest.raises(StoreUnavailable):
        await file.world.importer.put(given)
    await check_undone(file, given)
    assert await file.world.named_tools.find(["of_a_file"]) == ()


async def test_an_import_whose_tool_another_brings_meanwhile_is_undone(file: Opened) -> None:
    given, quicker = long_life(file.world), file.world.new_tool("of_a_file")
    with pytest.raises(ExceptionGroup) as raised:
        async with import_of(file, given):
            await file.world.tools.create(quicker)
    assert [type(error) for error in raised.value.exceptions] == [NameTaken]
    await check_undone(file, given)
    assert await file.world.named_tools.find(["of_a_file"]) == (quicker,)


async def test_a_compacted_context_is_imported_in_steps(file: Opened) -> None:
    said = ((Role.USER, "old"), (Role.USER, "kept"), (Role.SUMMARY, "summary"), *((Role.USER, "new"),) * _SAID)
    given = imported(file.world, *said, context=(2, 1, *range(3, len(said))))
    async with import_of(file, given):
        pass
    context = await file.world.history.load(given.conversations[0].conversation.id)
    assert [each.text for each in context.messages] == ["summary", "kept", *["new"] * _SAID]


async def test_blocks_that_are_there_already_are_shared_by_an_imported_agent(file: Opened) -> None:
    shared = await file.world.block("human", "Sam")
    given = long_life(file.world)
    agent = await file.world.importer.put(replace(given, agent=replace(given.agent, memory_blocks=(shared,))))
    assert agent.memory_blocks == (shared,)
