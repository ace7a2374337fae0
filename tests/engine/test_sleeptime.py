"""Agents that work in the background after the turns of another one."""

import asyncio

import pytest

from letta_grpc.domain.agents import Agent, Conversation, Sleeptime
from letta_grpc.domain.completions import TextChunk
from letta_grpc.domain.errors import StoreUnavailable
from letta_grpc.domain.ids import AgentId, new_agent_id, new_conversation_id
from letta_grpc.domain.messages import ApprovalInput, Approve, Role
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import ConflictPolicy, Run, RunSpec, RunState
from letta_grpc.engine.agents import NewAgent
from letta_grpc.engine.sleeptime import SLEEPTIME_OF
from letta_grpc.engine.starts import StartRequest
from letta_grpc.ports.stores import RunFilter
from letta_grpc.testing.clocks import FakeClock
from tests.requirements.registry import requirement
from tests.support.engine import DirectedModel, DirectedTools, Engine, call, engine, say
from tests.support.values import spec


async def with_helper(house: Engine, every: int, *more: AgentId) -> Agent:
    """The house's agent gets one that helps it; the helper is returned."""
    helper = await house.agents.create(NewAgent(model="test/model", name="helper"))
    sleeptime = Sleeptime(agent_ids=(*more, helper.id), every_turns=every)
    await house.database.agents.update(house.agent.id, {"sleeptime": sleeptime}, house.clock.now())
    return helper


async def runs_of(house: Engine, agent: Agent) -> list[Run]:
    return list((await house.runs.list(PageRequest(), RunFilter(agent_id=agent.id))).items)


async def helped(house: Engine, helper: Agent, count: int) -> list[Run]:
    """The helper's runs, once there are so many and all have ended."""
    async with asyncio.timeout(5):
        while len(  # noqa: ASYNC110 - see below
            found := await runs_of(house, helper)
        ) < count or not all(run.state.is_final for run in found):
            # Nobody is told of such a start: that is what it is for.
            await asyncio.sleep(0)
    return found


async def turns(house: Engine, count: int) -> None:
    for number in range(count):
        house.model.turns.append(say(f"answer {number}"))
        run = await house.start(f"question {number}")
        await house.events(run.id)


async def told(house: Engine, run: Run) -> str:
    return (await house.database.history.of_run(run.id))[0].text


@requirement("sleeptime_after_turns")
async def test_after_every_so_many_turns_the_helper_is_told_what_was_said_since() -> None:
    async with engine() as house:
        helper = await with_helper(house, 2)
        await turns(house, 1)
        assert await runs_of(house, helper) == []
        house.model.turns.append(say("answer 1"))
        house.model.turns.append(say("noted"))
        await house.events((await house.start("question 1")).id)
        (first,) = await helped(house, helper, 1)
        assert (first.state, first.background) == (RunState.COMPLETED, True)
        assert first.metadata == {SLEEPTIME_OF: house.agent.id}
        text = await told(house, first)
        places = [text.index(part) for part in ("question 0", "answer 0", "question 1", "answer 1")]
        assert places == sorted(places)
        await turns(house, 1)
        assert len(await runs_of(house, helper)) == 1
        house.model.turns += [say("answer 3"), say("noted")]
        await house.events((await house.start("question 3")).id)
        second = (await helped(house, helper, 2))[1]
        assert "question 1" not in await told(house, second)
        assert "question 3" in await told(house, second)


@requirement("sleeptime_after_turns")
async def test_what_was_said_in_turns_that_failed_or_were_cancelled_is_told_with_the_next_that_was_not() -> None:
    async with engine(tools=DirectedTools({"risky": seen}, guarded={"risky"})) as house:
        helper = await with_helper(house, 1)
        house.model.turns += [say("answer 0"), say("noted")]
        await house.events((await house.start("question 0")).id)
        await helped(house, helper, 1)
        house.model.turns.append([RuntimeError("broken")])
        await house.events((await house.start("my name is Sam")).id)
        house.model.turns.append([[TextChunk("Go on")], asyncio.Event()])
        cancelled = await house.start("I live in Rome")
        await house.model.reached.wait()
        await house.runs.cancel(cancelled.id)
        await house.events(cancelled.id)
        house.model.turns.append(call("risky"))
        await house.events((await house.start("delete it")).id)
        house.model.turns += [say("answer 1"), say("noted")]
        await house.events((await house.start("no, leave it", conflict_policy=ConflictPolicy.INTERRUPT)).id)
        text = await told(house, (await helped(house, helper, 2))[1])
    places = [text.index(part) for part in ("Sam", "Rome", "delete it", "[calls risky", "no, leave it", "answer 1")]
    assert places == sorted(places)
    assert "question 0" not in text
    assert text.count("Sam") == 1


