"""Runs that tools of a run have other agents do."""

import asyncio
from datetime import timedelta

import pytest

from letta_grpc.adapters.memory.database import MemoryDatabase
from letta_grpc.domain.errors import InvalidRequest, StoreUnavailable
from letta_grpc.domain.events import ChildRunStarted, ToolExecutionStarted
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import RunState
from letta_grpc.engine.children import MAX_DEPTH, Children
from letta_grpc.ports.children import ChildRuns
from letta_grpc.ports.journal import Admit, Claim, Start
from letta_grpc.ports.stores import RunFilter
from letta_grpc.ports.tools import ToolContext
from letta_grpc.ports.tracing import NoTracing
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.journals.scenes import kinds_of
from letta_grpc.transport.convert.codec import ProtoEventCodec
from tests.support.asking import Asking, another, asking, open_runs, returned, until
from tests.support.engine import DirectedModel, OneModel, call, end, engine, of, say


async def test_a_child_answers_and_its_parent_goes_on() -> None:
    tools = Asking()
    async with engine(tools=tools) as house, asyncio.timeout(5):
        other = await another(house)
        tools.asks.append(asking(other))
        events = await house.play(call("ask"), say("I am ", "here"), say("done"))
        assert returned(house) == "completed: I am here"
        (started,) = of(ChildRunStarted, events)
        child = await house.runs.get(started.run_id)
        assert (child.agent_id, child.parent_run_ids, child.background) == (other.id, (end(events).id,), False)
        assert await open_runs(house, other) == []


async def test_a_child_that_says_nothing_has_no_last_words() -> None:
    tools = Asking()
    async with engine(tools=tools) as house, asyncio.timeout(5):
        tools.asks.append(asking(await another(house)))
        await house.play(call("ask"), say(), say("done"))
        assert returned(house) == "completed: "


@pytest.mark.parametrize(("passed", "left"), [(4, 1), (-60, 5)], ids=["late", "the-clock-was-put-back"])
async def test_a_child_may_take_as_long_as_its_parent_has_left(passed: int, left: int) -> None:
    tools = Asking()
    async with engine(tools=tools) as house, asyncio.timeout(5):
        other = await another(house)

        async def late(children: ChildRuns) -> str:
            house.clock.advance(timedelta(minutes=passed).total_seconds())
            return await asking(other)(children)

        tools.asks.append(late)
        house.model.turns += [call("ask"), [asyncio.Event()]]
        await house.start(run_timeout=timedelta(minutes=5))
        await house.model.reached.wait()
        (child,) = await open_runs(house, other)
        assert house.database.runs._state.run(child.id).spec.run_timeout == timedelta(minutes=left)  # noqa: SLF001 - what was asked for is shown nowhere


async def test_nobody_calls_himself_nor_who_has_called_him() -> None:
    tools = Asking()
    async with engine(tools=tools) as house, asyncio.timeout(5):
        other = await another(house)
        tools.asks += [asking(house.agent), asking(other), asking(house.agent)]
        await house.play(call("ask"), call("ask"), call("ask"), say("not so"), say("done"))
        asked = [returned(house, index) for index in (1, 3)]
        assert "cannot call itself" in asked[0]
        assert "has called you" in asked[1]
        assert returned(house) == "completed: not so"


async def test_a_chain_of_agents_has_an_end() -> None:
    tools = Asking()
    async with engine(tools=tools) as house, asyncio.timeout(10):
        others = [await another(house) for _ in range(MAX_DEPTH + 1)]
        tools.asks += [asking(other) for other in others]
        turns = [call("ask") for _ in range(MAX_DEPTH + 1)] + [say("end") for _ in range(MAX_DEPTH + 1)]
        await house.play(*turns)
        # The one that is as deep as can be was refused, and all others had an answer.
        assert "no more is allowed" in returned(house, MAX_DEPTH + 1)
        assert returned(house) == "completed: end"
        assert (await house.runs.list(PageRequest(), RunFilter(agent_id=others[-1].id))).items == ()


async def test_a_caller_that_was_removed_is_no_longer_in_the_way() -> None:
    tools = Asking()
    async with engine(tools=tools) as house, asyncio.timeout(5):
        second, third, may_ask = await another(house), await another(house), asyncio.Event()

        async def later(children: ChildRuns) -> str:
            await may_ask.wait()
            return await asking(third)(children)

        tools.asks += [asking(second, waits=False), later]
        events = await house.play(call("ask"), call("ask"), say("done"), say("here"), say("done"))
        await house.agents.delete(house.agent.id)
        may_ask.set()
        (started,) = of(ChildRunStarted, events)
        assert end(await house.events(started.run_id)).state is RunState.COMPLETED


