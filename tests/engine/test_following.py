import asyncio
from collections.abc import Awaitable
from contextlib import aclosing

import pytest

from letta_grpc.domain.completions import TextChunk
from letta_grpc.domain.errors import CursorAhead, EventsExpired, RunNotFound, ServerDraining
from letta_grpc.domain.frames import split_frames
from letta_grpc.domain.ids import new_agent_id, new_run_id
from letta_grpc.domain.messages import Role
from letta_grpc.domain.paging import PageRequest
from letta_grpc.engine.readers import Readers
from letta_grpc.ports.log import LogPage
from letta_grpc.ports.stores import RunFilter
from letta_grpc.testing.stores.paging import check_pages
from tests.support.engine import DONE, Engine, call, end, say


async def pages_of(house: Engine, run_id: str, after: int = 0) -> list[bytes]:
    found: list[bytes] = []
    async for page in house.runs.follow(run_id, after, None):  # type: ignore[arg-type]  # a run id
        assert (page.first, page.last) == (after + len(found) + 1, after + len(found) + len(list(split_frames(page.frames))))
        found += split_frames(page.frames)
    return found


async def test_a_reader_that_joins_late_sees_every_byte_that_an_early_one_saw(house: Engine) -> None:
    gates = [asyncio.Event() for _ in range(3)]
    house.model.turns += [[gates[0], [TextChunk("a")], gates[1], [TextChunk("b")], gates[2], [TextChunk("c"), DONE]]]
    run = await house.start()
    readers = []
    async with asyncio.TaskGroup() as group:
        for gate in gates:
            readers.append(group.create_task(pages_of(house, run.id)))
            await house.model.reached.wait()
            house.model.reached.clear()
            gate.set()
    frames = await pages_of(house, run.id)
    assert [reader.result() for reader in readers] == [frames] * 3


async def test_a_reader_can_join_after_any_number(house: Engine) -> None:
    run = (await house.runs.list(PageRequest(), RunFilter())).items
    assert run == ()
    events = await house.play(say("a", "b", "c"))
    run_id = (await house.runs.list(PageRequest(), RunFilter())).items[0].id
    frames = await pages_of(house, run_id)
    assert len(frames) == len(events)
    for after in range(len(frames) + 1):
        assert await pages_of(house, run_id, after) == frames[after:]


async def test_who_attaches_is_told_what_is_wrong_before_there_are_pages_and_gets_all_of_them(house: Engine) -> None:
    await house.play(say("a", "b", "c"))
    run_id = (await house.runs.list(PageRequest(), RunFilter())).items[0].id
    frames = await pages_of(house, run_id)
    with pytest.raises(CursorAhead):
        await house.runs.attach(run_id, len(frames) + 1, None)
    async with aclosing(await house.runs.attach(run_id, 2, None)) as pages:
        assert [frame async for page in pages for frame in split_frames(page.frames)] == frames[2:]


async def test_silence_is_told_by_an_empty_page_that_names_the_last_number(house: Engine) -> None:
    house.model.turns += [[asyncio.Event()]]
    run = await house.start()
    await house.model.reached.wait()
    async with aclosing(house.runs.follow(run.id, 0, 0.001)) as pages:
        first = await anext(pages)
        assert await anext(pages) == LogPage(first.last + 1, first.last, b"", ended=False)


async def test_wrong_positions_are_told_before_the_first_page(house: Engine) -> None:
    events = await house.play(say("a"))
    run = (await house.runs.list(PageRequest(), RunFilter())).items[0]
    with pytest.raises(CursorAhead):
        await anext(house.runs.follow(run.id, len(events) + 1, None))
    with pytest.raises(RunNotFound):
        await anext(house.runs.follow(new_run_id(), 0, None))
    await house.clock.until_sleepers()
    await house.clock.run_for(3700)
    with pytest.raises(EventsExpired):
        await anext(house.runs.follow(run.id, 0, None))


async def test_the_end_of_a_run_can_be_waited_for(house: Engine) -> None:
    hold = asyncio.Event()
    house.model.turns += [[[TextChunk("a")], hold, [TextChunk("b"), DONE]]]
    run = await house.start()
    waiting = asyncio.gather(house.runs.finished(run.id))
    await house.model.reached.wait()
    hold.set()
    (ended,) = await waiting
    assert ended.state.is_final
    assert await house.runs.finished(run.id) == ended
    assert [(message.role, message.text) for message in await house.runs.messages_of(run.id)] == [(Role.ASSISTANT, "ab")]


async def test_stored_events_and_steps_are_listed_without_waiting(house: Engine) -> None:
    house.model.turns += [[asyncio.Event()]]
    run = await house.start()
    await house.model.reached.wait()
    page = await house.runs.read_events(run.id, 0)
    assert not page.ended
    assert page.last >= 1
    assert (await house.runs.list_steps(run.id, PageRequest())).items == ()


async def test_steps_are_listed_of_a_run_an_agent_and_all_and_read_by_their_id(house: Engine) -> None:
    await house.play(say("a"))
    (run,) = (await house.runs.list(PageRequest(), RunFilter())).items
    (step,) = (await house.runs.list_steps(run.id, PageRequest())).items
    assert (await house.runs.list_steps(None, PageRequest())).items == (step,)
    assert (await house.runs.list_steps(None, PageRequest(), run.agent_id)).items == (step,)
    assert (await house.runs.list_steps(None, PageRequest(), new_agent_id())).items == ()
    assert await house.runs.get_step(step.id) == step


async def test_a_wait_that_is_no_readers_is_cut_by_draining_too(house: Engine) -> None:
    async def done() -> str:
        return "done"

    async def late() -> None:
        raise TimeoutError

    assert await house.runs.until_drained(done) == "done"
    # A time limit inside of what is waited for is not taken for the drain.
    with pytest.raises(TimeoutError):
        await house.runs.until_drained(late)
    forever = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(_refused(house.runs.until_drained(forever.wait)))
        await asyncio.sleep(0)
        assert not waiting.done()
        house.runs.drain()
    with pytest.raises(ServerDraining):
        await house.runs.until_drained(done)


async def test_draining_does_not_mind_a_wait_that_is_just_over() -> None:
    """A heartbeat is due, and its reader has not had its turn yet."""
    readers = Readers()
    limits: list[asyncio.Timeout] = []

    async def wait() -> None:
        with readers.waiting(0) as limit:
            limits.append(limit)
            async with limit:
                await asyncio.Event().wait()

    waiting = asyncio.gather(wait())
    # In the first turn of the loop the wait begins, in the second one it is over.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert limits[0].expired()
    readers.drain()
    with pytest.raises(TimeoutError):
        await waiting
    with pytest.raises(ServerDraining):
        readers.check()


async def _refused(waiting: Awaitable[object]) -> None:
    with pytest.raises(ServerDraining):
        await waiting


async def test_the_messages_of_a_run_are_listed_page_by_page_both_ways(house: Engine) -> None:
    await house.play(say("before"), words="first")
    events = await house.play(call("no_such_tool"), say("done"), words="hello")
    run_id = end(events).id
    ordered = (await house.runs.list_messages(run_id, PageRequest())).items
    assert [message.role for message in ordered] == [Role.USER, Role.ASSISTANT, Role.TOOL, Role.ASSISTANT]
    await check_pages(lambda page: house.runs.list_messages(run_id, page), ordered)
    with pytest.raises(RunNotFound):
        await house.runs.list_messages(new_run_id(), PageRequest())
