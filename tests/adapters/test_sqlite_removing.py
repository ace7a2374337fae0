"""Removing long histories: step by step, and to the end whatever happens meanwhile."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import ColumnElement, Connection, Table

from letta_grpc.adapters.sql import removing
from letta_grpc.adapters.sql.database import Step
from letta_grpc.adapters.sql.journal import long_changes
from letta_grpc.adapters.sql.removing import Removal
from letta_grpc.domain.agents import Conversation
from letta_grpc.domain.errors import AgentNotFound, ConversationNotFound, StoreUnavailable
from letta_grpc.domain.forking import forked
from letta_grpc.domain.paging import PageRequest
from letta_grpc.ports.search import MessageQuery
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.journals.asking import ask
from tests.support.asking import until
from tests.support.long_histories import TURNS, ended, left, long_history, unfinished
from tests.support.sql_worlds import Opened
from tests.support.sqlite_worlds import opened

pytestmark = pytest.mark.usefixtures("small_steps")
# What is left when all but one exchange in a default conversation is removed.
ONE_TURN = {"removals": 0, "conversations": 1, "runs": 1, "messages": 2, "steps": 1, "waiting_calls": 0}


@asynccontextmanager
async def removal_of(file: Opened, removal: Coroutine[None, None, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Begin a removal; at the end of the block it may still go on."""
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        task = group.create_task(removal)
        await until(lambda: unfinished(file))
        assert not task.done()
        yield task


async def test_others_write_while_an_agent_is_removed_that_nobody_finds_any_more(file: Opened) -> None:
    world = file.world
    other = await world.default(await world.agent())
    agent, conversation = await long_history(world)
    async with removal_of(file, world.agents.delete(agent.id)) as removal:
        await world.turn(other, "and I?", "you go on")
        assert not removal.done()
        with pytest.raises(AgentNotFound):
            await world.agents.get(agent.id)
        with pytest.raises(AgentNotFound):
            await world.agents.delete(agent.id)
        with pytest.raises(AgentNotFound):
            await world.start(conversation, "still there?")
        with pytest.raises(ConversationNotFound):
            await world.conversations.get(None, conversation.id)
        assert [one.id for one in (await world.agents.list(PageRequest(size=10))).items] == [other.agent_id]
    assert await left(file) == ONE_TURN


async def test_what_an_agent_said_is_not_found_any_more_while_it_is_removed(file: Opened) -> None:
    world = file.world
    other = await world.default(await world.agent())
    await world.turn(other, "another question", "another answer")
    agent, _ = await long_history(world)
    async with removal_of(file, world.agents.delete(agent.id)) as removal:
        found = await world.messages.search(MessageQuery(text="question", agent_id=None, limit=1000))
        assert not removal.done()
    assert {one.agent_id for one in found} == {other.agent_id}


async def test_a_conversation_is_removed_in_steps_and_its_agent_stays(file: Opened) -> None:
    world = file.world
    agent, conversation = await long_history(world)
    default = await world.default(agent)
    async with removal_of(file, world.conversations.delete(conversation.id)) as removal:
        with pytest.raises(ConversationNotFound):
            await world.start(conversation, "still there?")
        with pytest.raises(ConversationNotFound):
            await world.conversations.delete(conversation.id)
        assert [one.id for one in (await world.conversations.list(agent.id, PageRequest(size=10))).items] == [default.id]
        await world.turn(default, "and I?", "you go on")
        assert not removal.done()
    assert await left(file) == ONE_TURN


async def test_a_removal_goes_on_when_the_caller_leaves(file: Opened) -> None:
    agent, _ = await long_history(file.world)
    async with removal_of(file, file.world.agents.delete(agent.id)) as removal:
        removal.cancel()
    assert not any((await ended(file)).values())


async def test_a_removal_goes_on_after_a_restart(path: Path) -> None:
    async with opened(path, FakeClock()) as file:
        agent, _ = await long_history(file.world)
    with pytest.raises(ExceptionGroup) as raised:
        async with opened(path, FakeClock()) as file, removal_of(file, file.world.agents.delete(agent.id)):
            await file.database.close()
    assert [type(error) for error in raised.value.exceptions] == [StoreUnavailable]
    async with opened(path, FakeClock()) as file:
        assert (await left(file))["runs"] > 0
        with pytest.raises(AgentNotFound):
            await file.world.agents.get(agent.id)
        assert not any((await ended(file)).values())


async def test_memory_blocks_are_free_of_an_agent_at_once(file: Opened) -> None:
    world = file.world
    agent, _ = await long_history(world)
    shared, other = await world.block("human"), await world.block("persona")
    for block in (shared, other):
        await world.memory.attach(agent.id, block.id)
    async with removal_of(file, world.agents.delete(agent.id)) as removal:
        # Taken in the agent that is being removed.
        renamed = await world.blocks.update(shared.id, {"label": "persona"}, world.time())
        assert not removal.done()
        assert renamed.label == "persona"


@pytest.mark.parametrize("kind", ["agent", "conversation"])
async def test_of_one_run_with_many_messages_a_step_removes_some(file: Opened, kind: Literal["agent", "conversation"]) -> None:
    # As a copied or an imported conversation has one.
    world = file.world
    agent, source = await long_history(world)
    fork = forked(await world.history.whole(source.id), model="m/m", time=world.time())
    await world.journal.fork(fork)
    await world.conversations.delete(source.id)
    counts = [(await left(file))["messages"]]
    step: Step | None = Removal(kind, agent.id if kind == "agent" else fork.copy.conversation.id).begin
    while step:
        step = await file.database.write(step)
        counts.append((await left(file))["messages"])
    assert counts[0] == 2 * TURNS
    assert {before - after for before, after in pairwise(counts)} == {0, 1}
    assert counts[-1] == 0


