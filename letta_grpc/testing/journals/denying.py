"""What becomes of calls that wait when something else than an answer comes, or nothing."""
# ruff: noqa: S101 - assert and expected numbers are what a contract is made of

from datetime import timedelta

import pytest

from letta_grpc.domain.errors import ApprovalAlreadyResolved, ApprovalExpired, ApprovalPending
from letta_grpc.domain.events import MessageCompleted, RunFinished, ToolReturned
from letta_grpc.domain.messages import Role, SpokenInput, TextPart
from letta_grpc.domain.runs import ConflictPolicy, Run, RunState, StopReason
from letta_grpc.ports.codec import EventCodec
from letta_grpc.ports.journal import Leases
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.journals.asking import (
    DEADLINE,
    approve,
    ask,
    deny,
    give,
    messages_of,
    newest_run,
    pending_of,
    send,
    waiting,
)
from letta_grpc.testing.journals.scenes import events_of, kinds_of
from letta_grpc.testing.stores.world import World, held

_A_MOMENT = timedelta(microseconds=1)
_OTHER = SpokenInput(role=Role.USER, content=(TextPart("Never mind."),))
_ENQUEUE, _INTERRUPT = ConflictPolicy.ENQUEUE, ConflictPolicy.INTERRUPT


class DenialContract:
    """What becomes of calls that wait when something else than an answer comes, or nothing."""

    async def test_another_start_is_refused_while_calls_wait(self, world: World) -> None:
        """It is told what waits, and never that the conversation is busy."""
        asked = await waiting(world, "a", "b", "c")
        partial = await send(world, asked, approve("b"))
        before = await messages_of(world, asked)
        with pytest.raises(ApprovalPending) as caught:
            await send(world, asked, _OTHER)
        assert caught.value.metadata == {"run_id": partial.run.id, "tool_call_ids": "a,c"}
        assert await messages_of(world, asked) == before

    async def test_a_patient_start_waits_until_the_calls_are_settled(self, world: World, leases: Leases) -> None:
        """Answers pass ahead of it."""
        asked = await waiting(world, "a", "b")
        queued = await send(world, asked, _OTHER, conflict_policy=_ENQUEUE)
        assert (queued.run.state, queued.lease, queued.batch) == (RunState.QUEUED, None, None)
        assert await leases.start_next(asked.conversation_id) is None
        await send(world, asked, approve("a"))
        assert await leases.start_next(asked.conversation_id) is None
        with pytest.raises(ApprovalPending):
            await send(world, asked, _OTHER)
        answer = await send(world, asked, approve("b"))
        assert await leases.start_next(asked.conversation_id) is None
        await world.finish(answer)
        started = await leases.start_next(asked.conversation_id)
        assert started is not None
        assert started.run.id == queued.run.id

    async def test_an_interrupting_start_denies_the_calls_and_begins(self, world: World, codec: EventCodec) -> None:
        """The model is told before it reads the new message. Later answers are too late."""
        asked = await waiting(world, "a", "client_b")
        claim = await send(world, asked, _OTHER, conflict_policy=_INTERRUPT)
        assert (held(claim).run_id, claim.run.state, claim.batch) == (claim.run.id, RunState.RUNNING, None)
        kinds = ["RunStarted", "ToolReturned", "ToolReturned", "MessageCompleted", "StepStarted"]
        assert await kinds_of(world.log, codec, claim.run.id) == kinds
        assert (claim.run.resumes_run_id, claim.last_sequence_number, claim.first_step_id is None) == (None, 5, False)
        messages = await messages_of(world, asked)
        assert [message.role for message in messages[-3:]] == [Role.APPROVAL, Role.TOOL, Role.USER]
        assert await world.history.of_run(claim.run.id) == messages[-2:]
        assert messages[-2].step_id == asked.pending_actions[0].step_id
        assert [(r.tool_call_id, r.text[:38]) for r in messages[-2].tool_returns] == [
            ("a", "Error: request to call tool denied. Us"),
            ("client_b", "Error: request to call tool denied. Us"),
        ]
        assert claim.context is not None
        assert claim.context.messages == messages
        assert await pending_of(world, asked.id) == []
        await _check_too_late(world, asked, claim.run.id)

    async def test_an_interrupting_start_that_was_queued_denies_the_calls_when_it_starts(
        self, world: World, leases: Leases, codec: EventCodec
    ) -> None:
        """What the active run asked before it gave way; the patient ones wait on, and later interrupting ones behind it."""
        claim = await world.start(await world.default(await world.agent()), "Send it.")
        patient = await send(world, claim.run, _OTHER, conflict_policy=_ENQUEUE)
        hasty = await send(world, claim.run, _OTHER, conflict_policy=_INTERRUPT)
        asked = await ask(world, claim, "a")
        later = await send(world, claim.run, _OTHER, conflict_policy=_INTERRUPT)
        assert (later.run.state, later.interrupts) == (RunState.QUEUED, None)
        started = await leases.start_next(asked.conversation_id)
        assert started is not None
        assert (started.run.id, started.last_sequence_number) == (hasty.run.id, 3)
        assert await kinds_of(world.log, codec, hasty.run.id) == ["RunStarted", "ToolReturned", "MessageCompleted"]
        assert [message.role for message in await world.history.of_run(hasty.run.id)] == [Role.TOOL, Role.USER]
        await _check_too_late(world, asked, hasty.run.id)
        order = []
        while started is not None:
            order.append(started.run.id)
            await world.finish(started)
            started = await leases.start_next(asked.conversation_id)
        assert order == [hasty.run.id, later.run.id, patient.run.id]

    async def test_cancelling_the_last_interrupting_start_that_is_queued_denies_the_calls(
        self, world: World, leases: Leases, codec: EventCodec
    ) -> None:
        """What it interrupted has been told to end: it waits for nothing. What is queued may start."""
        claim = await world.start(await world.default(await world.agent()), "Send it.")
        patient = await send(world, claim.run, _OTHER, conflict_policy=_ENQUEUE)
        hasty = [await send(world, claim.run, _OTHER, conflict_policy=_INTERRUPT) for _ in range(2)]
        asked = await ask(world, claim, "a", "client_b")
        await world.journal.request_cancel(hasty[0].run.id)
        assert await pending_of(world, asked.id) == ["a", "client_b"]
        await world.journal.request_cancel(hasty[1].run.id)
        assert await pending_of(world, asked.id) == []
        await _check_denied(world, codec, asked, await newest_run(world, asked))
        started = await leases.start_next(asked.conversation_id)
        assert started is not None
        assert started.run.id == patient.run.id

    async def test_cancelling_a_patient_start_leaves_the_calls_open(self, world: World) -> None:
        """It would have denied nothing."""
        asked = await waiting(world, "a")
        queued = await send(world, asked, _OTHER, conflict_policy=_ENQUEUE)
        await world.journal.request_cancel(queued.run.id)
        assert await pending_of(world, asked.id) == ["a"]

    async def test_cancelling_a_run_that_waits_denies_its_calls(self, world: World, leases: Leases, codec: EventCodec) -> None:
        """In a run of the server's own. What is queued may start then."""
        asked = await waiting(world, "a", "client_b")
        queued = await send(world, asked, _OTHER, conflict_policy=_ENQUEUE)
        cancelled = await world.journal.request_cancel(asked.id)
        assert (cancelled.run.id, cancelled.run.state, cancelled.lease) == (asked.id, RunState.INTERRUPTED, None)
        assert cancelled.run.pending_actions == ()
        await _check_denied(world, codec, asked, await newest_run(world, asked))
        started = await leases.start_next(asked.conversation_id)
        assert started is not None
        assert started.run.id == queued.run.id
        count = len(await messages_of(world, asked))
        assert (await world.journal.request_cancel(asked.id)).run == cancelled.run
        assert len(await messages_of(world, asked)) == count

    @pytest.mark.parametrize("cancelled", [0, 1, 2])
    async def test_cancelling_any_run_that_was_interrupted_by_the_calls_denies_them(
        self, world: World, codec: EventCodec, cancelled: int
    ) -> None:
        """Also one in whose place the run of a partial answer waits: who gives the calls up need not know of that."""
        asked = await waiting(world, "a", "b", "client_c")
        first = await send(world, asked, approve("a"))
        second = await send(world, asked, give("client_c"))
        await world.journal.request_cancel([asked, first.run, second.run][cancelled].id)
        assert await pending_of(world, second.run.id) == []
        denial = await newest_run(world, asked)
        assert (denial.state, denial.resumes_run_id) == (RunState.CANCELLED, second.run.id)
        assert await kinds_of(world.log, codec, denial.id) == [
            "RunStarted",
            *["ToolReturned"] * 3,
            "MessageCompleted",
            "RunFinished",
        ]

    async def test_cancelling_a_run_that_was_interrupted_by_other_calls_changes_nothing(self, world: World) -> None:
        """Those were answered, and what waits now came later."""
        earlier = await waiting(world, "a", "b")
        partial = await send(world, earlier, approve("a"))
        asked = await ask(world, await send(world, earlier, approve("b")), "c", "d")
        answered = await send(world, asked, approve("c"))
        for run in (earlier, partial.run):
            assert (await world.journal.request_cancel(run.id)).run.state is RunState.INTERRUPTED
            assert await pending_of(world, answered.run.id) == ["d"]

    async def test_a_run_that_comes_to_wait_while_it_is_being_cancelled_waits_for_nothing(
        self, world: World, leases: Leases, codec: EventCodec
    ) -> None:
        """As if the cancel had come a moment later. What is queued may start."""
        claim = await world.start(await world.default(await world.agent()), "Send it.")
        queued = await send(world, claim.run, _OTHER, conflict_policy=_ENQUEUE)
        await world.journal.request_cancel(claim.run.id)
        asked = await ask(world, claim, "a", "client_b")
        assert await pending_of(world, asked.id) == []
        await _check_denied(world, codec, asked, await newest_run(world, asked))
        started = await leases.start_next(asked.conversation_id)
        assert started is not None
        assert started.run.id == queued.run.id

    async def test_a_run_that_waits_keeps_its_events(self, world: World, codec: EventCodec) -> None:
        """However old it is. They may go once nothing waits any more."""
        asked = await waiting(world, "a")
        later = world.time() + 1000 * timedelta(days=1)
        assert await world.log.trim(later) == 0
        assert (await kinds_of(world.log, codec, asked.id))[-1] == "RunFinished"
        await send(world, asked, approve("a"))
        assert await world.log.trim(later) == 1

    async def test_a_denial_keeps_what_the_client_gave_and_lets_nothing_run(self, world: World) -> None:
        """An approved call is denied like those without an answer. The answers that came are still known."""
        asked = await waiting(world, "a", "client_b", "c")
        first = await send(world, asked, approve("a"), give("client_b", "seven"))
        await world.journal.request_cancel(first.run.id)
        (message,) = await world.history.of_run((await newest_run(world, asked)).id)
        assert [(r.tool_call_id, r.text == "seven") for r in message.tool_returns] == [
            ("a", False),
            ("client_b", True),
            ("c", False),
        ]
        assert (await send(world, asked, approve("a"))).run.id == first.run.id
        with pytest.raises(ApprovalAlreadyResolved):
            await send(world, asked, deny("a"))
        with pytest.raises(ApprovalExpired):
            await send(world, asked, deny("c"))

    async def test_an_answer_is_late_from_its_time_on(self, world: World, clock: FakeClock) -> None:
        """Also while nobody has denied the call yet; then it waits on, for its denial. One that came in time is known."""
        asked, other = await waiting(world, "a", "b"), await waiting(world, "a")
        partial = await send(world, asked, approve("a"))
        clock.advance((DEADLINE - clock.now() - _A_MOMENT).total_seconds())
        await world.finish(await send(world, other, approve("a")))
        clock.advance(_A_MOMENT.total_seconds())
        for answer in (approve("b"), deny("b")):
            with pytest.raises(ApprovalExpired) as caught:
                await send(world, asked, answer)
            assert caught.value.metadata == {"tool_call_id": "b", "run_id": partial.run.id}
        assert await pending_of(world, partial.run.id) == ["b"]
        assert (await send(world, asked, approve("a"))).run.id == partial.run.id

    async def test_calls_are_denied_when_their_time_has_come(self, world: World, leases: Leases, codec: EventCodec) -> None:
        """Not before, and once. Those that were answered in time stay answered."""
        asked, other = await waiting(world, "a", "b"), await waiting(world, "a")
        settled = await send(world, other, approve("a"))
        await send(world, asked, approve("b"))
        assert await leases.expire_calls(DEADLINE - _A_MOMENT) == ()
        assert await leases.expire_calls(DEADLINE) == (asked.conversation_id,)
        assert await leases.expire_calls(DEADLINE) == ()
        denial = await newest_run(world, asked)
        assert await kinds_of(world.log, codec, denial.id) == [
            "RunStarted",
            "ToolReturned",
            "ToolReturned",
            "MessageCompleted",
            "RunFinished",
        ]
        with pytest.raises(ApprovalExpired) as caught:
            await send(world, asked, approve("a"))
        assert caught.value.metadata == {"tool_call_id": "a", "run_id": denial.id}
        assert (await world.start(await world.conversations.get(None, asked.conversation_id), "and now?")).lease is not None
        await world.finish(settled)


