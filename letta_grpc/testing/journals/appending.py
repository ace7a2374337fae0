"""What `append` promises."""
# ruff: noqa: S101 - assert and expected numbers are what a contract is made of

import asyncio
from dataclasses import replace

import pytest

from letta_grpc.domain.errors import ConcurrentChange, LeaseLost
from letta_grpc.domain.events import MessageCompleted, RunFinished, TextDelta
from letta_grpc.domain.ids import new_block_id, new_run_id
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import RunError, RunState, StopReason
from letta_grpc.domain.usage import Timing, Usage
from letta_grpc.ports.codec import EventCodec
from letta_grpc.ports.journal import AddPassage, EditBlock, RecordStep
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.journals.scenes import deltas, events_of, kinds_of, running
from letta_grpc.testing.stores.world import World, held


class AppendContract:
    """What `append` promises."""

    async def test_events_are_numbered_in_the_order_of_the_calls(self, world: World, codec: EventCodec) -> None:
        """Awaited or not: one that is not awaited is stored before a later one."""
        claim = await running(world)
        for number in range(20):
            world.journal.append(held(claim), deltas(number % 3, f"{number}"))
        await world.journal.append(held(claim), deltas(1, "last"))
        texts = [n.event.text for n in await events_of(world.log, codec, claim.run.id) if isinstance(n.event, TextDelta)]
        assert texts == [f"{number}" for number in range(20) for _ in range(number % 3)] + ["last"]

    async def test_events_carry_the_time_of_their_append(self, world: World, codec: EventCodec, clock: FakeClock) -> None:
        """In nanoseconds of the clock."""
        claim = await running(world)
        begin = clock.time_ns()
        clock.advance(1.5)
        await world.journal.append(held(claim), deltas(1))
        numbered = (await events_of(world.log, codec, claim.run.id))[-1]
        assert numbered.create_time_ns == begin + 1_500_000_000

    async def test_runs_that_append_side_by_side_have_numbers_of_their_own(self, world: World, codec: EventCodec) -> None:
        """No gap and no stranger's event in any of them."""
        claims = [await running(world) for _ in range(8)]
        for turn in range(30):
            for index, claim in enumerate(claims):
                world.journal.append(held(claim), deltas(1 + (turn + index) % 2, f"{index}"))
            await asyncio.sleep(0)
        for index, claim in enumerate(claims):
            await world.finish(claim)
            events = await events_of(world.log, codec, claim.run.id)
            texts = [numbered.event.text for numbered in events if isinstance(numbered.event, TextDelta)]
            assert texts == [f"{index}"] * 45

    async def test_a_completed_message_enters_the_conversation(self, world: World) -> None:
        """Once the append is done it is there, behind the input."""
        claim = await running(world)
        message = world.new_answer(claim, "hi")
        await world.answer(claim, MessageCompleted(message))
        assert (await world.history.of_run(claim.run.id))[1:] == (message,)
        assert (await world.history.load(claim.run.conversation_id)).messages[1:] == (message,)

    async def test_steps_and_notes_are_stored_with_the_events(self, world: World) -> None:
        """They are found as soon as the append is done."""
        claim = await running(world)
        step = world.new_step(claim, context_tokens=7)
        agent = await world.agents.get(claim.run.agent_id)
        note = world.new_note(agent, "a note", "x")
        await world.answer(claim, *deltas(1), changes=[RecordStep(step), AddPassage(note)])
        assert (await world.runs.list_steps(claim.run.id, PageRequest())).items == (step,)
        assert await world.notes.search(agent.id, "note", (), 9) == (note,)

    async def test_an_edit_of_the_version_it_was_made_from_is_stored(self, world: World, clock: FakeClock) -> None:
        """It raises the version."""
        agent = await world.agent(world.new_block("human", "Chad"))
        (block,) = agent.memory_blocks
        claim = await world.start(await world.default(agent), "I am Eve.")
        await world.answer(claim, changes=[EditBlock(block.id, block.version, "Eve")])
        edited = await world.blocks.get(block.id)
        assert edited == replace(block, value="Eve", version=block.version + 1, update_time=clock.now())

    async def test_an_edit_that_came_too_late_stores_nothing_of_its_call(self, world: World, codec: EventCodec) -> None:
        """Not its events, not its message, not the edit before it; the run's later appends go on without a gap."""
        agent = await world.agent(world.new_block("human", "Chad"), world.new_block("mood", "good"))
        human, mood = agent.memory_blocks
        claim = await world.start(await world.default(agent), "I am Eve.")
        await world.blocks.update(human.id, {"value": "Ann"}, world.time())
        edits = [EditBlock(mood.id, mood.version, "bad"), EditBlock(human.id, human.version, "Eve")]
        message = MessageCompleted(world.new_answer(claim, "noted"))
        late = world.journal.append(held(claim), [*deltas(2), message], edits)
        after = world.journal.append(held(claim), deltas(1, "after"))
        with pytest.raises(ConcurrentChange):
            await late
        await after
        assert await kinds_of(world.log, codec, claim.run.id) == ["RunStarted", "TextDelta"]
        assert len(await world.history.of_run(claim.run.id)) == 1
        assert (await world.blocks.get(mood.id), (await world.blocks.get(human.id)).value) == (mood, "Ann")

    async def test_an_edit_of_a_block_that_is_gone_came_too_late(self, world: World) -> None:
        """Gone is changed too."""
        claim = await running(world)
        with pytest.raises(ConcurrentChange):
            await world.answer(claim, changes=[EditBlock(new_block_id(), 1, "x")])

    async def test_run_finished_stores_the_run_and_ends_the_lease(self, world: World, codec: EventCodec) -> None:
        """The run as the event carries it; whatever is appended after it is refused."""
        claim = await running(world)
        ended = replace(
            claim.run,
            state=RunState.FAILED,
            stop_reason=StopReason.MODEL_ERROR,
            end_time=world.time(),
            usage=Usage(prompt_tokens=3, total_tokens=0, step_count=1),
            timing=Timing(total=1.5),
            error=RunError(reason="MODEL_TIMEOUT", message="too slow", metadata={"model": "m/m"}),
        )
        finishing = world.journal.append(held(claim), [*deltas(1), RunFinished(ended)])
        too_late = world.journal.append(held(claim), deltas(1))
        await finishing
        with pytest.raises(LeaseLost):
            await too_late
        with pytest.raises(LeaseLost):
            await world.journal.append(held(claim), deltas(1))
        assert await world.runs.get(claim.run.id) == replace(ended, last_sequence_number=3)
        assert await kinds_of(world.log, codec, claim.run.id) == ["RunStarted", "TextDelta", "RunFinished"]

    async def test_a_lease_that_nobody_gave_is_lost(self, world: World) -> None:
        """Another owner's, another attempt's, a queued run's."""
        claim = await running(world)
        for lease in (
            replace(held(claim), owner="somebody else"),
            replace(held(claim), attempt=2),
            replace(held(claim), run_id=new_run_id()),
        ):
            with pytest.raises(LeaseLost):
                await world.journal.append(lease, deltas(1))

    async def test_a_cancelled_wait_leaves_the_append_stored(self, world: World, codec: EventCodec) -> None:
        """Only the waiting is cancelled."""
        claim = await running(world)
        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(world.log.wait(claim.run.id, 1))
            appended = world.journal.append(held(claim), deltas(1))
            appended.cancel()
            await waiting
        assert await kinds_of(world.log, codec, claim.run.id) == ["RunStarted", "TextDelta"]
