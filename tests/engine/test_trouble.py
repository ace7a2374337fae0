"""Stores that fail, tools that collide, leases that are lost: what is left is whole and can go on."""

import asyncio
import logging
from asyncio import Future
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from letta_grpc.domain.completions import ReasoningChunk, TextChunk
from letta_grpc.domain.errors import ContextWindowExceeded, StoreUnavailable
from letta_grpc.domain.events import MessageCompleted, RunEvent, RunFinished, ToolOutputDelta, ToolReturned
from letta_grpc.domain.forking import Fork
from letta_grpc.domain.ids import ConversationId, RunId, new_run_id
from letta_grpc.domain.messages import ToolCall, ToolReturnStatus
from letta_grpc.domain.runs import ConflictPolicy, DisconnectPolicy, Run, RunState, StopReason
from letta_grpc.domain.tools import OutputStream
from letta_grpc.engine.agents import NewAgent
from letta_grpc.engine.blocks import NewBlock
from letta_grpc.ports.journal import Admit, Begin, Change, Claim, EditBlock, Journal, Lease, Leases, Start
from letta_grpc.ports.tools import ToolResult
from tests.support.engine import DONE, DirectedTools, Engine, call, end, engine, of, say, success


class FragileJournal:
    """A journal that fails when it is told to, for appends with an event of some type."""

    def __init__(self, inner: Journal) -> None:
        self.inner = inner
        self.fails_on: type[RunEvent] | None = None
        self.cancel_fault: type[Exception] | None = None
        # What a start is told instead of what became of its claim.
        self.claimed: Future[Claim] | None = None

    def claim(self, start: Start, admit: Admit, begin: Begin | None = None) -> Future[Claim]:
        claimed = self.inner.claim(start, admit, begin)
        return self.claimed or claimed

    def append(self, lease: Lease, events: Sequence[RunEvent], changes: Sequence[Change] = ()) -> Future[None]:
        if self.fails_on and any(isinstance(event, self.fails_on) for event in events):
            return failed()
        return self.inner.append(lease, events, changes)

    def request_cancel(self, run_id: object) -> Future[Claim]:
        if self.cancel_fault:
            return failed(self.cancel_fault)
        return self.inner.request_cancel(run_id)  # type: ignore[arg-type]  # a run id

    def fork(self, fork: Fork) -> Future[None]:
        return self.inner.fork(fork)


def failed(fault: type[Exception] = StoreUnavailable) -> Future:  # type: ignore[type-arg]  # of whatever was asked for
    future: Future[None] = asyncio.get_running_loop().create_future()
    future.set_exception(fault())
    return future


class FragileLeases:
    """Leases whose `start_next` fails so many times, and whose `renew` fails when it is told to, with such a fault."""

    def __init__(self, inner: Leases) -> None:
        self.inner = inner
        self.fault: type[Exception] = StoreUnavailable
        self.failures = 0
        self.renew_fails = False
        self.renews = True
        self.is_told_of_work = True
        self.lost: tuple[Lease, ...] = ()
        self.waiting_conversations = inner.waiting_conversations
        self.expire_calls = inner.expire_calls

    async def start_next(self, conversation_id: ConversationId) -> Claim | None:
        if self.failures:
            self.failures -= 1
            raise self.fault
        return await self.inner.start_next(conversation_id)

    async def take_over(self, now: datetime, working_on: Collection[RunId] = ()) -> tuple[Claim, ...]:
        return await self.inner.take_over(now, working_on if self.is_told_of_work else ())

    async def renew(self, leases: Sequence[Lease], until: object) -> tuple[Lease, ...]:
        if self.renew_fails:
            raise self.fault
        if not self.renews:
            return ()
        return self.lost + await self.inner.renew(leases, until)  # type: ignore[arg-type]  # a time


@pytest.fixture
def journal(house: Engine) -> FragileJournal:
    fragile = FragileJournal(house.database.journal)
    supervisor = house.supervisor
    supervisor._journal = supervisor._attempts._journal = fragile  # noqa: SLF001 - the test breaks a collaborator of a running engine
    return fragile