async def _check_denied(world: World, codec: EventCodec, asked: Run, denial: Run) -> None:
    """Check the server's own run: readable like any other, and over."""
    assert (denial.state, denial.stop_reason, denial.resumes_run_id) == (RunState.CANCELLED, StopReason.CANCELLED, asked.id)
    assert denial.request_id not in ("", asked.request_id)
    (message,) = await world.history.of_run(denial.id)
    assert (message.role, message.step_id) == (Role.TOOL, asked.pending_actions[0].step_id)
    events = [numbered.event for numbered in await events_of(world.log, codec, denial.id)]
    returned = [event.tool_return for event in events if isinstance(event, ToolReturned)]
    assert tuple(returned) == message.tool_returns
    assert len(returned) == len(asked.pending_actions)
    assert events[-2] == MessageCompleted(message)
    assert isinstance(events[-1], RunFinished)
    assert denial.last_sequence_number == len(events)
    assert (await world.log.read(denial.id, len(events), 1)).ended
    await _check_too_late(world, asked, denial.id)


async def _check_too_late(world: World, asked: Run, run_id: str) -> None:
    for action in asked.pending_actions:
        with pytest.raises(ApprovalExpired) as caught:
            await send(world, asked, approve(action.tool_call_id))
        assert caught.value.metadata == {"tool_call_id": action.tool_call_id, "run_id": run_id}
