"""A server that starts or stops in the middle of something: runs are worked on by a server that lives, or left open."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime

import pytest

from letta_grpc.domain.errors import StoreUnavailable
from letta_grpc.domain.ids import ConversationId
from letta_grpc.domain.runs import ConflictPolicy, Run, RunState
from letta_grpc.ports.journal import Claim, Leases
from tests.support.engine import DONE, DirectedModel, Engine, end, engine, say


class SlowLeases:
    """Leases that deny no calls until `expiring` has done what it likes, and tell of a start when they may."""

    def __init__(self, inner: Leases) -> None:
        self.inner = inner
        self.expiring: Callable[[], None] = lambda: None
        self.may_tell = asyncio.Event()
        self.started = asyncio.Event()
        self.take_over = inner.take_over
        self.renew = inner.renew
        self.waiting_conversations = inner.waiting_conversations

    async def expire_calls(self, now: datetime) -> tuple[ConversationId, ...]:
        # What was taken over begins meanwhile.
        await asyncio.sleep(0)
        self.expiring()
        # Where a cancel arrives.
        await asyncio.sleep(0)
        return await self.inner.expire_calls(now)

    async def start_next(self, conversation_id: ConversationId) -> Claim | None:
        claim = await self.inner.start_next(conversation_id)
        self.started.set()
        await self.may_tell.wait()
        return claim


@pytest.fixture(autouse=True)
async def bounded() -> AsyncIterator[None]:
    async with asyncio.timeout(10):
        yield


async def left_open() -> tuple[Engine, Run, SlowLeases]:
    """A run that a dead server has left open, and the leases by which the next server will get it."""
    async with engine() as dead:
        dead.model.turns += [[asyncio.Event()]]
        run = await dead.start()
        await dead.model.reached.wait()
    dead.clock.advance(31)
    leases = SlowLeases(dead.database.leases)
    dead.database.leases = leases  # type: ignore[assignment]  # as good as those
    return dead, run, leases


def next_server(first: Engine, model: DirectedModel) -> AbstractAsyncContextManager[Engine]:
    return engine(database=first.database, clock=first.clock, agent=first.agent, model=model)


@pytest.mark.parametrize("fault", [StoreUnavailable, ZeroDivisionError])
async def test_a_server_whose_store_fails_during_its_start_works_on_what_it_took_over(
    fault: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    dead, run, leases = await left_open()

    def fail() -> None:
        raise fault

    leases.expiring = fail
    async with next_server(dead, DirectedModel([say("hi")])) as second:
        assert end(await second.events(run.id)).state is RunState.COMPLETED
    assert "what is left or waits could not be picked up" in caplog.text


async def test_a_server_that_is_cancelled_during_its_start_leaves_what_it_took_over_to_the_next() -> None:
    dead, run, leases = await left_open()
    starting = next_server(dead, DirectedModel([[asyncio.Event()]]))
    task = asyncio.get_running_loop().create_task(starting.__aenter__())
    leases.expiring = task.cancel  # type: ignore[assignment]  # whether it could be is of no interest
    with pytest.raises(asyncio.CancelledError):
        await task
    assert run.id not in {task.get_name() for task in asyncio.all_tasks()}
    leases.expiring = lambda: None
    dead.clock.advance(31)
    async with next_server(dead, DirectedModel([say("hi")])) as third:
        assert end(await third.events(run.id)).state is RunState.COMPLETED


async def test_a_server_does_not_wait_for_a_run_that_is_started_while_it_stops() -> None:
    async with engine() as first:
        leases = SlowLeases(first.database.leases)
        first.supervisor._queues._leases = leases  # noqa: SLF001 - the test slows a collaborator of a running engine down
        hold = asyncio.Event()
        first.model.turns += [[hold, [DONE]], [asyncio.Event()]]
        await first.start("one")
        await first.model.reached.wait()
        queued = await first.start("two", conflict_policy=ConflictPolicy.ENQUEUE)
        hold.set()
        await leases.started.wait()
        # Before anything else happens this server stops.
        asyncio.get_running_loop().call_soon(leases.may_tell.set)
    first.clock.advance(31)
    async with next_server(first, DirectedModel([say("hi")])) as second:
        assert end(await second.events(queued.id)).state is RunState.COMPLETED


async def test_what_is_queued_while_a_server_drains_is_begun_by_the_next() -> None:
    async with engine() as first:
        hold = asyncio.Event()
        first.model.turns += [[hold, *say("one")], say("two")]
        await first.start("one")
        await first.model.reached.wait()
        queued = await first.start("two", conflict_policy=ConflictPolicy.ENQUEUE)
        first.runs.drain()
        hold.set()
        await first.supervisor.idle()
        # Housekeeping looks for what waits, too.
        await first.clock.run_for(11)
        assert (await first.runs.get(queued.id)).state is RunState.QUEUED
        assert len(first.model.asked) == 1
    async with next_server(first, DirectedModel([say("two")])) as second:
        run = end(await second.events(queued.id))
    assert (run.state, run.attempt) == (RunState.COMPLETED, 1)


async def test_what_another_server_has_lost_a_server_that_drains_leaves_to_the_next() -> None:
    async with engine() as first:
        first.runs.drain()
        async with engine(database=first.database, clock=first.clock, agent=first.agent) as dead:
            dead.model.turns += [[asyncio.Event()]]
            run = await dead.start()
            await dead.model.reached.wait()
        await first.clock.run_for(60)
        assert (await first.runs.get(run.id)).attempt == 1
    async with next_server(first, DirectedModel([say("hi")])) as third:
        assert end(await third.events(run.id)).state is RunState.COMPLETED
