"""Several starts in one conversation, and the same start several times."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from letta_grpc.domain.completions import TextChunk
from letta_grpc.domain.errors import AgentNotFound, ApprovalPending, ConversationBusy, ModelUnknown, QueueFull, RequestIdReused
from letta_grpc.domain.events import RunFinished
from letta_grpc.domain.ids import new_agent_id
from letta_grpc.domain.messages import Role, ToolCall
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import MAX_QUEUED_RUNS, ConflictPolicy, RunKind, RunSpec, RunState
from letta_grpc.engine.agents import NewAgent
from letta_grpc.engine.starts import StartRequest
from letta_grpc.ports.stores import RunFilter
from tests.requirements.registry import requirement
from tests.support.engine import DONE, DirectedTools, Engine, call, end, engine, kinds, say
from tests.support.values import spec

ONE = "11111111-1111-4111-8111-111111111111"


async def busy(house: Engine) -> asyncio.Event:
    """Start a run that lasts until the event is set."""
    hold = asyncio.Event()
    house.model.turns += [[[TextChunk("first")], hold, [DONE]]]
    await house.start("one")
    await house.model.reached.wait()
    return hold


async def words(house: Engine) -> list[str]:
    page = await house.agents.list_messages(house.agent.id, None, PageRequest(size=1000))
    return [message.text for message in page.items]


async def test_a_busy_conversation_refuses_and_names_the_active_run(house: Engine) -> None:
    await busy(house)
    active = (await house.runs.list(PageRequest(), RunFilter())).items[0]
    with pytest.raises(ConversationBusy) as refusal:
        await house.start("two")
    assert refusal.value.metadata["active_run_id"] == active.id
    assert len((await house.runs.list(PageRequest(), RunFilter())).items) == 1


async def test_a_compaction_is_not_told_to_queue_or_to_interrupt(house: Engine) -> None:
    compaction = RunSpec(messages=(), kind=RunKind.COMPACTION)
    hold = await busy(house)
    with pytest.raises(ConversationBusy, match=r"its end to compact it\.$"):
        await house.begin(compaction)
    hold.set()


async def test_nor_is_it_where_calls_wait() -> None:
    async with engine(tools=DirectedTools({"risky": done}, guarded={"risky"})) as house:
        await house.play(call("risky"))
        with pytest.raises(ApprovalPending, match=r"answer them to compact it\.$"):
            await house.begin(RunSpec(messages=(), kind=RunKind.COMPACTION))


async def test_queued_runs_start_in_order_and_their_input_comes_with_them(house: Engine) -> None:
    hold = await busy(house)
    house.model.turns += [say("second"), say("third")]
    queued = [await house.start(name, conflict_policy=ConflictPolicy.ENQUEUE) for name in ("two", "three")]
    assert [run.state for run in queued] == [RunState.QUEUED] * 2
    assert await words(house) == ["one"]
    hold.set()
    for run in queued:
        assert end(await house.events(run.id)).state is RunState.COMPLETED
    assert await words(house) == ["one", "first", "two", "second", "three", "third"]


async def test_an_interrupting_start_ends_the_active_run_and_goes_before_what_waits(house: Engine) -> None:
    await busy(house)
    active = (await house.runs.list(PageRequest(), RunFilter())).items[0]
    house.model.turns += [say("urgent"), say("later")]
    waiting = await house.start("two", conflict_policy=ConflictPolicy.ENQUEUE)
    urgent = await house.start("now", conflict_policy=ConflictPolicy.INTERRUPT)
    assert end(await house.events(urgent.id)).state is RunState.COMPLETED
    assert end(await house.events(active.id)).state is RunState.CANCELLED
    assert end(await house.events(waiting.id)).state is RunState.COMPLETED
    assert await words(house) == ["one", "first", "now", "urgent", "two", "later"]


async def test_of_two_interrupting_starts_at_once_the_second_ends_the_first(house: Engine) -> None:
    await busy(house)
    house.model.turns += [[asyncio.Event()]]
    interrupt: dict[str, Any] = {"conflict_policy": ConflictPolicy.INTERRUPT}
    first, second = await asyncio.gather(house.start("now", **interrupt), house.start("no, this", **interrupt))
    house.model.turns[:] = [say("urgent")]
    assert end(await house.events(second.id)).state is RunState.COMPLETED
    assert end(await house.events(first.id)).state is RunState.CANCELLED
    assert await words(house) == ["one", "first", "now", "no, this", "urgent"]


async def test_calls_whose_time_is_over_refuse_no_start() -> None:
    async with asyncio.timeout(10), engine(tools=DirectedTools({"risky": done}, guarded={"risky"})) as house:
        await house.play(call("risky"), approval_timeout=timedelta(seconds=61))
        await house.clock.run_for(60)
        with pytest.raises(ApprovalPending):
            await house.start("too early")
        await house.clock.run_for(1)
        assert end(await house.play(say("hi again"))).state is RunState.COMPLETED
        assert [message.role for message in house.model.asked[-1].messages] == [
            Role.USER,
            Role.ASSISTANT,
            Role.TOOL,
            Role.USER,
        ]


async def done(_call: ToolCall) -> str:
    return "done"


async def test_a_queue_takes_a_hundred_runs(house: Engine) -> None:
    await busy(house)
    for _ in range(MAX_QUEUED_RUNS):
        await house.start("next", conflict_policy=ConflictPolicy.ENQUEUE)
    with pytest.raises(QueueFull):
        await house.start("next", conflict_policy=ConflictPolicy.ENQUEUE)


@requirement("conflict_enqueue")
@pytest.mark.parametrize("turns_of_the_loop", range(8))
async def test_no_run_is_forgotten_however_close_to_the_end_of_another_it_comes(house: Engine, turns_of_the_loop: int) -> None:
    hold, second = await busy(house), asyncio.Event()
    house.model.reached.clear()
    house.model.turns += [[second, [DONE]], say("third")]
    hold.set()
    for _ in range(turns_of_the_loop):
        await asyncio.sleep(0)
    runs = await asyncio.gather(*(house.start(name, conflict_policy=ConflictPolicy.ENQUEUE) for name in ("two", "three")))
    await house.model.reached.wait()
    second.set()
    for run in runs:
        assert end(await house.events(run.id)).state is RunState.COMPLETED


@requirement("complaint_08_busy")
async def test_who_has_seen_the_end_of_a_run_is_not_refused_as_busy(house: Engine) -> None:
    for number in range(20):
        house.model.turns += [say(f"{number}")]
        run = await house.start(f"{number}")
        async for page in house.runs.follow(run.id):
            if page.ended:
                # At once, in the same turn of the loop: the run's own task has not come to its end yet.
                break
    assert house.supervisor.active == 1


async def test_a_queued_run_can_be_cancelled_and_says_nothing_but_that(house: Engine) -> None:
    hold = await busy(house)
    house.model.turns += [say("third")]
    second = await house.start("two", conflict_policy=ConflictPolicy.ENQUEUE)
    third = await house.start("three", conflict_policy=ConflictPolicy.ENQUEUE)
    await house.runs.cancel(second.id)
    assert kinds(await house.events(second.id)) == [RunFinished]
    hold.set()
    await house.events(third.id)
    assert "two" not in await words(house)


async def test_conversations_do_not_wait_for_each_other(house: Engine) -> None:
    await busy(house)
    other = await house.agents.create(NewAgent(model="test/model"))
    assert end(await house.play(say("hi"), agent=other)).state is RunState.COMPLETED


@requirement("complaint_09_duplicates")
async def test_the_same_start_again_gives_the_same_run(house: Engine) -> None:
    house.model.turns += [say("hi")]
    first = await house.start("one", request_id=ONE)
    events = await house.events(first.id)
    again = await house.start("one", request_id=ONE)
    assert again.id == first.id
    assert await house.events(again.id) == events
    assert len(house.model.asked) == 1


async def test_the_same_start_is_known_also_while_the_conversation_is_busy_with_it(house: Engine) -> None:
    hold = asyncio.Event()
    house.model.turns += [[hold, [DONE]]]
    first = await house.start("one", request_id=ONE)
    assert (await house.start("one", request_id=ONE)).id == first.id
    hold.set()


async def test_a_request_id_for_another_payload_is_refused(house: Engine) -> None:
    house.model.turns += [say("hi")]
    first = await house.start("one", request_id=ONE)
    with pytest.raises(RequestIdReused) as refusal:
        await house.start("two", request_id=ONE)
    assert refusal.value.metadata["run_id"] == first.id


async def test_an_unknown_model_claims_nothing(house: Engine) -> None:
    with pytest.raises(ModelUnknown) as unknown:
        await house.start("one", request_id=ONE, model="nobody/nothing")
    assert list(unknown.value.fields) == ["run.model"]
    assert (await house.runs.list(PageRequest(), RunFilter())).items == ()
    house.model.turns += [say("hi")]
    await house.start("one", request_id=ONE)


async def test_an_unknown_agent_is_told(house: Engine) -> None:
    with pytest.raises(AgentNotFound):
        await house.runs.start(StartRequest(agent_id=new_agent_id(), conversation_id=None, request_id=None, spec=spec("hi")))