@requirement("sleeptime_after_turns")
async def test_what_tools_were_called_with_and_gave_is_told_too() -> None:
    async with engine() as house:
        house.tools.plays["look"] = seen
        await house.database.agents.update(house.agent.id, {"tools": ("look",)}, house.clock.now())
        helper = await with_helper(house, 1)
        house.model.turns += [call("look"), say("done"), say("noted")]
        await house.events((await house.start("look around")).id)
        (run,) = await helped(house, helper, 1)
        text = await told(house, run)
        assert "[calls look with {}]" in text
        assert "[gets a tree]" in text


async def seen(_call: object) -> str:
    return "a tree"


@requirement("sleeptime_foreground")
async def test_neither_background_work_nor_a_turn_that_fails_is_followed_by_any() -> None:
    async with engine() as house:
        helper = await with_helper(house, 1)
        await house.play(say("quiet"), background=True)
        await house.play([RuntimeError("broken")])
        assert await runs_of(house, helper) == []
        await house.database.agents.update(
            helper.id, {"sleeptime": Sleeptime(agent_ids=(house.agent.id,), every_turns=1)}, house.clock.now()
        )
        await house.play(say("hello"), say("noted"))
        (run,) = await helped(house, helper, 1)
        assert run.background
        # It is background work itself: nobody works in the background for it.
        assert len(await runs_of(house, house.agent)) == 3


@requirement("sleeptime_foreground", "defect_background_failure")
async def test_a_helper_that_is_gone_keeps_no_other_from_its_work_and_fails_no_turn() -> None:
    async with engine() as house:
        helper = await with_helper(house, 1, new_agent_id())
        house.model.turns += [say("hello"), say("noted")]
        events = await house.events((await house.start("hi")).id)
        assert events
        (run,) = await helped(house, helper, 1)
        assert run.state is RunState.COMPLETED


@requirement("sleeptime_lost_nothing")
async def test_what_a_server_did_not_come_to_start_the_next_one_starts_once() -> None:
    clock = FakeClock()
    async with engine(clock=clock) as house:
        helper = await with_helper(house, 2)
        await turns(house, 1)
        # What a server leaves behind that dies as its second turn has ended.
        await house.database.agents.update(house.agent.id, {"sleeptime": None}, clock.now())
        await turns(house, 1)
        sleeptime = Sleeptime(agent_ids=(helper.id,), every_turns=2)
        await house.database.agents.update(house.agent.id, {"sleeptime": sleeptime}, clock.now())
        assert await runs_of(house, helper) == []
        database, agent = house.database, house.agent
    for _ in range(2):
        async with engine(clock=clock, database=database, agent=agent) as house:
            house.model.turns.append(say("noted"))
            (run,) = await helped(house, helper, 1)
            assert run.state is RunState.COMPLETED


@requirement("sleeptime_lost_nothing")
async def test_what_was_started_is_not_started_again_though_its_words_have_changed() -> None:
    async with engine() as house:
        helper = await with_helper(house, 2)
        await turns(house, 1)
        house.model.turns += [say("answer"), say("noted"), say("third")]
        await house.events((await house.start("question")).id)
        await helped(house, helper, 1)
        await house.database.agents.update(house.agent.id, {"name": "another name"}, house.clock.now())
        await house.events((await house.start("question")).id)
        await house.supervisor._sleeptime.start_due(house.agent.id, house.supervisor.start)  # noqa: SLF001 - as a turn's end does
        assert len(await runs_of(house, helper)) == 1


@requirement("sleeptime_lost_nothing")
@pytest.mark.parametrize("every", [1, 2])
async def test_turns_that_end_side_by_side_are_all_told(every: int) -> None:
    async with engine() as house:
        helper = await with_helper(house, every)
        for told_before in (0, 2):
            # Nobody looks before the last of them has ended.
            await house.database.agents.update(house.agent.id, {"sleeptime": None}, house.clock.now())
            await turns(house, 2 * every)
            sleeptime = Sleeptime(agent_ids=(helper.id,), every_turns=every)
            await house.database.agents.update(house.agent.id, {"sleeptime": sleeptime}, house.clock.now())
            house.model.turns += [say("noted")] * 2
            await house.supervisor._sleeptime.start_due(house.agent.id, house.supervisor.start)  # noqa: SLF001 - as a turn's end does
            found = await helped(house, helper, told_before + 2)
        assert [(await told(house, run)).count("user: question") for run in found] == [every] * 4


async def test_of_the_turns_from_before_it_had_a_helper_the_last_are_told() -> None:
    async with engine() as house:
        await turns(house, 3)
        house.clock.advance(120)
        helper = await with_helper(house, 1)
        house.model.turns += [say("noted")]
        await house.supervisor._sleeptime.start_due(house.agent.id, house.supervisor.start)  # noqa: SLF001 - as a turn's end does
        (run,) = await helped(house, helper, 1)
        assert "question 2" in await told(house, run)


