"""What `claim` promises."""
# ruff: noqa: S101 - assert and expected numbers are what a contract is made of

import asyncio
from asyncio import Future
from dataclasses import replace

import pytest

from letta_grpc.domain.agents import Agent, Conversation
from letta_grpc.domain.errors import (
    AgentNotFound,
    ApprovalPending,
    ConversationBusy,
    ConversationNotFound,
    ModelUnknown,
    QueueFull,
    RequestIdReused,
    RunNotFound,
)
from letta_grpc.domain.events import RunStarted, TextDelta
from letta_grpc.domain.ids import new_agent_id, new_conversation_id
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import MAX_QUEUED_RUNS, ConflictPolicy, Run, RunKind, RunSpec, RunState
from letta_grpc.ports.codec import EventCodec
from letta_grpc.ports.journal import Claim, Start
from letta_grpc.ports.stores import RunFilter
from letta_grpc.testing.journals.asking import ask
from letta_grpc.testing.journals.scenes import claim_with, deltas, events_of, new_start, running
from letta_grpc.testing.stores.world import World, admitted, held


class ClaimContract:
    """What `claim` promises."""

    async def test_a_start_stores_the_run_its_input_and_run_started(self, world: World, codec: EventCodec) -> None:
        """Together, and the claim has the lease."""
        claim = await running(world, "hello")
        assert claim.created
        assert claim.lease is not None
        assert (claim.lease.run_id, claim.lease.attempt) == (claim.run.id, 1)
        assert (claim.last_sequence_number, claim.interrupts, claim.cancel_requested) == (1, None, False)
        (numbered,) = await events_of(world.log, codec, claim.run.id)
        assert numbered.event == RunStarted(claim.run)
        (message,) = await world.history.of_run(claim.run.id)
        assert (message.id, message.text) == (claim.run.input_message_ids[0], "hello")
        assert await world.runs.get(claim.run.id) == replace(claim.run, last_sequence_number=1)

    async def test_admit_is_shown_the_agent_with_its_blocks_and_the_conversation(self, world: World) -> None:
        """As they are stored; no conversation means the default one."""
        agent = await world.agent(world.new_block("human", "Chad"), tags=("x",))
        default = await world.default(agent)
        shown: list[object] = []

        def admit(agent: Agent, conversation: Conversation, spec: RunSpec) -> Run:
            shown.extend((agent, conversation, spec))
            return admitted(start, agent, conversation, spec, agent.create_time)

        start = replace(new_start(world), agent_id=agent.id)
        claim = await world.journal.claim(start, admit)
        assert shown == [agent, default, start.spec]
        assert claim.run.conversation_id == default.id

    async def test_work_begins_before_the_claim_returns_and_is_stored_behind_it(self, world: World, codec: EventCodec) -> None:
        """On the loop, with the same claim."""
        begun: list[Claim] = []
        appended: list[Future[None]] = []

        def begin(claim: Claim) -> None:
            asyncio.get_running_loop()
            begun.append(claim)
            appended.append(world.journal.append(held(claim), deltas(2)))

        claim = await claim_with(world, replace(new_start(world), agent_id=(await world.agent()).id), begin)
        assert begun == [claim]
        await appended[0]
        kinds = [type(numbered.event) for numbered in await events_of(world.log, codec, claim.run.id)]
        assert kinds == [RunStarted, TextDelta, TextDelta]

    async def test_nothing_begins_with_a_start_that_gets_no_lease(self, world: World) -> None:
        """Because it was known, has to wait, or is refused."""
        begun: list[Claim] = []
        first = new_start(world, like=await running(world))
        first = replace(first, spec=replace(first.spec, conflict_policy=ConflictPolicy.ENQUEUE))
        await claim_with(world, first, begun.append)
        await claim_with(world, first, begun.append)
        with pytest.raises(AgentNotFound):
            await claim_with(world, replace(new_start(world), agent_id=new_agent_id()), begun.append)
        assert begun == []

    async def test_a_start_that_admit_refuses_stores_nothing(self, world: World) -> None:
        """Its request id is free, its conversation too."""
        agent = await world.agent()
        start = replace(new_start(world), agent_id=agent.id)

        def refuse(agent: Agent, conversation: Conversation, spec: RunSpec) -> Run:  # noqa: ARG001 - the shape of Admit
            raise ModelUnknown

        with pytest.raises(ModelUnknown):
            await world.journal.claim(start, refuse)
        await _check_absent(world, start)
        assert (await claim_with(world, start)).lease is not None

    async def test_unknown_agents_and_conversations_are_refused(self, world: World) -> None:
        """A conversation of another agent is as unknown."""
        mine, other = await running(world), await running(world)
        for start, error in (
            (new_start(world, mine, agent_id=new_agent_id()), AgentNotFound),
            (new_start(world, mine, conversation_id=new_conversation_id()), ConversationNotFound),
            (new_start(world, mine, conversation_id=other.run.conversation_id), ConversationNotFound),
        ):
            with pytest.raises(error):
                await claim_with(world, start)
            await _check_absent(world, start)

    async def test_the_same_request_gives_the_same_run(self, world: World) -> None:
        """While it runs, although the conversation is busy, and after its end."""
        agent = await world.agent()
        start = replace(new_start(world), agent_id=agent.id)
        first = await claim_with(world, start)
        while_running = await claim_with(world, replace(start, run_id=new_start(world).run_id))
        assert (while_running.run.id, while_running.created, while_running.lease) == (first.run.id, False, None)
        assert (while_running.spec, while_running.last_sequence_number) == (first.spec, 1)
        await world.finish(first)
        after = await claim_with(world, start)
        assert (after.run.id, after.run.state, after.created, after.last_sequence_number) == (
            first.run.id,
            RunState.COMPLETED,
            False,
            2,
        )

    async def test_a_request_id_stands_for_one_payload(self, world: World) -> None:
        """Whoever uses it for another one is told so, busy or not."""
        agent = await world.agent()
        start = replace(new_start(world), agent_id=agent.id)
        await claim_with(world, start)
        with pytest.raises(RequestIdReused) as caught:
            await claim_with(world, replace(start, fingerprint="other"))
        assert caught.value.metadata == {"request_id": start.request_id, "run_id": start.run_id}

    async def test_reject_refuses_while_the_conversation_has_an_open_run(self, world: World) -> None:
        """Naming it. After its end there is room."""
        active = await running(world)
        start = new_start(world, active)
        with pytest.raises(ConversationBusy) as caught:
            await claim_with(world, start)
        assert caught.value.metadata == {"active_run_id": active.run.id, "conversation_id": active.run.conversation_id}
        await _check_absent(world, start)
        await world.finish(active)
        assert (await claim_with(world, start)).lease is not None

    async def test_a_compaction_is_told_to_wait_and_of_nothing_that_it_cannot_do(self, world: World) -> None:
        """It may neither queue nor interrupt, whether a run is at work or calls wait."""
        active = await running(world)
        start = replace(new_start(world, active), spec=RunSpec(messages=(), kind=RunKind.COMPACTION))
        with pytest.raises(ConversationBusy, match=r"its end to compact it\.$"):
            await claim_with(world, start)
        await ask(world, active, "call-1")
        with pytest.raises(ApprovalPending, match=r"answer them to compact it\.$"):
            await claim_with(world, start)

    async def test_another_conversation_of_the_agent_is_not_busy(self, world: World) -> None:
        """Runs exclude each other by conversation."""
        agent = await world.agent()
        await world.start(await world.default(agent), "one")
        assert (await world.start(await world.conversation(agent), "two")).lease is not None

    async def test_enqueue_waits_without_lease_events_or_input(self, world: World, codec: EventCodec) -> None:
        """Its input enters the conversation only when it starts."""
        active = await running(world)
        queued = await world.start(await world.default(await world.agents.get(active.run.agent_id)), "later", **_ENQUEUE)
        assert (queued.created, queued.lease, queued.interrupts, queued.last_sequence_number) == (True, None, None, 0)
        assert (queued.run.state, queued.run.start_time) == (RunState.QUEUED, None)
        assert await events_of(world.log, codec, queued.run.id) == []
        assert await world.history.of_run(queued.run.id) == ()
        assert (await world.runs.get(queued.run.id)).state is RunState.QUEUED

    async def test_a_conversation_with_nothing_but_a_queue_is_busy_too(self, world: World) -> None:
        """Who comes between two runs of a queue does not pass it."""
        active = await running(world)
        conversation = await world.default(await world.agents.get(active.run.agent_id))
        await world.start(conversation, "later", **_ENQUEUE)
        await world.finish(active)
        with pytest.raises(ConversationBusy):
            await world.start(conversation, "now")
        assert (await world.start(conversation, "after it", **_ENQUEUE)).lease is None

    async def test_interrupt_names_the_run_it_waits_for(self, world: World) -> None:
        """Without an active run it starts at once."""
        active = await running(world)
        conversation = await world.default(await world.agents.get(active.run.agent_id))
        waiting = await world.start(conversation, "stop", **_INTERRUPT)
        assert (waiting.run.state, waiting.lease, waiting.interrupts) == (RunState.QUEUED, None, active.run.id)
        free = await world.start(await world.conversation(await world.agents.get(active.run.agent_id)), "go", **_INTERRUPT)
        assert (free.lease is None, free.interrupts) == (False, None)

    async def test_a_queue_has_an_end(self, world: World) -> None:
        """Beyond it starts are refused, and store nothing."""
        active = await running(world)
        conversation = await world.default(await world.agents.get(active.run.agent_id))
        for _ in range(MAX_QUEUED_RUNS):
            await world.start(conversation, "later", **_ENQUEUE)
        with pytest.raises(QueueFull) as caught:
            await world.start(conversation, "too late", **_ENQUEUE)
        assert caught.value.metadata == {"limit": str(MAX_QUEUED_RUNS)}
        stored = await world.runs.list(PageRequest(size=1000), RunFilter(conversation_id=conversation.id))
        assert len(stored.items) == MAX_QUEUED_RUNS + 1


_ENQUEUE = {"conflict_policy": ConflictPolicy.ENQUEUE}
_INTERRUPT = {"conflict_policy": ConflictPolicy.INTERRUPT}


async def _check_absent(world: World, start: Start) -> None:
    with pytest.raises(RunNotFound):
        await world.runs.get(start.run_id)
    assert await world.history.of_run(start.run_id) == ()
