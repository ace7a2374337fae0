"""What Leases promises."""
# ruff: noqa: S101, PLR2004 - assert and expected numbers are what a contract is made of

from datetime import timedelta

import pytest

from letta_grpc.domain.agents import Conversation
from letta_grpc.domain.errors import LeaseLost
from letta_grpc.domain.events import MessageCompleted, RunStarted, TextDelta
from letta_grpc.domain.runs import ConflictPolicy, RunState
from letta_grpc.ports.codec import EventCodec
from letta_grpc.ports.journal import Claim, Leases
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.journals.scenes import LEASE_TIME, deltas, events_of, kinds_of, running
from letta_grpc.testing.stores.world import World, held

_A_MOMENT = timedelta(seconds=1)


class LeasesContract:
    """What Leases promises."""

    async def test_a_run_is_not_taken_from_its_owner_before_its_lease_runs_out(
        self, world: World, leases: Leases, clock: FakeClock
    ) -> None:
        """Up to the last moment."""
        claim = await running(world)
        assert await leases.take_over(clock.now() + LEASE_TIME - _A_MOMENT) == ()
        await world.journal.append(held(claim), deltas(1))

    async def test_a_run_whose_lease_ran_out_gets_the_next_attempt(
        self, world: World, leases: Leases, clock: FakeClock
    ) -> None:
        """With all that is needed to go on, once."""
        claim = await running(world)
        await world.journal.append(held(claim), deltas(3))
        await world.journal.request_cancel(claim.run.id)
        late = clock.now() + LEASE_TIME
        (taken,) = await leases.take_over(late)
        assert (taken.run.id, taken.run.attempt, held(taken).attempt) == (claim.run.id, 2, 2)
        assert (taken.spec, taken.created, taken.cancel_requested) == (claim.spec, False, True)
        assert taken.last_sequence_number == 4
        assert (await world.runs.get(claim.run.id)).attempt == 2
        assert await leases.take_over(late) == ()

    async def test_a_run_that_its_owner_works_on_stays_with_it_whatever_the_time(
        self, world: World, leases: Leases, clock: FakeClock
    ) -> None:
        """A process that stood still for longer than a lease finds them all run out."""
        kept, left = await running(world), await running(world)
        (taken,) = await leases.take_over(clock.now() + LEASE_TIME, {kept.run.id})
        assert taken.run.id == left.run.id
        await world.journal.append(held(kept), deltas(1))

    async def test_the_older_attempt_is_fenced_off(
        self, world: World, leases: Leases, codec: EventCodec, clock: FakeClock
    ) -> None:
        """What it still has is refused; what it had stored stays, and the numbers go on behind it."""
        claim = await running(world)
        message = world.new_answer(claim, "kept")
        await world.answer(claim, *deltas(1, "old"), MessageCompleted(message))
        (taken,) = await leases.take_over(clock.now() + LEASE_TIME)
        with pytest.raises(LeaseLost):
            await world.journal.append(held(claim), deltas(1, "void"))
        await world.journal.append(held(taken), deltas(1, "new"))
        events = await events_of(world.log, codec, claim.run.id)
        assert [numbered.event.text for numbered in events if isinstance(numbered.event, TextDelta)] == ["old", "new"]
        assert (await world.history.of_run(claim.run.id))[1:] == (message,)
        assert await leases.renew([held(claim), held(taken)], clock.now() + LEASE_TIME) == (held(claim),)

    async def test_attempts_that_store_nothing_are_counted_until_one_does(
        self, world: World, leases: Leases, clock: FakeClock
    ) -> None:
        """A run that kills every server that looks at it is known by this alone: it leaves no trace in its own log."""
        claim = await running(world)
        await world.journal.append(held(claim), deltas(1))
        assert [(await _taken(leases, clock)).idle_attempts for _ in range(3)] == [0, 1, 2]
        last = await _taken(leases, clock)
        await world.journal.append(held(last), ())
        still = await _taken(leases, clock)
        await world.journal.append(held(still), deltas(1))
        assert (last.idle_attempts, still.idle_attempts) == (3, 4)
        assert [(await _taken(leases, clock)).idle_attempts for _ in range(2)] == [0, 1]

    async def test_a_renewed_lease_lasts_until_the_new_time(self, world: World, leases: Leases, clock: FakeClock) -> None:
        """And no longer."""
        kept, left = await running(world), await running(world)
        until = clock.now() + 2 * LEASE_TIME
        assert await leases.renew([held(kept)], until) == ()
        (taken,) = await leases.take_over(until - _A_MOMENT)
        assert taken.run.id == left.run.id
        assert kept.run.id in {claim.run.id for claim in await leases.take_over(until)}

    async def test_the_lease_of_a_run_that_its_holder_has_ended_is_not_lost(
        self, world: World, leases: Leases, clock: FakeClock
    ) -> None:
        """There is nothing to renew, and nobody takes the run over; but its holder was not fenced off."""
        claim = await running(world)
        await world.finish(claim)
        assert await leases.renew([held(claim)], clock.now() + LEASE_TIME) == ()
        assert await leases.take_over(clock.now() + 10 * LEASE_TIME) == ()

    async def test_the_lease_of_a_run_that_a_later_attempt_has_ended_is_lost(
        self, world: World, leases: Leases, clock: FakeClock
    ) -> None:
        """As it was before that end."""
        claim = await running(world)
        taken = await _taken(leases, clock)
        await world.finish(taken)
        assert await leases.renew([held(claim), held(taken)], clock.now() + LEASE_TIME) == (held(claim),)

    async def test_a_queued_run_starts_when_the_active_one_has_ended(
        self, world: World, leases: Leases, codec: EventCodec, clock: FakeClock
    ) -> None:
        """Not before. Then its input enters the conversation and `run_started` its log."""
        conversation, active, (queued,) = await _queue(world, ConflictPolicy.ENQUEUE)
        assert await leases.start_next(conversation.id) is None
        assert await leases.waiting_conversations() == ()
        await world.finish(active)
        assert await leases.waiting_conversations() == (conversation.id,)
        started = await leases.start_next(conversation.id)
        assert started is not None
        assert (started.run.id, started.run.state, started.run.start_time) == (queued.run.id, RunState.RUNNING, clock.now())
        assert (started.spec, started.created, started.last_sequence_number) == (queued.spec, False, 1)
        (numbered,) = await events_of(world.log, codec, queued.run.id)
        assert isinstance(numbered.event, RunStarted)
        assert numbered.event.run.state is RunState.RUNNING
        (message,) = await world.history.of_run(queued.run.id)
        assert (message.id, message.create_time) == (queued.run.input_message_ids[0], clock.now())
        assert await leases.waiting_conversations() == ()
        await world.journal.append(held(started), deltas(1))
        await world.finish(started)
        assert await kinds_of(world.log, codec, queued.run.id) == ["RunStarted", "TextDelta", "RunFinished"]

    async def test_interrupts_go_first_and_then_the_order_of_acceptance(self, world: World, leases: Leases) -> None:
        """Among equals who came first starts first."""
        enqueue, interrupt = ConflictPolicy.ENQUEUE, ConflictPolicy.INTERRUPT
        conversation, active, queued = await _queue(world, enqueue, interrupt, enqueue, interrupt)
        order = []
        await world.finish(active)
        while (started := await leases.start_next(conversation.id)) is not None:
            order.append(started.run.id)
            await world.finish(started)
        assert order == [queued[index].run.id for index in (1, 3, 0, 2)]

    async def test_of_several_interrupts_that_wait_each_ends_the_one_before(self, world: World, leases: Leases) -> None:
        """Also one that had not begun: it begins, so that its input is kept, and is to end at once."""
        enqueue, interrupt = ConflictPolicy.ENQUEUE, ConflictPolicy.INTERRUPT
        conversation, active, _ = await _queue(world, interrupt, enqueue, interrupt, interrupt)
        is_to_end = []
        await world.finish(active)
        while (started := await leases.start_next(conversation.id)) is not None:
            is_to_end.append(started.cancel_requested)
            await world.finish(started)
        assert is_to_end == [True, True, False, False]

    async def test_a_started_run_has_a_lease_like_any_other(self, world: World, leases: Leases, clock: FakeClock) -> None:
        """It runs out, and can be taken over; queued runs cannot."""
        conversation, active, _ = await _queue(world, ConflictPolicy.ENQUEUE, ConflictPolicy.ENQUEUE)
        await world.finish(active)
        started = await leases.start_next(conversation.id)
        assert started is not None
        assert await leases.take_over(clock.now() + LEASE_TIME - _A_MOMENT) == ()
        (taken,) = await leases.take_over(clock.now() + LEASE_TIME)
        assert (taken.run.id, taken.run.attempt) == (started.run.id, 2)


async def _taken(leases: Leases, clock: FakeClock) -> Claim:
    """Let all leases run out and return the one run, taken over."""
    clock.advance(LEASE_TIME.total_seconds())
    (taken,) = await leases.take_over(clock.now())
    return taken


async def _queue(world: World, *policies: ConflictPolicy) -> tuple[Conversation, Claim, list[Claim]]:
    """Return a conversation, its active run and the runs that wait behind it."""
    agent = await world.agent()
    conversation = await world.default(agent)
    active = await world.start(conversation, "now")
    return conversation, active, [await world.start(conversation, "later", conflict_policy=policy) for policy in policies]