async def test_a_takeover_waits_for_the_run_that_was_started() -> None:
    clock, tools = FakeClock(), Asking()
    async with engine(clock=clock, tools=tools) as house, asyncio.timeout(5):
        other = await another(house)
        tools.asks.append(asking(other))
        house.model.turns += [call("ask"), [asyncio.Event()]]
        run = await house.start()
        await house.model.reached.wait()
        (child,) = await open_runs(house, other)
        database, agent = house.database, house.agent
    clock.advance(60)
    tools.asks.append(asking(other))
    async with engine(clock=clock, tools=tools, database=database, agent=agent) as house, asyncio.timeout(5):
        house.model.turns += [say("at last"), say("done")]
        events = await house.events(run.id)
        assert [started.run_id for started in of(ChildRunStarted, events)] == [child.id]
        assert len(of(ToolExecutionStarted, events)) == 2
        assert returned(house) == "completed: at last"


async def test_a_cancel_ends_who_is_waited_for_and_those_that_these_wait_for() -> None:
    tools = Asking()
    async with engine(tools=tools) as house, asyncio.timeout(5):
        second, third = await another(house), await another(house)
        tools.asks += [asking(second), asking(third)]
        house.model.turns += [call("ask"), call("ask"), [asyncio.Event()]]
        run = await house.start()
        await house.model.reached.wait()
        children = [*await open_runs(house, second), *await open_runs(house, third)]
        assert len(children) == 2
        await house.runs.cancel(run.id)
        # Once more, while it ends its children.
        await house.runs.cancel(run.id)
        for one in (run, *children):
            assert end(await house.events(one.id)).state is RunState.CANCELLED


async def test_a_child_that_is_being_started_as_its_parent_is_cancelled_is_ended_too() -> None:
    tools = Asking()
    async with engine(tools=tools) as house, asyncio.timeout(5):
        other, begun = await another(house), asyncio.Event()
        children = house.children  # Its journal is slow from now on.
        claim, stored = children.claim, asyncio.get_running_loop().create_future()
        starts: list[tuple[Start, Admit]] = []

        def slow(start: Start, admit: Admit) -> asyncio.Future[Claim]:
            starts.append((start, admit))
            begun.set()
            return stored

        children.claim = slow
        tools.asks.append(asking(other))
        house.model.turns += [call("ask"), [asyncio.Event()]]
        run = await house.start()
        await begun.wait()
        await house.runs.cancel(run.id)
        await asyncio.sleep(0)
        stored.set_result(await claim(*starts[0]))
        assert end(await house.events(run.id)).state is RunState.CANCELLED
        assert await open_runs(house, other) == []