@pytest.fixture
def leases(house: Engine) -> FragileLeases:
    fragile = FragileLeases(house.database.leases)
    supervisor = house.supervisor
    supervisor._leases = supervisor._queues._leases = fragile  # noqa: SLF001 - the test breaks a collaborator of a running engine
    return fragile


async def test_a_run_whose_events_cannot_be_stored_is_left_open_and_says_nothing_more(
    house: Engine, journal: FragileJournal, caplog: pytest.LogCaptureFixture
) -> None:
    journal.fails_on = MessageCompleted
    house.model.turns += [say("hi")]
    run = await house.start()
    await house.supervisor.idle()
    assert (await house.runs.get(run.id)).state is RunState.RUNNING
    assert "run is left open: the store failed" in caplog.text


async def test_a_run_that_could_not_be_stored_after_all_ends_without_a_word(house: Engine, journal: FragileJournal) -> None:
    journal.claimed = asyncio.get_running_loop().create_future()
    house.model.turns += [[asyncio.Event()]]
    async with asyncio.TaskGroup() as group:
        starting = group.create_task(_refused(house))
        await house.model.reached.wait()
        assert not starting.done()
        ((run_id, attempt),) = house.supervisor._runs.items()  # noqa: SLF001 - nobody has been told of the run yet
        journal.claimed.set_exception(StoreUnavailable())
    await asyncio.wait([attempt.task])
    assert (house.supervisor.active, house.model.closed) == (0, 1)
    assert (await house.runs.get(run_id)).state is RunState.RUNNING


async def _refused(house: Engine) -> None:
    with pytest.raises(StoreUnavailable):
        await house.start()


