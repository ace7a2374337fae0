"""Cancel, time limits, the disconnect policy and the stop of the server."""

import asyncio
from asyncio import Future
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest

from letta_grpc.domain.completions import TextChunk
from letta_grpc.domain.errors import RunNotFound, ServerDraining
from letta_grpc.domain.events import MessageCompleted, RunEvent, RunFinished, StepCompleted, ToolExecutionStarted, ToolReturned
from letta_grpc.domain.ids import new_run_id
from letta_grpc.domain.messages import Role, ToolCall, ToolReturnStatus
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import ConflictPolicy, DisconnectPolicy, RunState, StopReason
from letta_grpc.ports.journal import Change, Lease
from tests.requirements.registry import requirement
from tests.support.engine import DONE, DirectedModel, DirectedTools, Engine, call, end, engine, kinds, of, say


class Gate:
    """A tool that says that it has begun, and waits."""

    def __init__(self) -> None:
        self.begun, self.open = asyncio.Event(), asyncio.Event()
        self.stopped = False

    async def __call__(self, _call: ToolCall) -> str:
        self.begun.set()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.stopped = True
            raise
        return "opened"


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def house(gate: Gate) -> AsyncIterator[Engine]:
    async with asyncio.timeout(10), engine(tools=DirectedTools({"gate": gate})) as running:
        yield running


@requirement("weakness_lost_words")
async def test_a_run_cancelled_while_the_model_speaks_keeps_what_was_said(house: Engine) -> None:
    house.model.turns += [[[TextChunk("so f")], asyncio.Event()]]
    run = await house.start()
    await house.model.reached.wait()
    assert (await house.runs.cancel(run.id)).id == run.id
    events = await house.events(run.id)
    assert (end(events).state, end(events).stop_reason) == (RunState.CANCELLED, StopReason.CANCELLED)
    assert [event.message.text for event in of(MessageCompleted, events)] == ["so f"]
    assert kinds(events)[-2:] == [StepCompleted, RunFinished]
    assert house.model.closed == 1


async def test_a_run_cancelled_before_the_model_speaks_ends_with_nothing_of_the_models(house: Engine) -> None:
    house.model.turns += [[asyncio.Event()]]
    run = await house.start()
    await house.model.reached.wait()
    await house.runs.cancel(run.id)
    events = await house.events(run.id)
    assert not of(MessageCompleted, events)
    assert end(events).state is RunState.CANCELLED


async def test_a_run_cancelled_while_a_tool_runs_stops_the_tool_and_gives_its_call_a_return(house: Engine, gate: Gate) -> None:
    house.model.turns += [call("gate", "gate"), say("next")]
    run = await house.start()
    await gate.begun.wait()
    await house.runs.cancel(run.id)
    events = await house.events(run.id)
    assert gate.stopped
    assert [event.tool_return.status for event in of(ToolReturned, events)] == [ToolReturnStatus.ERROR] * 2
    assert [event.message.role for event in of(MessageCompleted, events)] == [Role.ASSISTANT, Role.TOOL]
    await house.start("again")
    await house.supervisor.idle()
    roles = [message.role for message in house.model.asked[-1].messages]
    assert roles == [Role.USER, Role.ASSISTANT, Role.TOOL, Role.USER]


async def test_a_run_that_is_cancelled_before_its_first_step_has_an_end_all_the_same(house: Engine) -> None:
    house.model.turns += [say("done"), say("done")]
    async with asyncio.TaskGroup() as group:
        busy = group.create_task(house.start("one", conflict_policy=ConflictPolicy.ENQUEUE))
        next_one = group.create_task(house.start("two", conflict_policy=ConflictPolicy.INTERRUPT))
    assert end(await house.events(busy.result().id)).state is RunState.CANCELLED
    assert end(await house.events(next_one.result().id)).state is RunState.COMPLETED


async def test_no_tool_starts_once_a_cancel_has_returned(house: Engine, gate: Gate) -> None:
    hold = asyncio.Event()
    house.model.turns += [[*call("gate")[:1], hold, *call("gate")[1:]]]
    run = await house.start()
    await house.model.reached.wait()
    await house.runs.cancel(run.id)
    hold.set()
    assert not of(ToolExecutionStarted, await house.events(run.id))
    assert not gate.begun.is_set()


async def test_the_journal_stops_a_tool_when_another_server_has_stored_the_cancel(house: Engine, gate: Gate) -> None:
    hold = asyncio.Event()
    house.model.turns += [[*call("gate")[:1], hold, *call("gate")[1:]]]
    run = await house.start()
    await house.model.reached.wait()
    await house.database.journal.request_cancel(run.id)
    hold.set()
    events = await house.events(run.id)
    assert end(events).state is RunState.CANCELLED
    assert not gate.begun.is_set()
    assert [event.message.role for event in of(MessageCompleted, events)] == [Role.ASSISTANT, Role.TOOL]