@requirement("sleeptime_lost_nothing")
async def test_what_was_told_is_not_told_again_though_earlier_turns_are_gone() -> None:
    async with engine() as house:
        helper = await with_helper(house, 2)
        now = house.clock.now()
        side = Conversation(id=new_conversation_id(), agent_id=house.agent.id, create_time=now, update_time=now)
        await house.database.conversations.create(side)
        house.model.turns += [say("one")]
        aside = StartRequest(agent_id=house.agent.id, conversation_id=side.id, request_id=None, spec=spec("aside"))
        await house.events((await house.runs.start(aside)).id)
        house.model.turns += [say("two"), say("noted")]
        await house.events((await house.start("question")).id)
        await helped(house, helper, 1)
        await house.database.conversations.delete(side.id)
        await turns(house, 1)
        assert len(await runs_of(house, helper)) == 1
        house.model.turns += [say("four"), say("noted")]
        await house.events((await house.start("question 3")).id)
        second = (await helped(house, helper, 2))[1]
        assert "two" not in await told(house, second)
        assert "question 0" in await told(house, second)


@requirement("sleeptime_after_turns")
async def test_a_turn_that_waited_for_answers_is_told_from_its_beginning() -> None:
    async with engine() as house:
        house.tools.plays["look"] = seen
        house.tools.guarded.add("look")
        await house.database.agents.update(house.agent.id, {"tools": ("look",)}, house.clock.now())
        helper = await with_helper(house, 1)
        house.model.turns += [call("look"), say("done"), say("noted")]
        await house.events((await house.start("look around")).id)
        yes = ApprovalInput(decisions=(Approve(tool_call_id="look-0"),))
        await house.events((await house.begin(RunSpec(messages=(yes,)))).id)
        (run,) = await helped(house, helper, 1)
        text = await told(house, run)
        places = [text.index(part) for part in ("look around", "[calls look with {}]", "[gets a tree]", "done")]
        assert places == sorted(places)


async def test_the_newest_part_of_a_long_transcript_is_told() -> None:
    async with engine() as house:
        helper = await with_helper(house, 1)
        house.model.turns += [say("the end"), say("noted")]
        run = await house.start("x" * 200_000)
        await house.events(run.id)
        (noted,) = await helped(house, helper, 1)
        text = await told(house, noted)
        assert len(text) < 110_000
        assert text.endswith("the end")
        assert Role.ASSISTANT.value in text


async def test_what_is_due_is_looked_for_on_every_page_of_the_agents() -> None:
    async with engine() as house:
        for _ in range(1001):
            await house.agents.create(NewAgent(model="test/model"))
        last = await house.agents.create(NewAgent(model="test/model"))
        house.model.turns.append(say("hello"))
        await house.events((await house.start("hi", agent=last)).id)
        helper = await house.agents.create(NewAgent(model="test/model"))
        sleeptime = Sleeptime(agent_ids=(helper.id,), every_turns=1)
        await house.database.agents.update(last.id, {"sleeptime": sleeptime}, house.clock.now())
        database, agent, clock = house.database, house.agent, house.clock
    async with engine(database=database, agent=agent, clock=clock) as house:
        house.model.turns.append(say("noted"))
        assert len(await helped(house, helper, 1)) == 1


@pytest.mark.parametrize("fault", [StoreUnavailable, ZeroDivisionError])
async def test_trouble_with_background_work_is_logged_and_harms_nothing(
    fault: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    async with engine() as house:
        await with_helper(house, 1)

        async def fail(*_: object, **__: object) -> None:
            raise fault

        work = house.supervisor._sleeptime  # noqa: SLF001 - its store fails from now on
        house.database.agents.get = fail  # type: ignore[method-assign,assignment]  # see above
        await work.start_due(house.agent.id, house.supervisor.start)
        house.database.agents.list = fail  # type: ignore[method-assign,assignment]  # see above
        await work.start_all(house.supervisor.start)
        assert "could not be started" in caplog.text
        assert "could not be looked for" in caplog.text


async def test_an_agent_that_has_no_helper_any_more_is_left_alone() -> None:
    async with engine() as house:
        await turns(house, 1)
        await house.supervisor._sleeptime.start_due(house.agent.id, house.supervisor.start)  # noqa: SLF001 - as a turn's end would
        assert len(house.model.asked) == 1


async def test_what_is_due_after_a_turn_that_ends_while_a_server_drains_the_next_one_starts() -> None:
    async with engine() as first:
        helper, hold = await with_helper(first, 1), asyncio.Event()
        first.model.turns += [[hold, *say("answer")]]
        await first.start("question")
        await first.model.reached.wait()
        first.runs.drain()
        hold.set()
        await first.supervisor.idle()
        await first.clock.run_for(11)
        assert await runs_of(first, helper) == []
    model = DirectedModel([say("noted")])
    async with engine(database=first.database, clock=first.clock, agent=first.agent, model=model) as second:
        (run,) = await helped(second, helper, 1)
    assert run.state is RunState.COMPLETED