async def test_a_run_whose_end_cannot_be_written_is_left_open(
    house: Engine, journal: FragileJournal, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("letta_grpc.engine.record.RunRecord.finish", _explode)
    house.model.turns += [say("hi")]
    run = await house.start()
    await house.supervisor.idle()
    assert journal.fails_on is None
    assert (await house.runs.get(run.id)).state is RunState.RUNNING
    assert "its end could not be written" in caplog.text


async def _explode(*_args: object) -> None:
    raise ZeroDivisionError


# The second is what nobody expects: it must not take the runs with it, as if somebody had cancelled them.
either_fault = pytest.mark.parametrize("fault", [StoreUnavailable, ZeroDivisionError])


@either_fault
async def test_a_queue_goes_on_once_the_store_is_there_again(
    house: Engine, leases: FragileLeases, fault: type[Exception]
) -> None:
    leases.fault = fault
    hold = asyncio.Event()
    house.model.turns += [[hold, [DONE]], say("second")]
    await house.start("one")
    await house.model.reached.wait()
    queued = await house.start("two", conflict_policy=ConflictPolicy.ENQUEUE)
    leases.failures = 1
    hold.set()
    await house.supervisor.idle()
    assert (await house.runs.get(queued.id)).state is RunState.QUEUED
    await house.clock.until_sleepers()
    await house.clock.run_for(11)
    assert end(await house.events(queued.id)).state is RunState.COMPLETED


@either_fault
async def test_housekeeping_goes_on_after_a_failure(
    house: Engine, leases: FragileLeases, caplog: pytest.LogCaptureFixture, fault: type[Exception]
) -> None:
    hold = asyncio.Event()
    house.model.turns += [[hold, *say("still here")]]
    run = await house.start()
    await house.model.reached.wait()
    leases.fault, leases.renew_fails = fault, True
    await house.clock.until_sleepers()
    await house.clock.run_for(11)
    assert "housekeeping failed" in caplog.text
    leases.renew_fails = False
    await house.clock.until_sleepers()
    hold.set()
    assert end(await house.events(run.id)).state is RunState.COMPLETED


async def test_a_run_whose_lease_was_lost_is_stopped_at_the_next_renewal(
    house: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    house.model.turns += [[[TextChunk("so f")], asyncio.Event()]]
    run = await house.start()
    await house.model.reached.wait()
    (claim,) = await house.database.leases.take_over(house.clock.now().replace(year=2040))
    await house.clock.until_sleepers()
    house.clock.advance(11)
    await house.supervisor.idle()
    assert house.model.closed == 1
    assert "taken over by another server" in caplog.text
    assert claim.lease is not None
    await house.database.journal.append(claim.lease, [RunFinished(replace(run, state=RunState.FAILED))])


@either_fault
async def test_a_grace_whose_cancel_cannot_be_stored_ends_nothing_else(
    house: Engine, journal: FragileJournal, caplog: pytest.LogCaptureFixture, fault: type[Exception]
) -> None:
    caplog.set_level(logging.WARNING)
    journal.cancel_fault = fault
    hold = asyncio.Event()
    house.model.turns += [[hold, *say("hi")]]
    run = await _unread(house)
    await house.clock.until_sleepers(2)
    house.clock.advance(5)
    hold.set()
    await house.supervisor.idle()
    assert "run could not be cancelled" in caplog.text
    assert (await house.runs.get(run.id)).state is RunState.COMPLETED


async def _unread(house: Engine) -> Run:
    run = await house.start(disconnect_policy=DisconnectPolicy.CANCEL, disconnect_grace=timedelta(seconds=5))
    await house.model.reached.wait()
    return run


async def test_edits_of_one_block_by_tools_side_by_side_are_both_kept() -> None:
    async def append(call: ToolCall) -> ToolResult:
        block = await house.database.memory.get(agent.id, "notes")
        await both.wait()
        return success("done", EditBlock(block.id, block.version, f"{block.value}{call.id};"))

    both = Meeting(2)
    async with asyncio.timeout(10), engine(tools=DirectedTools({"append": append})) as house:
        agent = await house.agents.create(NewAgent(model="test/model", memory_blocks=(NewBlock(label="notes"),)))
        events = await house.play(call("append", "append"), say("ok"), agent=agent)
        block = await house.database.memory.get(agent.id, "notes")
    assert sorted(block.value.split(";")) == ["", "append-0", "append-1"]
    assert {event.tool_return.status for event in of(ToolReturned, events)} == {ToolReturnStatus.SUCCESS}
    assert len(house.tools.ran) == 3


class Meeting:
    """Lets the first so many go on together, and everybody after them at once."""

    def __init__(self, size: int) -> None:
        self._barrier = asyncio.Barrier(size)
        self._left = size

    async def wait(self) -> None:
        if self._left:
            self._left -= 1
            await self._barrier.wait()


async def test_a_tool_that_never_gets_its_edit_through_tells_the_model() -> None:
    async def edit(_call: ToolCall) -> ToolResult:
        block = await house.database.memory.get(agent.id, "notes")
        return success("done", EditBlock(block.id, block.version + 1, "late"))

    async with asyncio.timeout(10), engine(tools=DirectedTools({"edit": edit})) as house:
        agent = await house.agents.create(NewAgent(model="test/model", memory_blocks=(NewBlock(label="notes"),)))
        events = await house.play(call("edit"), say("ok"), agent=agent)
    (returned,) = of(ToolReturned, events)
    assert returned.tool_return.status is ToolReturnStatus.ERROR
    assert "others keep changing" in returned.tool_return.text


async def test_a_tools_own_error_is_a_return_like_any_other() -> None:
    async def refuse(_call: ToolCall) -> ToolResult:
        return ToolResult(status=ToolReturnStatus.ERROR, text="no")

    async with asyncio.timeout(10), engine(tools=DirectedTools({"refuse": refuse})) as house:
        events = await house.play(call("refuse"), say("ok"))
    assert [event.tool_return.text for event in of(ToolReturned, events)] == ["no"]
    assert end(events).state is RunState.COMPLETED


async def test_a_run_whose_tools_returns_cannot_be_stored_is_left_open(
    house: Engine, journal: FragileJournal, caplog: pytest.LogCaptureFixture
) -> None:
    async def echo(call: ToolCall) -> str:
        house.tools.outputs[call.id](OutputStream.STDOUT, "never shown")
        return call.id

    house.tools.plays |= {"one": echo, "two": echo}
    agent = await house.agents.create(NewAgent(model="test/model"))
    house.model.turns += [call("one", "two")]
    journal.fails_on = ToolReturned
    run = await house.start(agent=agent)
    await house.supervisor.idle()
    assert (await house.runs.get(run.id)).state is RunState.RUNNING
    assert "run is left open: the store failed" in caplog.text


async def test_a_tool_whose_output_cannot_be_stored_is_not_listened_to_any_more(
    house: Engine, journal: FragileJournal
) -> None:
    async def talk(call: ToolCall) -> str:
        output = house.tools.outputs[call.id]
        output(OutputStream.STDOUT, "one")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        journal.fails_on = None
        output(OutputStream.STDOUT, "two")
        return "done"

    house.tools.plays["talk"] = talk
    agent = await house.agents.create(NewAgent(model="test/model"))
    journal.fails_on = ToolOutputDelta
    house.model.turns += [call("talk"), say("ok")]
    run = await house.start(agent=agent)
    events = await house.events(run.id)
    assert of(ToolOutputDelta, events) == []
    assert end(events).state is RunState.COMPLETED


async def test_a_server_that_renews_too_late_does_not_take_its_own_run_over(house: Engine, leases: FragileLeases) -> None:
    """It stood still for longer than a lease lasts, while the run was being claimed."""
    leases.renews = False
    hold = asyncio.Event()
    house.model.turns += [[hold, *say("late")]]
    run = await house.start()
    await house.model.reached.wait()
    for _ in range(4):
        await house.clock.until_sleepers()
        await house.clock.run_for(11)
    hold.set()
    await house.supervisor.idle()
    events = await house.events(run.id)
    assert (end(events).state, end(events).attempt) == (RunState.COMPLETED, 1)
    assert [event.message.text for event in of(MessageCompleted, events)] == ["late"]


async def test_a_run_that_is_taken_over_just_as_it_begins_is_begun_again_once_its_task_has_ended(
    house: Engine, leases: FragileLeases
) -> None:
    leases.renews = leases.is_told_of_work = False
    hold = asyncio.Event()
    house.model.turns += [[hold, *say("late")], say("anew")]
    run = await house.start()
    await house.model.reached.wait()
    for _ in range(4):
        await house.clock.until_sleepers()
        await house.clock.run_for(11)
    # The lease is another attempt's now, and the task of the first one still at work.
    assert (await house.runs.get(run.id)).attempt == 2
    hold.set()
    await house.supervisor.idle()
    for _ in range(4):
        await house.clock.until_sleepers()
        await house.clock.run_for(11)
    events = await house.events(run.id)
    assert (end(events).state, end(events).attempt) == (RunState.COMPLETED, 3)
    assert [event.message.text for event in of(MessageCompleted, events)] == ["anew"]


async def test_a_lease_that_was_lost_with_its_run_stops_nothing_else(house: Engine, leases: FragileLeases) -> None:
    """The run may end while the store is asked."""
    stranger = Lease(run_id=new_run_id(), owner="x", attempt=1)
    leases.lost = (stranger,)
    hold = asyncio.Event()
    house.model.turns += [[hold, *say("hi")]]
    run = await house.start()
    await house.model.reached.wait()
    await house.clock.until_sleepers()
    await house.clock.run_for(11)
    hold.set()
    assert end(await house.events(run.id)).state is RunState.COMPLETED


async def test_a_context_that_does_not_fit_has_its_own_stop_reason(house: Engine) -> None:
    assert end(await house.play([ContextWindowExceeded()])).stop_reason is StopReason.CONTEXT_OVERFLOW


async def test_reasoning_alone_is_an_answer(house: Engine) -> None:
    (completed,) = of(MessageCompleted, await house.play([[ReasoningChunk("hm")], [DONE]]))
    assert completed.message.text == ""


async def test_a_known_start_that_is_found_again_begins_nothing(house: Engine) -> None:
    one = "11111111-1111-4111-8111-111111111111"
    house.model.turns += [say("hi")]
    run = await house.start(request_id=one)
    await house.supervisor.idle()
    again = await house.start(request_id=one)
    assert (again.id, house.supervisor.active) == (run.id, 0)