async def test_a_run_that_is_cancelled_twice_while_a_return_is_being_stored_waits_for_what_becomes_of_that(
    house: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_ever, storing, stored = house.database.journal.append, asyncio.Event(), asyncio.get_running_loop().create_future()

    def append(lease: Lease, events: Sequence[RunEvent], changes: Sequence[Change] = ()) -> Future[None]:
        future = as_ever(lease, events, changes)
        if not of(ToolReturned, list(events)) or storing.is_set():
            return future
        storing.set()
        return stored

    monkeypatch.setattr(house.database.journal, "append", append)
    house.model.turns += [call("nothing")]
    run = await house.start()
    await storing.wait()
    for _ in range(2):
        await house.runs.cancel(run.id)
        # So that the task meets each by itself.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    stored.set_result(None)
    events = await house.events(run.id)
    assert end(events).state is RunState.CANCELLED
    assert len(of(ToolReturned, events)) == 1


@requirement("weakness_finished_cancel")
async def test_cancelling_a_finished_run_changes_nothing(house: Engine) -> None:
    events = await house.play(say("hi"))
    assert (await house.runs.cancel(end(events).id)).state is RunState.COMPLETED
    assert await house.events(end(events).id) == events


async def test_cancelling_an_unknown_run_is_an_error(house: Engine) -> None:
    with pytest.raises(RunNotFound):
        await house.runs.cancel(new_run_id())


async def test_a_start_that_its_caller_left_is_started_all_the_same(house: Engine) -> None:
    house.model.turns += [say("hi")]
    caller = asyncio.gather(house.start(request_id="11111111-1111-4111-8111-111111111111"))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await house.supervisor.idle()
    run = await house.start(request_id="11111111-1111-4111-8111-111111111111")
    assert end(await house.events(run.id)).state is RunState.COMPLETED
    assert len(house.model.asked) == 1


async def test_a_run_that_takes_too_long_fails_and_keeps_what_was_said(house: Engine) -> None:
    events = await house.play([[TextChunk("so f")], asyncio.Event()], run_timeout=timedelta(milliseconds=20))
    run = end(events)
    assert (run.state, run.stop_reason) == (RunState.FAILED, StopReason.TIMEOUT)
    assert run.error is not None
    assert run.error.reason == "RUN_TIMEOUT"
    assert [event.message.text for event in of(MessageCompleted, events)] == ["so f"]


async def test_a_time_limit_inside_a_model_is_not_taken_for_the_runs(house: Engine) -> None:
    run = end(await house.play([TimeoutError()]))
    assert run.error is not None
    assert run.error.reason == "INTERNAL"


CANCEL: dict[str, Any] = {"disconnect_policy": DisconnectPolicy.CANCEL, "disconnect_grace": timedelta(seconds=5)}


async def test_a_run_that_nobody_reads_is_cancelled_after_the_grace(house: Engine) -> None:
    house.model.turns += [[asyncio.Event()]]
    run = await house.start(**CANCEL)
    await house.model.reached.wait()
    await house.clock.until_sleepers(2)
    house.clock.advance(5)
    await house.supervisor.idle()
    assert (await house.runs.get(run.id)).state is RunState.CANCELLED


async def test_a_reader_that_comes_within_the_grace_keeps_the_run(house: Engine) -> None:
    hold = asyncio.Event()
    house.model.turns += [[hold, [TextChunk("hi")], [DONE]]]
    run = await house.start(**CANCEL)
    await house.model.reached.wait()
    house.clock.advance(4)
    async with aclosing(house.runs.follow(run.id, 0, None)) as pages:
        await anext(pages)
        house.clock.advance(60)
        hold.set()
        async for _page in pages:
            pass
    assert (await house.runs.get(run.id)).state is RunState.COMPLETED


async def test_the_grace_begins_anew_when_the_last_reader_goes(house: Engine) -> None:
    house.model.turns += [[asyncio.Event()]]
    run = await house.start(**CANCEL)
    await house.model.reached.wait()
    async with aclosing(house.runs.follow(run.id, 0, None)) as pages:
        await anext(pages)
        house.clock.advance(60)
    await house.clock.until_sleepers(2)
    assert (await house.runs.get(run.id)).state is RunState.RUNNING
    house.clock.advance(5)
    await house.supervisor.idle()
    assert (await house.runs.get(run.id)).state is RunState.CANCELLED


async def test_without_any_grace_a_run_waits_for_its_first_reader_and_for_no_other(house: Engine) -> None:
    house.model.turns += [[asyncio.Event()], [asyncio.Event()]]
    at_once: dict[str, Any] = {**CANCEL, "disconnect_grace": timedelta()}
    run = await house.start(**at_once)
    await house.model.reached.wait()
    house.clock.advance(4)
    async with aclosing(house.runs.follow(run.id, 0, None)) as pages:
        await anext(pages)
        house.clock.advance(60)
        assert (await house.runs.get(run.id)).state is RunState.RUNNING
    await house.supervisor.idle()
    assert (await house.runs.get(run.id)).state is RunState.CANCELLED
    unread = await house.start(**at_once)
    await house.clock.until_sleepers(2)
    house.clock.advance(5)
    await house.supervisor.idle()
    assert (await house.runs.get(unread.id)).state is RunState.CANCELLED


async def test_a_run_that_was_read_in_the_queue_already_waits_for_no_first_reader(house: Engine) -> None:
    hold, later = asyncio.Event(), asyncio.Event()
    house.model.turns += [[hold, *say("one")], [later, *say("two")]]
    await house.start()
    run = await house.start(conflict_policy=ConflictPolicy.ENQUEUE, **CANCEL)
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(house.events(run.id))
        await house.model.reached.wait()
        house.model.reached.clear()
        hold.set()
        await house.model.reached.wait()
        await house.clock.run_for(9)
        later.set()
    assert end(reading.result()).state is RunState.COMPLETED


async def test_a_queued_run_that_its_last_reader_left_never_begins(house: Engine) -> None:
    hold = asyncio.Event()
    house.model.turns += [[hold, *say("one")]]
    active = await house.start("hello")
    run = await house.start("unread", conflict_policy=ConflictPolicy.ENQUEUE, **CANCEL)
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(house.events(run.id))
        await house.clock.run_for(60)
        reading.cancel()
    await house.clock.run_for(4)
    assert (await house.runs.get(run.id)).state is RunState.QUEUED
    await house.clock.run_for(1)
    assert (await house.runs.get(run.id)).state is RunState.CANCELLED
    hold.set()
    assert end(await house.events(active.id)).state is RunState.COMPLETED
    page = await house.agents.list_messages(house.agent.id, None, PageRequest())
    assert [message.text for message in page.items] == ["hello", "one"]


async def test_who_read_a_run_that_the_next_server_takes_over_has_time_to_come_back() -> None:
    async with asyncio.timeout(10):
        async with engine() as first:
            first.model.turns += [[asyncio.Event()]]
            run = await first.start(**CANCEL)
            await first.model.reached.wait()
        first.clock.advance(31)
        model = DirectedModel([[asyncio.Event()]])
        async with engine(database=first.database, clock=first.clock, agent=first.agent, model=model) as second:
            await second.clock.run_for(14)
            assert (await second.runs.get(run.id)).state is RunState.RUNNING
            await second.clock.run_for(1)
            await second.supervisor.idle()
            assert (await second.runs.get(run.id)).state is RunState.CANCELLED


async def test_a_run_that_is_taken_over_under_its_reader_waits_for_no_other(house: Engine) -> None:
    hold = asyncio.Event()
    house.model.turns += [[asyncio.Event()], [hold, *say("anew")]]
    run = await house.start(**CANCEL)
    await house.model.reached.wait()
    house.model.reached.clear()
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(house.events(run.id))
        await house.clock.until_sleepers()
        # For a moment it is somebody else's.
        await house.database.leases.take_over(house.clock.now() + timedelta(seconds=60))
        await house.clock.run_for(101)
        await house.model.reached.wait()
        await house.clock.run_for(60)
        hold.set()
    assert (end(reading.result()).state, end(reading.result()).attempt) == (RunState.COMPLETED, 3)


async def test_without_the_policy_a_run_that_nobody_reads_goes_on(house: Engine) -> None:
    hold = asyncio.Event()
    house.model.turns += [[hold, [TextChunk("hi")], [DONE]]]
    run = await house.start()
    await house.model.reached.wait()
    house.clock.advance(6)
    hold.set()
    await house.supervisor.idle()
    assert (await house.runs.get(run.id)).state is RunState.COMPLETED


async def test_draining_refuses_starts_and_ends_every_following(house: Engine) -> None:
    hold = asyncio.Event()
    house.model.turns += [[hold, [TextChunk("hi")], [DONE]]]
    run = await house.start()
    await house.model.reached.wait()
    last = (await house.runs.read_events(run.id, 0)).last
    async with aclosing(house.runs.follow(run.id, last, None)) as pages:
        waiting = asyncio.gather(anext(pages))
        async with aclosing(house.runs.follow(run.id, last, 0.001)) as others:
            await anext(others)
        house.runs.drain()
        with pytest.raises(ServerDraining):
            await waiting
    with pytest.raises(ServerDraining):
        await house.start()
    with pytest.raises(ServerDraining):
        await house.runs.finished(run.id)
    hold.set()
    await house.supervisor.idle()
    assert (await house.runs.get(run.id)).state is RunState.COMPLETED


async def test_a_server_that_stops_leaves_its_runs_open_for_the_next() -> None:
    async with asyncio.timeout(10):
        async with engine() as first:
            first.model.turns += [[[TextChunk("so f")], asyncio.Event()]]
            run = await first.start(**CANCEL)
            await first.model.reached.wait()
        assert (await first.database.runs.get(run.id)).state is RunState.RUNNING
