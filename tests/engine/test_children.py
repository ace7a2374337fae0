"""Runs that tools of a run have other agents do."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from letta_grpc.adapters.memory.database import MemoryDatabase
from letta_grpc.domain.agents import Agent
from letta_grpc.domain.errors import InvalidRequest, LettaError, StoreUnavailable
from letta_grpc.domain.events import ChildRunStarted, ToolExecutionStarted
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.messages import ToolCall
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import OPEN_STATES, Run, RunState
from letta_grpc.engine.agents import NewAgent
from letta_grpc.engine.children import MAX_DEPTH, Children
from letta_grpc.ports.children import ChildRuns
from letta_grpc.ports.journal import Admit, Claim, Start
from letta_grpc.ports.stores import RunFilter
from letta_grpc.ports.tools import Output, ToolContext, ToolResult
from letta_grpc.ports.tracing import NoTracing
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.transport.convert.codec import ProtoEventCodec
from tests.support.engine import DirectedModel, DirectedTools, Engine, OneModel, call, end, engine, of, say, success

Ask = Callable[[ChildRuns], Awaitable[str]]


@dataclass
class Asking(DirectedTools):
    """The one tool `ask`: each call of it does the next of `asks`."""

    asks: list[Ask] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.plays["ask"] = _unused
        self.idempotent.add("ask")

    async def run(self, call: ToolCall, context: ToolContext, output: Output) -> ToolResult:  # noqa: ARG002 - the port's shape
        self.ran.append(call.id)
        try:
            return success(await self.asks.pop(0)(context.children))
        except LettaError as error:
            return success(f"refused: {error.message}")


async def _unused(_call: ToolCall) -> str:
    raise NotImplementedError


def asking(agent: Agent, *, waits: bool = True) -> Ask:
    async def ask(children: ChildRuns) -> str:
        run = await children.start(agent.id, "hello", waits=waits)
        if not waits:
            return run.id
        run, words = await children.ended(run.id)
        return f"{run.state.value}: {words}"

    return ask


async def another(house: Engine) -> Agent:
    return await house.agents.create(NewAgent(model="test/model"))


def returned(house: Engine, index: int = -1) -> str:
    """What the model was told last of its tool."""
    return house.model.asked[index].messages[-1].tool_returns[0].text


async def open_runs(house: Engine, agent: Agent) -> list[Run]:
    where = RunFilter(agent_id=agent.id, states=tuple(OPEN_STATES))
    return list((await house.runs.list(PageRequest(), where)).items)


async def queued(house: Engine, agent: Agent) -> list[Run]:
    return [run for run in await open_runs(house, agent) if run.state is RunState.QUEUED]


async def until(look: Callable[[], Awaitable[object]]) -> None:
    """Let the loop go round until something is so that nobody is told of."""
    while not await look():  # noqa: ASYNC110 - see above
        await asyncio.sleep(0)


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


async def test_a_child_may_take_as_long_as_its_parent_has_left() -> None:
    tools = Asking()
    async with engine(tools=tools) as house, asyncio.timeout(5):
        other = await another(house)

        async def late(children: ChildRuns) -> str:
            house.clock.advance(timedelta(minutes=4).total_seconds())
            return await asking(other)(children)

        tools.asks.append(late)
        house.model.turns += [call("ask"), [asyncio.Event()]]
        await house.start(run_timeout=timedelta(minutes=5))
        await house.model.reached.wait()
        (child,) = await open_runs(house, other)
        assert house.database.runs._state.run(child.id).spec.run_timeout == timedelta(minutes=1)  # noqa: SLF001 - what was asked for is shown nowhere


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
        children = house.supervisor._children  # noqa: SLF001 - its journal is slow from now on
        claim, stored = children.claim, asyncio.get_running_loop().create_future()
        wishes: list[tuple[Start, Admit]] = []

        def slow(start: Start, admit: Admit) -> asyncio.Future[Claim]:
            wishes.append((start, admit))
            begun.set()
            return stored

        children.claim = slow
        tools.asks.append(asking(other))
        house.model.turns += [call("ask"), [asyncio.Event()]]
        run = await house.start()
        await begun.wait()
        await house.runs.cancel(run.id)
        await asyncio.sleep(0)
        stored.set_result(await claim(*wishes[0]))
        assert end(await house.events(run.id)).state is RunState.CANCELLED
        assert await open_runs(house, other) == []


async def test_a_run_ends_also_if_its_children_cannot_be_found(caplog: pytest.LogCaptureFixture) -> None:
    tools = Asking()
    async with engine(tools=tools) as house, asyncio.timeout(5):
        tools.asks.append(asking(await another(house)))
        house.model.turns += [call("ask"), [asyncio.Event()]]
        run = await house.start()
        await house.model.reached.wait()
        house.supervisor._children.waited_for = unavailable  # type: ignore[method-assign,assignment]  # noqa: SLF001 - a store that fails from now on
        await house.runs.cancel(run.id)
        assert end(await house.events(run.id)).state is RunState.CANCELLED
        assert "could not be ended" in caplog.text


async def unavailable(_run_id: RunId) -> list[RunId]:
    raise StoreUnavailable


async def test_to_be_cancelled_once_more_disturbs_no_run_that_ends_its_children() -> None:
    tools = Asking()
    async with engine(tools=tools) as house, asyncio.timeout(5):
        other, asked, may_tell = await another(house), asyncio.Event(), asyncio.Event()
        children = house.supervisor._children  # noqa: SLF001 - its store is slow from now on
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

        house.supervisor._children.waited_for = slow  # type: ignore[method-assign,assignment]  # noqa: SLF001 - a slow store
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


async def test_two_callers_that_would_wait_for_each_other_are_told() -> None:
    tools = Asking()
    async with engine(tools=tools) as house, asyncio.timeout(5):
        other, may_ask = await another(house), asyncio.Event()

        async def first(children: ChildRuns) -> str:
            await may_ask.wait()
            return await asking(other)(children)

        # The first asks once the other's call waits behind it.
        tools.asks += [first, asking(house.agent)]
        house.model.turns.append(call("ask"))
        one = await house.start()
        await until(lambda: asyncio.sleep(0, tools.ran))
        house.model.turns.append(call("ask"))
        two = await house.start(agent=other)
        await until(lambda: queued(house, house.agent))
        house.model.turns += [say("done"), say("then me"), say("done"), say("late")]
        may_ask.set()
        assert end(await house.events(one.id)).state is RunState.COMPLETED
        assert "waits for you itself" in returned(house, 2)
        assert end(await house.events(two.id)).state is RunState.COMPLETED


async def test_a_call_that_only_has_to_wait_its_turn_waits() -> None:
    tools = Asking()
    async with engine(tools=tools) as house, asyncio.timeout(5):
        other, third, may_end = await another(house), await another(house), asyncio.Event()

        async def busy(children: ChildRuns) -> str:
            await may_end.wait()
            return await asking(third)(children)

        # The one that it waits for waits for somebody else: that is no circle.
        tools.asks += [busy, asking(other)]
        house.model.turns.append(call("ask"))
        await house.start(agent=other)
        await until(lambda: asyncio.sleep(0, tools.ran))
        house.model.turns += [call("ask"), say("third"), say("not busy any more"), say("answer"), say("done")]
        run = await house.start()
        await until(lambda: queued(house, other))
        may_end.set()
        assert end(await house.events(run.id)).state is RunState.COMPLETED
        assert returned(house) == "completed: answer"


@pytest.mark.parametrize("asks_first", [True, False], ids=["already", "in the end"])
async def test_who_calls_an_agent_that_waits_for_a_person_is_told(*, asks_first: bool) -> None:
    tools, gate = Asking(guarded={"risky"}), asyncio.Event()
    tools.plays["risky"] = _unused
    async with engine(tools=tools) as house, asyncio.timeout(5):
        other = await another(house)
        house.model.turns.append([gate, *call("risky")])
        asked = await house.start(agent=other)
        await house.model.reached.wait()
        if asks_first:
            gate.set()
            assert end(await house.events(asked.id)).state is RunState.INTERRUPTED
        tools.asks.append(asking(other))
        house.model.turns += [call("ask"), say("I see")]
        run = await house.start()
        await until(lambda: queued(house, other))
        gate.set()
        assert end(await house.events(run.id)).state is RunState.COMPLETED
        assert "waits for somebody's answer to a tool call" in returned(house)
        # What it was told it reads when it may go on.
        assert len(await queued(house, other)) == 1


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
