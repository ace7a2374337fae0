"""What an EventLog promises."""
# ruff: noqa: S101, PLR2004 - assert and expected numbers are what a contract is made of

import asyncio
from datetime import timedelta

import pytest

from letta_grpc.domain.errors import CursorAhead, EventsExpired, RunNotFound
from letta_grpc.domain.frames import split_frames
from letta_grpc.domain.ids import RunId, new_run_id
from letta_grpc.domain.runs import ConflictPolicy
from letta_grpc.ports.journal import Claim
from letta_grpc.ports.log import EventLog
from letta_grpc.testing.journals.scenes import deltas, frames_of, running
from letta_grpc.testing.stores.world import World, held

_PAGE = 2**20
_LATER = timedelta(days=1)


class EventLogContract:
    """What an EventLog promises."""

    async def test_a_log_can_be_read_from_every_number(self, world: World) -> None:
        """What follows a number is the same bytes whoever asks and from wherever."""
        claim = await running(world)
        for size in (1, 3, 2):
            await world.journal.append(held(claim), deltas(size))
        frames = await frames_of(world.log, claim.run.id)
        for after in range(8):
            page = await world.log.read(claim.run.id, after, _PAGE)
            assert (page.first, page.last, page.frames) == (after + 1, 7, b"".join(frames[after:]))
        await world.finish(claim)
        for after in range(8):
            assert (await frames_of(world.log, claim.run.id, after))[:-1] == frames[after:]

    async def test_a_long_log_reads_the_same_however_it_is_cut(self, world: World) -> None:
        """While it is written and after its end; no page is longer than asked for, unless one event alone is."""
        claim = await running(world)
        for turn in range(60):
            await world.journal.append(held(claim), deltas(50, f"{turn} {'x' * (turn * 3)}"))
        before = await frames_of(world.log, claim.run.id)
        assert len(before) == 1 + 60 * 50
        for max_bytes in (1, 5_000, 70_000):
            assert await frames_of(world.log, claim.run.id, 2_500, max_bytes) == before[2_500:]
        for after in range(0, len(before), 97):
            page = await world.log.read(claim.run.id, after, 1_000)
            assert page.frames == b"".join(before[after : page.last])
            assert 0 < len(page.frames) <= 1_000
        await world.finish(claim)
        for max_bytes in (5_000, 70_000, _PAGE):
            assert (await frames_of(world.log, claim.run.id, 0, max_bytes))[:-1] == before

    async def test_one_event_is_given_however_long_it_is(self, world: World) -> None:
        """A page is never empty while there is more."""
        claim = await running(world)
        await world.journal.append(held(claim), deltas(2, "x" * 200_000))
        page = await world.log.read(claim.run.id, 1, 1_000)
        assert (page.first, page.last, len(list(split_frames(page.frames)))) == (2, 2, 1)
        assert (await world.log.read(claim.run.id, 2, 1_000)).last == 3

    async def test_a_page_says_when_nothing_more_will_come(self, world: World) -> None:
        """Only the one that reaches the last event of a run that has ended."""
        claim = await running(world)
        await world.journal.append(held(claim), deltas(2))
        assert not (await world.log.read(claim.run.id, 0, _PAGE)).ended
        assert not (await world.log.read(claim.run.id, 3, _PAGE)).ended
        await world.finish(claim)
        assert not (await world.log.read(claim.run.id, 0, 1)).ended
        assert (await world.log.read(claim.run.id, 0, _PAGE)).ended
        end = await world.log.read(claim.run.id, 4, _PAGE)
        assert (end.first, end.last, end.frames, end.ended) == (5, 4, b"", True)

    async def test_a_number_beyond_the_last_is_refused(self, world: World) -> None:
        """During the run and after it."""
        claim = await running(world)
        with pytest.raises(CursorAhead) as caught:
            await world.log.read(claim.run.id, 2, _PAGE)
        assert caught.value.metadata == {"run_id": claim.run.id, "last": "1"}
        await world.finish(claim)
        with pytest.raises(CursorAhead):
            await world.log.read(claim.run.id, 3, _PAGE)

    async def test_an_unknown_run_has_no_log(self, world: World) -> None:
        """Neither to read nor to wait for."""
        unknown = new_run_id()
        for asked in (world.log.read(unknown, 0, _PAGE), world.log.wait(unknown, 0)):
            with pytest.raises(RunNotFound) as caught:
                await asked
            assert caught.value.metadata == {"run_id": unknown}

    async def test_a_queued_run_has_an_empty_log(self, world: World) -> None:
        """That will have more."""
        _, queued = await _active_and_queued(world)
        page = await world.log.read(queued.run.id, 0, _PAGE)
        assert (page.first, page.last, page.frames, page.ended) == (1, 0, b"", False)

    async def test_a_waiter_goes_on_when_there_is_more(self, world: World) -> None:
        """What it waited for can be read at once."""
        claim = await running(world)
        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(_wait_and_read(world.log, claim.run.id, 1)) for _ in range(3)]
            await asyncio.sleep(0)
            await world.journal.append(held(claim), deltas(1))
        assert [task.result() for task in waiting] == [2, 2, 2]

    async def test_nobody_waits_for_what_is_there_or_will_never_come(self, world: World) -> None:
        """More than the number, or the end."""
        claim = await running(world)
        async with asyncio.timeout(5):
            await world.log.wait(claim.run.id, 0)
            await world.finish(claim)
            await world.log.wait(claim.run.id, 1)
            await world.log.wait(claim.run.id, 2)

    async def test_who_waits_for_a_queued_run_learns_of_its_start_or_end(self, world: World) -> None:
        """Here it is cancelled."""
        _, queued = await _active_and_queued(world)
        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(_wait_and_read(world.log, queued.run.id, 0))
            await asyncio.sleep(0)
            await world.journal.request_cancel(queued.run.id)
        assert waiting.result() == 1

    async def test_a_waiter_that_gives_up_leaves_the_others_waiting(self, world: World) -> None:
        """And costs them nothing."""
        claim = await running(world)
        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            patient = tasks.create_task(_wait_and_read(world.log, claim.run.id, 1))
            hasty = tasks.create_task(world.log.wait(claim.run.id, 1))
            await asyncio.sleep(0)
            hasty.cancel()
            await asyncio.sleep(0)
            assert not patient.done()
            await world.journal.append(held(claim), deltas(1))
        assert patient.result() == 2

    async def test_followers_of_a_run_see_all_of_it_once_each(self, world: World) -> None:
        """However fast they read and wherever they begin; each sees the same bytes."""
        claim = await running(world)
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            followers = [tasks.create_task(_follow(world.log, claim.run.id, pace)) for pace in (0, 1, 7)]
            for turn in range(50):
                world.journal.append(held(claim), deltas(1 + turn % 3))
                await asyncio.sleep(0)
            await world.finish(claim)
        whole = await frames_of(world.log, claim.run.id)
        assert all(follower.result() == b"".join(whole) for follower in followers)

    async def test_trimmed_events_are_gone_and_the_run_is_not(self, world: World) -> None:
        """Readers are told how far the log went; at its end there is nothing to miss."""
        claim = await running(world)
        ended = await world.finish(claim)
        assert ended.end_time is not None
        assert await world.log.trim(ended.end_time) == 0
        assert await world.log.trim(ended.end_time + _LATER) == 1
        for after in (0, 1):
            with pytest.raises(EventsExpired) as caught:
                await world.log.read(claim.run.id, after, _PAGE)
            assert caught.value.metadata == {"run_id": claim.run.id, "oldest": "3", "last": "2"}
        assert (await world.log.read(claim.run.id, 2, _PAGE)).ended
        with pytest.raises(CursorAhead):
            await world.log.read(claim.run.id, 3, _PAGE)
        assert (await world.runs.get(claim.run.id)).last_sequence_number == 2
        assert len(await world.history.of_run(claim.run.id)) == 1
        assert await world.log.trim(ended.end_time + _LATER) == 0

    async def test_a_live_run_is_never_trimmed(self, world: World) -> None:
        """However old it is."""
        claim = await running(world)
        await world.journal.append(held(claim), deltas(100, "x" * 2_000))
        before = await frames_of(world.log, claim.run.id)
        assert await world.log.trim(world.time() + 1000 * _LATER) == 0
        assert await frames_of(world.log, claim.run.id) == before


async def _active_and_queued(world: World) -> tuple[Claim, Claim]:
    conversation = await world.default(await world.agent())
    active = await world.start(conversation, "now")
    return active, await world.start(conversation, "later", conflict_policy=ConflictPolicy.ENQUEUE)


async def _wait_and_read(log: EventLog, run_id: RunId, after: int) -> int:
    await log.wait(run_id, after)
    return (await log.read(run_id, after, _PAGE)).last


async def _follow(log: EventLog, run_id: RunId, pace: int) -> bytes:
    """Return what a reader sees that leaves the loop to others for `pace` turns after each page."""
    frames, after, ended = b"", 0, False
    while not ended:
        await log.wait(run_id, after)
        page = await log.read(run_id, after, _PAGE)
        if page.first != after + 1:
            raise AssertionError(f"{page.first} came after {after}")
        frames, after, ended = frames + page.frames, page.last, page.ended
        for _ in range(pace):
            await asyncio.sleep(0)
    return frames
