"""What a CallbackStore promises."""
# ruff: noqa: S101 - assert is what a contract does

from dataclasses import replace
from datetime import timedelta

from letta_grpc.domain.callbacks import LONGEST_PAUSE, Callback
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import RunState
from letta_grpc.ports.callbacks import DueCallback
from letta_grpc.ports.journal import Claim
from letta_grpc.ports.stores import RunFilter
from letta_grpc.testing.stores.world import World

URL = "https://example.com/told?key=\u00e9"
TRACE = f"00-{'a' * 32}-{'b' * 16}-01"
_MINUTE = timedelta(minutes=1)


class CallbackStoreContract:
    """What a CallbackStore promises. A subclass gives the fixture `world`."""

    async def test_a_caller_is_due_once_its_run_has_ended(self, world: World) -> None:
        """Not while it is at work, and not for a run that names nobody."""
        claim = await _started(world)
        await world.finish(await world.start(await world.default(await world.agent()), "Hi."))
        assert await world.callbacks.take(world.time(), world.time(), 10) == ()
        ended = await world.finish(claim)
        (due,) = await world.callbacks.take(world.time(), world.time(), 10)
        assert (due.run.id, due.run.state, due.run.end_time) == (ended.id, RunState.COMPLETED, ended.end_time)
        assert due.callback == due.run.callback == Callback(url=URL)

    async def test_it_is_told_in_which_trace_the_run_was_started(self, world: World) -> None:
        """Where there was one."""
        conversation = await world.default(await world.agent())
        traced = await world.start(conversation, "Hello.", callback_url=URL, traceparent=TRACE)
        ended = [await world.finish(traced), await world.finish(await _started(world))]
        due = await world.callbacks.take(world.time(), world.time(), 10)
        assert [(each.run.id, each.traceparent) for each in due] == [(ended[0].id, TRACE), (ended[1].id, None)]

    async def test_what_was_taken_is_due_again_when_its_time_comes(self, world: World) -> None:
        """A server that took it may have died."""
        await world.finish(await _started(world))
        now = world.time()
        assert len(await world.callbacks.take(now, now + _MINUTE, 10)) == 1
        assert await world.callbacks.take(now, now + _MINUTE, 10) == ()
        assert len(await world.callbacks.take(now + _MINUTE, now + 2 * _MINUTE, 10)) == 1

    async def test_what_came_of_it_is_kept_and_says_whether_it_is_due_again(self, world: World) -> None:
        """And readers of the run see it."""
        run = await world.finish(await _started(world))
        now = world.time()
        (due,) = await world.callbacks.take(now, now + _MINUTE, 10)
        tried = Callback(url=URL, attempts=1, send_time=now, error="refused")
        await world.callbacks.put(run.id, tried, now + 2 * _MINUTE)
        assert await world.callbacks.take(now + _MINUTE, now + 3 * _MINUTE, 10) == ()
        (again,) = await world.callbacks.take(now + 2 * _MINUTE, now + 3 * _MINUTE, 10)
        assert again == DueCallback(replace(due.run, callback=tried), tried)
        taken = replace(tried, attempts=2, error=None, status_code=204)
        await world.callbacks.put(run.id, taken, None)
        assert await world.callbacks.take(now + 60 * _MINUTE, now + 61 * _MINUTE, 10) == ()
        assert (await world.runs.get(run.id)).callback == taken
        (listed,) = (await world.runs.list(PageRequest(size=10), RunFilter())).items
        assert listed.callback == taken

    async def test_the_longest_due_come_first_and_no_more_than_asked_for(self, world: World) -> None:
        """In order of acceptance, as long as none was tried."""
        runs = [await world.finish(await _started(world)) for _ in range(3)]
        now = world.time()
        assert [due.run.id for due in await world.callbacks.take(now, now + _MINUTE, 2)] == [run.id for run in runs[:2]]
        assert [due.run.id for due in await world.callbacks.take(now, now + _MINUTE, 2)] == [runs[2].id]

    async def test_one_that_is_due_later_than_any_pause_is_due(self, world: World) -> None:
        """It was told the time by a clock that has been put back since."""
        run = await world.finish(await _started(world))
        now = world.time()
        await world.callbacks.put(run.id, Callback(url=URL), now + LONGEST_PAUSE)
        assert await world.callbacks.take(now, now + _MINUTE, 10) == ()
        before = now - _MINUTE
        assert [due.run.id for due in await world.callbacks.take(before, before + _MINUTE, 10)] == [run.id]
        assert await world.callbacks.take(before, before + _MINUTE, 10) == ()

    async def test_it_tells_when_the_next_one_is_due(self, world: World) -> None:
        """Of runs that have ended: nobody knows when another will."""
        await _started(world)
        assert await world.callbacks.next_time() is None
        for _ in range(2):
            await world.finish(await _started(world))
        now = world.time()
        await world.callbacks.take(now, now + 2 * _MINUTE, 1)
        await world.callbacks.take(now, now + _MINUTE, 1)
        assert await world.callbacks.next_time() == now + _MINUTE

    async def test_the_callback_of_a_deleted_run_is_gone_with_it(self, world: World) -> None:
        """What comes too late changes nothing."""
        run = await world.finish(await _started(world))
        await world.agents.delete(run.agent_id)
        await world.callbacks.put(run.id, Callback(url=URL), world.time())
        assert await world.callbacks.take(world.time(), world.time(), 10) == ()


async def _started(world: World) -> Claim:
    return await world.start(await world.default(await world.agent()), "Hello.", callback_url=URL)
