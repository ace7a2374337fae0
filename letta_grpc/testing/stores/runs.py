"""What a RunStore promises."""
# ruff: noqa: S101 - assert is what a contract does

from dataclasses import replace
from typing import Any

import pytest

from letta_grpc.domain.errors import RunNotFound
from letta_grpc.domain.events import StepStarted
from letta_grpc.domain.forking import forked
from letta_grpc.domain.ids import RunId, new_message_id, new_run_id
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import OPEN_STATES, ConflictPolicy, Run, RunKind, RunState, StopReason
from letta_grpc.domain.usage import Timing, Usage
from letta_grpc.ports.journal import Claim, RecordStep
from letta_grpc.ports.stores import RunFilter
from letta_grpc.testing.stores.paging import check_pages, check_pages_by_id, check_pages_while_items_are_added
from letta_grpc.testing.stores.world import World

_ALL = PageRequest(size=1000)


class RunStoreContract:
    """What a RunStore promises. A subclass gives the fixture `world`."""

    async def test_a_run_is_read_as_it_stands(self, world: World) -> None:
        """At work, and after its end; `last_sequence_number` is that of its newest event."""
        claim = await world.start(await world.default(await world.agent()), "hi", metadata={"k": "v"}, background=True)
        assert await world.runs.get(claim.run.id) == replace(claim.run, last_sequence_number=1)
        step = world.new_step(claim)
        await world.answer(claim, StepStarted(step.id, 0, step.model))
        assert (await world.runs.get(claim.run.id)).last_sequence_number == 2  # noqa: PLR2004 - run_started, step_started
        ended = await world.finish(claim)
        assert await world.runs.get(claim.run.id) == replace(ended, last_sequence_number=3)

    async def test_a_run_is_found_by_the_request_that_has_started_it(self, world: World) -> None:
        """And nothing by one that has not."""
        claim = await world.start(await world.default(await world.agent()), "hi")
        assert await world.runs.find_started(claim.run.request_id) == claim.run.id
        assert await world.runs.find_started("another") is None

    async def test_a_run_that_waits_has_no_event_yet(self, world: World) -> None:
        """Its number is 0, and 1 once it was cancelled."""
        thread = await world.default(await world.agent())
        await world.start(thread, "hi")
        waiting = await world.start(thread, "and?", conflict_policy=ConflictPolicy.ENQUEUE)
        queued = await world.runs.get(waiting.run.id)
        assert (queued.state, queued.start_time, queued.last_sequence_number) == (RunState.QUEUED, None, 0)
        await world.journal.request_cancel(waiting.run.id)
        cancelled = await world.runs.get(waiting.run.id)
        assert (cancelled.state, cancelled.last_sequence_number) == (RunState.CANCELLED, 1)

    async def test_a_trimmed_run_still_tells_its_last_number(self, world: World) -> None:
        """Runs outlive their events."""
        run = await world.turn(await world.default(await world.agent()), "hi", "hello")
        before = await world.runs.get(run.id)
        assert await world.log.trim(world.time()) == 1
        assert await world.runs.get(run.id) == before

    async def test_an_unknown_run_is_not_found(self, world: World) -> None:
        """Nor are its steps."""
        unknown = new_run_id()
        for asked in (world.runs.get(unknown), world.runs.list_steps(unknown, _ALL)):
            with pytest.raises(RunNotFound) as caught:
                await asked
            assert caught.value.metadata == {"run_id": unknown}

    async def test_runs_are_listed_by_what_they_are(self, world: World) -> None:
        """Each part of the filter narrows; the times take the first and leave the last out."""

        async def as_stored(run: Run) -> Run:
            return await world.runs.get(run.id)

        agent, other = await world.agent(), await world.agent()
        default, thread = await world.default(agent), await world.conversation(agent)
        done = await as_stored(await world.turn(default, "1", "1"))
        failed = await as_stored(await world.finish(await world.start(thread, "2"), RunState.FAILED))
        strange = await as_stored(await world.turn(await world.default(other), "3", "3"))
        quiet = await as_stored((await world.start(thread, "4", background=True)).run)

        async def found(**where: Any) -> list[Run]:  # noqa: ANN401 - any field of RunFilter
            return list((await world.runs.list(_ALL, RunFilter(**where))).items)

        assert await found() == [done, failed, strange, quiet]
        assert await found(agent_id=agent.id) == [done, failed, quiet]
        assert await found(conversation_id=thread.id) == [failed, quiet]
        assert await found(states=(RunState.FAILED, RunState.RUNNING)) == [failed, quiet]
        assert await found(stop_reasons=(StopReason.END_TURN,)) == [done, strange]
        assert await found(background=True) == [quiet]
        assert await found(background=False) == [done, failed, strange]
        assert await found(create_time_from=failed.create_time, create_time_before=quiet.create_time) == [failed, strange]
        assert await found(agent_id=other.id, states=(RunState.FAILED,)) == []

    async def test_the_runs_below_a_run_are_listed(self, world: World) -> None:
        """Its children and theirs; narrowed to those that are open too."""

        async def below(*parents: Run) -> Claim:
            return await world.start_below(parents, await world.default(await world.agent()), "hi")

        async def listed(**where: Any) -> list[RunId]:  # noqa: ANN401 - any field of RunFilter
            return [run.id for run in (await world.runs.list(_ALL, RunFilter(**where))).items]

        top = (await below()).run
        ended = await world.finish(await below(top))
        child = (await below(top)).run
        grandchild = (await below(top, child)).run
        assert await listed(parent_run_id=top.id) == [ended.id, child.id, grandchild.id]
        assert await listed(parent_run_id=top.id, states=tuple(OPEN_STATES)) == [child.id, grandchild.id]
        assert await listed(parent_run_id=child.id) == [grandchild.id]
        assert await listed(parent_run_id=grandchild.id) == []

    async def test_the_last_turns_of_an_agent_are_counted_and_given(self, world: World) -> None:
        """Completed ones, in the order of their ends; no background work, no compaction, no copy, nobody else's."""
        agent = await world.agent()
        thread, other = await world.default(agent), await world.conversation(agent)
        first = await world.start(thread, "begins first")
        second = await world.turn(other, "begins second", "and ends first")
        last = await world.finish(first)
        await world.finish(await world.start(thread, "in the background", background=True))
        await world.finish(await world.start(thread, kind=RunKind.COMPACTION))
        await world.journal.fork(forked(await world.history.whole(other.id), model="m/m", time=world.time()))
        await world.finish(await world.start(thread, "fails"), RunState.FAILED)
        await world.start(thread, "is at work")
        await world.turn(await world.default(await world.agent()), "somebody", "else")
        count, turns = await world.runs.last_turns(agent.id, 10)
        assert (count, [run.id for run in turns]) == (2, [last.id, second.id])
        count, turns = await world.runs.last_turns(agent.id, 1)
        assert (count, [run.id for run in turns]) == (2, [last.id])

    async def test_a_list_is_read_page_by_page(self, world: World) -> None:
        """Both ways, with and without a filter, open runs among them."""
        agent = await world.agent()
        thread = await world.conversation(agent)
        runs = []
        for n in range(3):
            runs.append(await world.turn(await world.default(agent), f"{n}", "yes"))
            runs.append(await world.turn(thread, f"{n}", "yes"))
        runs.append((await world.start(thread, "last")).run)
        stored = [await world.runs.get(run.id) for run in runs]
        await check_pages(lambda page: world.runs.list(page, RunFilter()), stored)
        await check_pages_by_id(lambda page: world.runs.list(page, RunFilter()), stored)
        await check_pages(
            lambda page: world.runs.list(page, RunFilter(conversation_id=thread.id)), [*stored[1::2], stored[-1]]
        )

    async def test_pages_miss_nothing_while_runs_are_added(self, world: World) -> None:
        """Nor is any given twice."""
        thread = await world.default(await world.agent())

        async def add() -> Run:
            return await world.runs.get((await world.turn(thread, "hi", "hello")).id)

        await check_pages_while_items_are_added(lambda page: world.runs.list(page, RunFilter()), add)

    async def test_steps_are_listed_by_index(self, world: World) -> None:
        """As they were recorded, those of this run alone."""
        thread = await world.default(await world.agent())
        await world.turn(thread, "hi", "hello")
        claim = await world.start(thread, "hi")
        assert (await world.runs.list_steps(claim.run.id, _ALL)).items == ()
        full = replace(
            world.new_step(claim),
            usage=Usage(prompt_tokens=1, completion_tokens=0, context_tokens=5, step_count=1),
            timing=Timing(time_to_first_token=0.1, total=0.25),
            message_ids=(new_message_id(), new_message_id()),
        )
        steps = [full, *(world.new_step(claim, index) for index in range(1, 6))]
        for step in steps:
            await world.answer(claim, changes=[RecordStep(step)])
        await check_pages(lambda page: world.runs.list_steps(claim.run.id, page), steps)