async def test_a_child_that_cannot_be_ended_lets_its_siblings_end(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = Asking()
    async with engine(tools=tools) as house, asyncio.timeout(5):
        others = [await another(house), await another(house)]

        async def both(children: ChildRuns) -> str:
            first, _ = [await children.start(other.id, "hello", key=other.id, waits=True) for other in others]
            return (await children.ended(first.id))[1]

        tools.asks.append(both)
        house.model.turns += [call("ask"), [asyncio.Event()], [asyncio.Event()]]
        run = await house.start()
        await until(lambda: open_runs(house, others[1]))
        (gone,), request_cancel = await open_runs(house, others[0]), house.database.journal.request_cancel

        def without_one(run_id: RunId) -> asyncio.Future[Claim]:
            # As if it had ended and been removed since it was looked for.
            return request_cancel(RunId("run-gone") if run_id == gone.id else run_id)

        monkeypatch.setattr(house.database.journal, "request_cancel", without_one)
        await house.runs.cancel(run.id)
        assert end(await house.events(run.id)).state is RunState.CANCELLED
        (sibling,) = (await house.runs.list(PageRequest(), RunFilter(agent_id=others[1].id))).items
        assert end(await house.events(sibling.id)).state is RunState.CANCELLED
        assert "could not be ended" in caplog.text


async def test_a_run_ends_also_if_its_children_cannot_be_found(caplog: pytest.LogCaptureFixture) -> None:
    tools = Asking()
    async with engine(tools=tools) as house, asyncio.timeout(5):
        tools.asks.append(asking(await another(house)))
        house.model.turns += [call("ask"), [asyncio.Event()]]
        run = await house.start()
        await house.model.reached.wait()
        house.children.waited_for = unavailable  # type: ignore[method-assign,assignment]  # a store that fails from now on
        await house.runs.cancel(run.id)
        assert end(await house.events(run.id)).state is RunState.CANCELLED
        assert "could not be found" in caplog.text


async def unavailable(_run_id: RunId) -> list[RunId]:
    raise StoreUnavailable


async def test_to_be_cancelled_once_more_disturbs_no_run_that_ends_its_children() -> None:
    tools = Asking()
    async with engine(tools=tools) as house, asyncio.timeout(5):
        other, asked, may_tell = await another(house), asyncio.Event(), asyncio.Event()
        children = house.children  # Its store is slow from now on.
        waited_for = children.waited_for

        async def slow(run_id: RunId) -> list[RunId]:
            asked.set()
            await may_tell.wait()
            return await waited_for(run_id)

        children.waited_for = slow  # type: ignore[method-assign]  # see above
        tools.asks.append(asking(other))
        house.model.turns += [call("ask"), [asyncio.Event()]]
        run = await house.start()
        await house.model.reached.wait()
        (child,) = await open_runs(house, other)
        await house.runs.cancel(run.id)
        await asked.wait()
        await house.runs.cancel(run.id)
        await asyncio.sleep(0)
        may_tell.set()
        for one in (run, child):
            assert end(await house.events(one.id)).state is RunState.CANCELLED


async def test_a_server_that_stops_leaves_the_ending_of_children_to_the_next_one() -> None:
    clock, tools = FakeClock(), Asking()
    async with engine(clock=clock, tools=tools) as house, asyncio.timeout(5):
        other, asked, may_tell = await another(house), asyncio.Event(), asyncio.Event()

        async def slow(_run_id: RunId) -> list[RunId]:
            asked.set()
            await may_tell.wait()
            return []

        house.children.waited_for = slow  # type: ignore[method-assign,assignment]  # a slow store
        tools.asks.append(asking(other))
        house.model.turns += [call("ask"), [asyncio.Event()]]
        run = await house.start()
        await house.model.reached.wait()
        (child,) = await open_runs(house, other)
        await house.runs.cancel(run.id)
        await asked.wait()
        # The group waits for what is on its way.
        asyncio.get_running_loop().call_soon(may_tell.set)
        database, agent = house.database, house.agent
    clock.advance(60)
    model = DirectedModel([[asyncio.Event()]])
    next_one = engine(clock=clock, model=model, tools=tools, database=database, agent=agent)
    async with next_one as house, asyncio.timeout(5):
        for one in (run, child):
            assert end(await house.events(one.id)).state is RunState.CANCELLED


async def test_a_run_whose_lease_was_lost_leaves_its_children_at_work() -> None:
    tools = Asking()
    async with engine(tools=tools) as house, asyncio.timeout(5):
        other, hold = await another(house), asyncio.Event()
        tools.asks += [asking(other)] * 2
        house.model.turns += [call("ask"), [hold, *say("still here")], say("done")]
        run = await house.start()
        await house.model.reached.wait()
        (child,) = await open_runs(house, other)

        async def noted() -> bool:
            return "ChildRunStarted" in await kinds_of(house.database.log, ProtoEventCodec(), run.id)

        await until(noted)
        await house.clock.until_sleepers()
        # Somebody else has it, for a moment: long enough for this server to see that it is not its own any more.
        (taken,) = await house.database.leases.take_over(house.clock.now() + timedelta(seconds=60), {child.id})
        assert taken.run.id == run.id
        await house.clock.run_for(11)
        assert (await house.runs.get(child.id)).state is RunState.RUNNING
        await house.clock.run_for(90)
        hold.set()
        events = await house.events(run.id)
        assert (end(events).state, end(events).attempt) == (RunState.COMPLETED, 3)
        assert returned(house) == "completed: still here"


async def test_children_need_a_supervisor() -> None:
    clock, codec = FakeClock(), ProtoEventCodec()
    database = MemoryDatabase(clock, codec)
    children = Children(
        runs=database.runs,
        history=database.history,
        log=database.log,
        models=OneModel(None),  # type: ignore[arg-type]  # nobody asks it
        clock=clock,
        tracing=NoTracing(),
    )
    with pytest.raises(RuntimeError):
        children.claim(None, None)  # type: ignore[arg-type]  # nobody looks at them


async def test_where_no_run_is_at_work_nobody_can_be_called() -> None:
    context = ToolContext(agent_id=None, conversation_id=None, run_id=None)  # type: ignore[arg-type]  # nobody looks at them
    for asked in (context.children.start(None, "", waits=True), context.children.ended(RunId(""))):  # type: ignore[arg-type]  # as above
        with pytest.raises(InvalidRequest):
            await asked
