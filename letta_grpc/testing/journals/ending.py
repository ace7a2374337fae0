"""What `request_cancel` promises."""
# ruff: noqa: S101 - assert and expected numbers are what a contract is made of

from dataclasses import replace

import pytest

from letta_grpc.domain.errors import CancelRequested, RunNotFound
from letta_grpc.domain.events import RunFinished, ToolExecutionStarted
from letta_grpc.domain.ids import new_run_id
from letta_grpc.domain.runs import ConflictPolicy, RunState, StopReason
from letta_grpc.ports.codec import EventCodec
from letta_grpc.ports.journal import Leases
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.journals.scenes import deltas, events_of, kinds_of, running
from letta_grpc.testing.stores.world import World, held


class CancelContract:
    """What `request_cancel` promises."""

    async def test_no_tool_starts_in_a_run_that_is_being_cancelled(self, world: World, codec: EventCodec) -> None:
        """Nothing of that append is stored; what comes after it goes on without a gap."""
        claim = await running(world)
        await world.journal.append(held(claim), [ToolExecutionStarted("before")])
        asked = await world.journal.request_cancel(claim.run.id)
        assert (asked.run.state, asked.cancel_requested, asked.created, asked.lease) == (RunState.RUNNING, True, False, None)
        assert (asked.last_sequence_number, asked.spec) == (2, claim.spec)
        refused = world.journal.append(held(claim), [*deltas(1), ToolExecutionStarted("after")])
        stored = world.journal.append(held(claim), deltas(1))
        with pytest.raises(CancelRequested):
            await refused
        await stored
        await world.finish(claim, RunState.CANCELLED)
        kinds = await kinds_of(world.log, codec, claim.run.id)
        assert kinds == ["RunStarted", "ToolExecutionStarted", "TextDelta", "RunFinished"]

    async def test_a_tool_that_was_asked_for_before_the_cancel_may_start(self, world: World, codec: EventCodec) -> None:
        """By order of the calls."""
        claim = await running(world)
        starting = world.journal.append(held(claim), [ToolExecutionStarted("call")])
        await world.journal.request_cancel(claim.run.id)
        await starting
        assert await kinds_of(world.log, codec, claim.run.id) == ["RunStarted", "ToolExecutionStarted"]

    async def test_cancelling_a_queued_run_ends_it_at_once(
        self, world: World, leases: Leases, codec: EventCodec, clock: FakeClock
    ) -> None:
        """`run_finished` is all there is of it; its input never enters the conversation, and it never starts."""
        active = await running(world)
        conversation = await world.default(await world.agents.get(active.run.agent_id))
        queued = await world.start(conversation, "later", conflict_policy=ConflictPolicy.ENQUEUE)
        asked = await world.journal.request_cancel(queued.run.id)
        assert (asked.run.state, asked.run.stop_reason) == (RunState.CANCELLED, StopReason.CANCELLED)
        assert (asked.run.start_time, asked.run.end_time, asked.last_sequence_number) == (None, clock.now(), 1)
        (numbered,) = await events_of(world.log, codec, queued.run.id)
        assert isinstance(numbered.event, RunFinished)
        stored = await world.runs.get(queued.run.id)
        assert stored == replace(numbered.event.run, last_sequence_number=1)
        assert await world.history.of_run(queued.run.id) == ()
        assert (await world.log.read(queued.run.id, 0, 2**20)).ended
        await world.finish(active)
        assert await leases.start_next(conversation.id) is None

    async def test_cancelling_twice_is_cancelling_once(self, world: World) -> None:
        """The second call says the same."""
        claim = await running(world)
        first = await world.journal.request_cancel(claim.run.id)
        assert await world.journal.request_cancel(claim.run.id) == first

    async def test_cancelling_a_finished_run_changes_nothing(self, world: World) -> None:
        """It returns the run as it ended."""
        claim = await running(world)
        await world.finish(claim)
        before = await world.runs.get(claim.run.id)
        asked = await world.journal.request_cancel(claim.run.id)
        assert (asked.run.state, asked.cancel_requested, asked.last_sequence_number) == (RunState.COMPLETED, False, 2)
        assert await world.runs.get(claim.run.id) == before

    async def test_an_unknown_run_cannot_be_cancelled(self, world: World) -> None:
        """There is nothing to end."""
        unknown = new_run_id()
        with pytest.raises(RunNotFound) as caught:
            await world.journal.request_cancel(unknown)
        assert caught.value.metadata == {"run_id": unknown}
