"""Copying long conversations: step by step, and whole or not at all whatever happens meanwhile."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from letta_grpc.adapters.sql import forking
from letta_grpc.adapters.sql.rows import Values, message_values
from letta_grpc.domain.agents import Agent, Conversation
from letta_grpc.domain.errors import AgentNotFound, ConversationNotFound, StoreUnavailable
from letta_grpc.domain.forking import Fork, forked
from letta_grpc.domain.messages import Message
from letta_grpc.domain.paging import PageRequest
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.stores.world import World
from tests.support.asking import until
from tests.support.long_histories import TURNS, ended, left, long_history, unfinished
from tests.support.sqlite_worlds import Opened, opened

# What there is beside the fork: the agent's default conversation, and the one that is copied.
_BEFORE = {"removals": 0, "conversations": 2, "runs": TURNS, "messages": 2 * TURNS, "steps": TURNS, "waiting_calls": 0}
_AFTER = _BEFORE | {"conversations": 3, "runs": TURNS + 1, "messages": 4 * TURNS}


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step stores one message."""
    monkeypatch.setattr(forking, "STEP_SECONDS", 0)
    monkeypatch.setattr(forking, "_ROWS", 1)


async def copy_of(world: World, conversation: Conversation) -> Fork:
    return forked(await world.history.whole(conversation.id), model="m/m", time=world.time(), title="copy")


async def begun(file: Opened, fork: Fork) -> asyncio.Future[None]:
    """Begin to store a copy; it still goes on."""
    storing = file.world.journal.fork(fork)
    async with asyncio.timeout(30):
        await until(lambda: unfinished(file))
    assert not storing.done()
    return storing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "letta.db"


@pytest.fixture
async def file(path: Path) -> AsyncIterator[Opened]:
    async with opened(path, FakeClock()) as it:
        yield it


@pytest.fixture
async def talked(file: Opened) -> tuple[Agent, Conversation]:
    return await long_history(file.world)


async def test_others_write_while_a_conversation_is_copied_that_nobody_finds_before_it_is_whole(
    file: Opened, talked: tuple[Agent, Conversation]
) -> None:
    world, (agent, source) = file.world, talked
    fork = await copy_of(world, source)
    copy = fork.thread.conversation
    storing = await begun(file, fork)
    await world.turn(await world.default(agent), "and I?", "you go on")
    with pytest.raises(ConversationNotFound):
        await world.conversations.get(None, copy.id)
    with pytest.raises(ConversationNotFound):
        await world.start(copy, "there already?")
    listed = await world.conversations.list(agent.id, PageRequest(size=10))
    assert copy.id not in {one.id for one in listed.items}
    assert not storing.done()
    await storing
    assert await world.history.whole(copy.id) == fork.thread
    assert (await left(file))["removals"] == 0
    await world.turn(copy, "and now?", "it goes on")


async def test_a_copy_becomes_whole_when_the_caller_leaves(file: Opened, talked: tuple[Agent, Conversation]) -> None:
    fork = await copy_of(file.world, talked[1])
    (await begun(file, fork)).cancel()
    assert await ended(file) == _AFTER
    assert await file.world.history.whole(fork.thread.conversation.id) == fork.thread


async def test_what_was_copied_when_the_server_ended_is_removed_after_a_restart(path: Path) -> None:
    async with opened(path, FakeClock()) as file:
        _, source = await long_history(file.world)
        fork = await copy_of(file.world, source)
        storing = await begun(file, fork)
    with pytest.raises(StoreUnavailable):
        await storing
    async with opened(path, FakeClock()) as file:
        assert (await left(file))["messages"] > 2 * TURNS
        assert await ended(file) == _BEFORE
        with pytest.raises(ConversationNotFound):
            await file.world.history.whole(fork.thread.conversation.id)


async def test_a_copy_that_the_store_fails_is_undone(
    file: Opened, talked: tuple[Agent, Conversation], monkeypatch: pytest.MonkeyPatch
) -> None:
    fork = await copy_of(file.world, talked[1])

    def failing(message: Message, conversation_id: str) -> Values:
        if message.id == fork.thread.messages[TURNS].id:
            raise sqlite3.OperationalError("database or disk is full")
        return message_values(message, conversation_id)

    monkeypatch.setattr(forking, "message_values", failing)
    storing = await begun(file, fork)
    with pytest.raises(StoreUnavailable):
        await storing
    assert await ended(file) == _BEFORE


async def test_a_copy_whose_agent_is_deleted_meanwhile_is_not_found(file: Opened, talked: tuple[Agent, Conversation]) -> None:
    agent, source = talked
    fork = await copy_of(file.world, source)
    storing = await begun(file, fork)
    await file.world.agents.delete(agent.id)
    with pytest.raises(AgentNotFound):
        await storing
    assert not any((await ended(file)).values())
