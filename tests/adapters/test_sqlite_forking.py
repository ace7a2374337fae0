"""Copying long conversations: step by step, and whole or not at all whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from letta_grpc.adapters.sql import filling
from letta_grpc.adapters.sql.journal.group import Group, Published
from letta_grpc.adapters.sql.rows import Values, message_values
from letta_grpc.domain.agents import Agent, Conversation
from letta_grpc.domain.errors import AgentNotFound, ConversationNotFound, StoreUnavailable
from letta_grpc.domain.forking import Fork, forked
from letta_grpc.domain.messages import Message
from letta_grpc.domain.paging import PageRequest
from letta_grpc.ports.search import MessageQuery
from letta_grpc.ports.stores import RunFilter
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.journals.forking import compacted
from letta_grpc.testing.stores.world import World
from tests.support.asking import until
from tests.support.long_histories import TURNS, ended, left, long_history, unfinished
from tests.support.sql_worlds import Opened
from tests.support.sqlite_worlds import opened

pytestmark = pytest.mark.usefixtures("small_steps")
_ALL = PageRequest(size=1000)
# What there is beside the fork: the agent's default conversation, and the one that is copied.
_BEFORE = {"removals": 0, "conversations": 2, "runs": TURNS, "messages": 2 * TURNS, "steps": TURNS, "waiting_calls": 0}
_AFTER = _BEFORE | {"conversations": 3, "runs": TURNS + 1, "messages": 4 * TURNS}


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
async def talked(file: Opened) -> tuple[Agent, Conversation]:
    return await long_history(file.world)


async def test_others_write_while_a_conversation_is_copied_that_nobody_finds_before_it_is_whole(
    file: Opened, talked: tuple[Agent, Conversation]
) -> None:
    world, (agent, source) = file.world, talked
    fork = await copy_of(world, source)
    copy = fork.copy.conversation
    storing = await begun(file, fork)
    await world.turn(await world.default(agent), "and I?", "you go on")
    with pytest.raises(ConversationNotFound):
        await world.conversations.get(None, copy.id)
    with pytest.raises(ConversationNotFound):
        await world.start(copy, "there already?")
    listed = await world.conversations.list(agent.id, PageRequest(size=10))
    assert copy.id not in {one.id for one in listed.items}
    assert fork.ended.run.id not in {run.id for run in (await world.runs.list(_ALL, RunFilter(agent_id=agent.id))).items}
    found = await world.messages.search(MessageQuery(text="question", agent_id=None, limit=1000))
    assert {one.conversation_id for one in found} == {source.id}
    stored = {message.run_id for message in (await world.history.list_of_agent(agent.id, _ALL)).items}
    assert fork.ended.run.id not in stored
    assert not storing.done()
    await storing
    assert await world.history.whole(copy.id) == fork.copy
    assert (await left(file))["removals"] == 0
    await world.turn(copy, "and now?", "it goes on")


async def test_a_copy_becomes_whole_when_the_caller_leaves(file: Opened, talked: tuple[Agent, Conversation]) -> None:
    fork = await copy_of(file.world, talked[1])
    (await begun(file, fork)).cancel()
    assert await ended(file) == _AFTER
    assert await file.world.history.whole(fork.copy.conversation.id) == fork.copy


async def test_what_was_copied_when_the_server_ended_is_removed_after_a_restart(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_is_copied, ends = threading.Event(), threading.Event()
    async with opened(path, FakeClock()) as file:
        _, source = await long_history(file.world)
        fork = await copy_of(file.world, source)

        def pausing(message: Message, conversation_id: str) -> Values:
            if message.id == fork.copy.messages[TURNS].id:
                half_is_copied.set()
                ends.wait(30)
            return message_values(message, conversation_id)

        monkeypatch.setattr(filling, "message_values", pausing)
        storing = file.world.journal.fork(fork)
        assert await asyncio.to_thread(half_is_copied.wait, 30)
        # The server ends before the loop can ask for the next step.
        ends.set()
    with pytest.raises(StoreUnavailable):
        await storing
    with closing(sqlite3.connect(path)) as driver:
        assert driver.execute("SELECT count(*) FROM messages").fetchone() == (2 * TURNS + TURNS + 1,)
    async with opened(path, FakeClock()) as file:
        assert await ended(file) == _BEFORE
        with pytest.raises(ConversationNotFound):
            await file.world.history.whole(fork.copy.conversation.id)


async def test_a_copy_that_the_store_fails_is_undone(
    file: Opened, talked: tuple[Agent, Conversation], monkeypatch: pytest.MonkeyPatch
) -> None:
    fork = await copy_of(file.world, talked[1])

    def failing(message: Message, conversation_id: str) -> Values:
        if message.id == fork.copy.messages[TURNS].id:
            raise sqlite3.OperationalError("database or disk is full")
        return message_values(message, conversation_id)

    monkeypatch.setattr(filling, "message_values", failing)
    storing = await begun(file, fork)
    with pytest.raises(StoreUnavailable):
        await storing
    assert await ended(file) == _BEFORE


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_compacted_context_is_copied_in_steps(
    file: Opened,
    talked: tuple[Agent, Conversation],
    keeps: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    world, (_, source) = file.world, talked
    await compacted(world, source, keeps=keeps)
    await world.turn(source, "and then?", "that was all")
    fork = await copy_of(world, source)
    await (await begun(file, fork))
    copy = fork.copy.conversation.id
    assert await world.history.whole(copy) == fork.copy
    assert [m.text for m in (await world.history.load(copy)).messages] == [
        m.text for m in (await world.history.load(source.id)).messages
    ]


class Disk:
    """A disk that fails once behind a commit, which nobody is then told of: the one after which `is_due` is true."""

    def __init__(self, patch: pytest.MonkeyPatch, is_due: Callable[[Disk, int], bool]) -> None:
        self.marks = 0
        write, self._has_failed = Group.write, False

        def failing(group: Group) -> list[Published]:
            published = write(group)
            marks = group.state.connection.core.exec_driver_sql("SELECT count(*) FROM removals").scalar_one()
            is_now, self.marks = is_due(self, marks), marks
            if is_now and not self._has_failed:
                self._has_failed = True
                raise sqlite3.OperationalError("disk I/O error")
            return published

        patch.setattr(Group, "write", failing)


async def test_a_copy_that_is_begun_though_the_store_says_that_it_failed_is_undone(
    file: Opened, talked: tuple[Agent, Conversation], monkeypatch: pytest.MonkeyPatch
) -> None:
    fork = await copy_of(file.world, talked[1])
    Disk(monkeypatch, lambda disk, marks: marks > disk.marks)
    with pytest.raises(StoreUnavailable):
        await file.world.journal.fork(fork)
    assert await ended(file) == _BEFORE


async def test_a_copy_that_is_whole_though_the_store_says_that_it_failed_stays_whole(
    file: Opened, talked: tuple[Agent, Conversation], monkeypatch: pytest.MonkeyPatch
) -> None:
    fork = await copy_of(file.world, talked[1])
    Disk(monkeypatch, lambda disk, marks: marks < disk.marks)
    storing = await begun(file, fork)
    with pytest.raises(StoreUnavailable):
        await storing
    # Behind whatever is still to come.
    await file.world.conversations.delete((await file.world.conversation(talked[0])).id)
    assert await left(file) == _AFTER
    assert await file.world.history.whole(fork.copy.conversation.id) == fork.copy


async def test_nobody_complains_of_a_failure_that_nobody_waits_for(file: Opened, talked: tuple[Agent, Conversation]) -> None:
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told["message"]))
    fork = await copy_of(file.world, talked[1])
    await file.world.agents.delete(talked[0].id)
    file.world.journal.fork(fork).cancel()
    # Behind it in the writer's queue, and once more: the thread keeps what it did last.
    for _ in range(2):
        await file.world.agent()
    gc.collect()
    assert complaints == []


async def test_a_copy_whose_agent_is_deleted_meanwhile_is_not_found(file: Opened, talked: tuple[Agent, Conversation]) -> None:
    agent, source = talked
    fork = await copy_of(file.world, source)
    storing = await begun(file, fork)
    await file.world.agents.delete(agent.id)
    with pytest.raises(AgentNotFound):
        await storing
    assert not any((await ended(file)).values())