async def test_calls_that_wait_are_gone_at_once(file: Opened) -> None:
    # Else they would expire amid the removal, and be denied in a run that is gone.
    world = file.world
    agent, conversation = await long_history(world)
    await ask(world, await world.start(conversation, "Send it."), "call-1", "call-2")
    assert (await left(file))["waiting_calls"] == 2
    async with removal_of(file, world.agents.delete(agent.id)):
        rows = await left(file)
        assert rows["waiting_calls"] == 0
        assert rows["runs"] > 1


@asynccontextmanager
async def reset_of(file: Opened, conversation: Conversation) -> AsyncIterator[asyncio.Task[None]]:
    """Begin a reset; at the end of the block it may still go on."""

    async def begun() -> bool:
        return (await left(file))["messages"] < 2 * TURNS

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        reset = group.create_task(file.world.history.reset(conversation.id))
        await until(begun)
        yield reset


async def test_a_conversation_that_is_reset_in_steps_can_go_on_meanwhile(file: Opened) -> None:
    world = file.world
    _, conversation = await long_history(world)
    async with reset_of(file, conversation) as reset:
        claim = await world.start(conversation, "and now?")
        assert not reset.done()
        context = await world.history.load(conversation.id)
        assert [message.text for message in context.messages] == ["and now?"]
        await world.finish(claim)
    listed = await world.history.list(conversation.id, PageRequest(size=10))
    assert [message.text for message in listed.items] == ["and now?"]


async def test_a_reset_goes_on_after_a_restart_and_removes_nothing_that_was_said_since(path: Path) -> None:
    async with opened(path, FakeClock()) as file:
        _, conversation = await long_history(file.world)
    with pytest.raises(ExceptionGroup) as raised:  # noqa: PT012 - it is what the server ends in the midst of
        async with opened(path, FakeClock()) as file, reset_of(file, conversation):
            await file.world.turn(conversation, "and now?", "it goes on")
            await file.database.close()
    assert [type(error) for error in raised.value.exceptions] == [StoreUnavailable]
    async with opened(path, FakeClock()) as file:
        assert (await left(file))["messages"] > 2
        assert (await file.world.conversations.get(None, conversation.id)).id == conversation.id
        assert (await ended(file))["messages"] == 2
        listed = await file.world.history.list(conversation.id, PageRequest(size=10))
        assert [message.text for message in listed.items] == ["and now?", "it goes on"]


async def test_a_second_reset_amid_the_first_removes_what_was_said_between_them_too(file: Opened) -> None:
    world = file.world
    _, conversation = await long_history(world)
    async with reset_of(file, conversation) as reset:
        await world.turn(conversation, "and now?", "it goes on")
        await world.history.reset(conversation.id)
        await reset
    assert (await ended(file))["messages"] == 0


async def test_what_a_reset_is_still_to_remove_is_not_copied(file: Opened) -> None:
    # In a copy, or a file, it would stand in the context again.
    world = file.world
    _, conversation = await long_history(world)
    async with reset_of(file, conversation) as reset:
        claim = await world.start(conversation, "and now?")
        whole = await world.history.whole(conversation.id)
        assert not reset.done()
        assert [message.text for message in whole.messages] == ["and now?"]
        await world.finish(claim)


async def test_what_a_reset_is_still_to_remove_says_nothing_about_the_length_of_the_context(file: Opened) -> None:
    world = file.world
    _, conversation = await long_history(world)
    await world.turn(conversation, "and then?", "that was all", context_tokens=90_000)
    async with reset_of(file, conversation) as reset:
        context = await world.history.load(conversation.id)
        assert not reset.done()
        assert context.reported_tokens is None


async def test_a_removal_that_the_store_has_failed_goes_on_later(file: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    # A full disk, for one: removing again, to make room, would find nothing to remove.
    monkeypatch.setattr(long_changes, "AGAIN_SECONDS", 0.01)
    agent, _ = await long_history(file.world)
    removed, outcomes = removing.remove_for_a_while, iter([True, True, False, False])

    def failing(connection: Connection, parts: Iterable[tuple[Table, ColumnElement[bool]]]) -> bool:
        if not next(outcomes, True):
            raise sqlite3.OperationalError("database or disk is full")
        return removed(connection, parts)

    monkeypatch.setattr(removing, "remove_for_a_while", failing)
    with pytest.raises(StoreUnavailable):
        await file.world.agents.delete(agent.id)
    assert (await left(file))["runs"] > 0
    assert not any((await ended(file)).values())


async def test_of_many_long_changes_one_at_a_time_goes_on(file: Opened) -> None:
    # Everyone's events wait for each step that is in their transaction.
    done: list[str] = []

    def step(connection: Connection, left: int = 10) -> Step | None:
        if left == 10:
            # All of them begin together: whoever asks is to be told at once what is gone.
            driver = connection.connection.dbapi_connection
            assert driver is not None
            driver.set_trace_callback(lambda sql: done.append(sql) if sql == "COMMIT" else None)
        else:
            done.append("step")
        return (lambda connection: step(connection, left - 1)) if left else None

    await asyncio.gather(*(file.database.write_in_steps(step) for _ in range(5)))
    steps = [one for one in done if one == "step"]
    assert len(steps) == 50
    assert "step step" not in " ".join(done)
