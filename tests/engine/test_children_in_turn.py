"""Runs that wait until the agent that they call is free."""

import asyncio
from collections.abc import Awaitable

import pytest

from letta_grpc.domain.agents import Agent
from letta_grpc.domain.ids import ConversationId
from letta_grpc.domain.runs import ConflictPolicy, Run, RunState
from letta_grpc.ports.children import ChildRuns
from tests.support.asking import Asking, another, asking, open_runs, queued, returned, until, unused
from tests.support.engine import Engine, call, end, engine, say


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
    tools.plays["risky"] = unused
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


async def test_who_waits_behind_a_run_that_comes_to_wait_for_a_person_is_told() -> None:
    tools, gate = Asking(guarded={"risky"}), asyncio.Event()
    tools.plays["risky"] = unused
    async with engine(tools=tools) as house, asyncio.timeout(5):
        other = await another(house)
        house.model.turns.append([gate, *say("first")])
        await house.start(agent=other)
        await house.model.reached.wait()
        asked = await house.start(agent=other, conflict_policy=ConflictPolicy.ENQUEUE)
        tools.asks.append(asking(other))
        house.model.turns.append(call("ask"))
        run = await house.start()
        await until(lambda: at_least(2, queued(house, other)))
        house.model.turns += [call("risky"), say("I see")]
        gate.set()
        assert end(await house.events(asked.id)).state is RunState.INTERRUPTED
        assert end(await house.events(run.id)).state is RunState.COMPLETED
        assert "waits for somebody's answer to a tool call" in returned(house)


async def at_least(count: int, found: Awaitable[list[Run]]) -> bool:
    return len(await found) >= count


async def test_a_call_between_two_runs_of_its_agent_waits_for_its_own() -> None:
    tools, gate = Asking(), asyncio.Event()
    async with engine(tools=tools) as house, asyncio.timeout(5):
        other = await another(house)
        looked = nobody_at_work(house, other)
        house.model.turns.append([gate, *say("first")])
        await house.start(agent=other)
        await house.model.reached.wait()
        tools.asks.append(asking(other))
        house.model.turns += [call("ask"), say("answer"), say("done")]
        run = await house.start()
        await looked.wait()
        gate.set()
        assert end(await house.events(run.id)).state is RunState.COMPLETED
        assert returned(house) == "completed: answer"


async def test_who_waits_for_a_run_that_has_not_begun_is_waited_for() -> None:
    tools, gate = Asking(), asyncio.Event()
    async with engine(tools=tools) as house, asyncio.timeout(5):
        other, third = await another(house), await another(house)
        looked = nobody_at_work(house, third)
        tools.asks += [asking(third), asking(other)]
        house.model.turns += [call("ask"), [gate, *say("third")]]
        await house.start(agent=other)
        await house.model.reached.wait()
        house.model.turns += [call("ask"), say("not busy any more"), say("answer"), say("done")]
        run = await house.start()
        await looked.wait()
        gate.set()
        assert end(await house.events(run.id)).state is RunState.COMPLETED
        assert returned(house) == "completed: answer"


def nobody_at_work(house: Engine, agent: Agent) -> asyncio.Event:
    """Let an agent look as it does for a moment between two of its runs. Returns what is set once that was seen."""
    children, looked = house.children, asyncio.Event()
    at_work = children._at_work  # noqa: SLF001 - the moment is too short to be met

    async def between(conversation_id: ConversationId) -> Run | None:
        if conversation_id in {run.conversation_id for run in await open_runs(house, agent)}:
            looked.set()
            return None
        return await at_work(conversation_id)

    children._at_work = between  # type: ignore[method-assign]  # noqa: SLF001 - as above
    return looked
