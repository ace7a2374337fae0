"""What becomes of a run whose server died: the next one reads its log and goes on."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace

import pytest

from letta_grpc.adapters.memory.log import MemoryEventLog
from letta_grpc.adapters.memory.state import MemoryState
from letta_grpc.domain.completions import TextChunk, ToolDefinition
from letta_grpc.domain.events import (
    MessageCompleted,
    RunEvent,
    RunFinished,
    StepCompleted,
    StepRestarted,
    StepStarted,
    TextDelta,
    ToolExecutionStarted,
    ToolReturned,
)
from letta_grpc.domain.frames import split_frames
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.messages import Role, ToolCall, ToolReturnStatus
from letta_grpc.domain.runs import MAX_ATTEMPTS_WITHOUT_PROGRESS, ConflictPolicy, Run, RunState
from letta_grpc.ports.log import LogPage
from letta_grpc.ports.tools import ToolResult
from letta_grpc.transport.convert.codec import ProtoEventCodec
from tests.requirements.registry import requirement
from tests.support.engine import DirectedModel, DirectedTools, Engine, Play, Turn, call, end, engine, of, say, spending
from tests.support.values import assistant, returned

LEASE_SECONDS = 31


@pytest.fixture(autouse=True)
async def bounded() -> AsyncIterator[None]:
    async with asyncio.timeout(10):
        yield


def left(house: Engine) -> None:
    """Let the lease of the dead server's runs run out."""
    house.clock.advance(LEASE_SECONDS)


def next_server(first: Engine, *turns: Turn, tools: DirectedTools | None = None) -> AbstractAsyncContextManager[Engine]:
    """The server that comes after one that died, over the same database."""
    return engine(database=first.database, clock=first.clock, agent=first.agent, model=DirectedModel(list(turns)), tools=tools)


async def test_a_step_without_its_answer_is_asked_again_and_what_it_had_said_is_void() -> None:
    async with engine() as first:
        first.model.turns += [[[TextChunk("so f")], asyncio.Event()]]
        run = await first.start()
        await first.model.reached.wait()
    left(first)
    async with next_server(first, say("anew")) as second:
        events = await second.events(run.id)
    starts = of(StepStarted, events)
    (restart,) = of(StepRestarted, events)
    (void,) = {delta.message_id for delta in of(TextDelta, events)[:1]}
    assert (restart.step_id, restart.attempt, restart.void_message_ids) == (starts[0].step_id, 2, (void,))
    assert starts[0] == starts[1]
    assert [(e.message.text, e.message.id != void) for e in of(MessageCompleted, events)] == [("anew", True)]
    assert (end(events).state, end(events).attempt) == (RunState.COMPLETED, 2)


class SlowLog(MemoryEventLog):
    """A log whose first read lasts until it is cancelled."""

    def __init__(self, state: MemoryState) -> None:
        super().__init__(state)
        self.asked, self.given_up = asyncio.Event(), asyncio.Event()

    async def read(self, run_id: RunId, after: int, max_bytes: int) -> LogPage:
        self.asked.set()
        try:
            await self.given_up.wait()
        except asyncio.CancelledError:
            self.given_up.set()
            raise
        return await super().read(run_id, after, max_bytes)


async def test_a_run_that_is_cancelled_before_it_is_known_how_far_it_came_has_an_end_all_the_same() -> None:
    async with engine() as first:
        first.model.turns += [[[TextChunk("so f")], asyncio.Event()]]
        run = await first.start()
        await first.model.reached.wait()
    left(first)
    first.database.log = log = SlowLog(first.database.log._state)  # noqa: SLF001 - the same state, read by another log
    async with next_server(first, say("too late")) as second:
        await log.asked.wait()
        await second.runs.cancel(run.id)
        assert end(await second.events(run.id)).state is RunState.CANCELLED
        assert second.model.asked == []


async def test_a_server_that_stops_before_it_knows_how_far_a_run_came_leaves_it_to_the_next() -> None:
    async with engine() as first:
        first.model.turns += [[[TextChunk("so f")], asyncio.Event()]]
        run = await first.start()
        await first.model.reached.wait()
    left(first)
    log = first.database.log
    first.database.log = slow = SlowLog(log._state)  # noqa: SLF001 - the same state, read by another log
    async with next_server(first):
        await slow.asked.wait()
    left(first)
    first.database.log = log
    async with next_server(first, say("third time")) as third:
        assert (end(await third.events(run.id)).state, end(await third.events(run.id)).attempt) == (RunState.COMPLETED, 3)


async def test_a_start_that_is_stored_while_its_server_stops_is_left_to_the_next() -> None:
    async with asyncio.TaskGroup() as group, engine() as first:
        first.model.turns += [say("not asked")]
        starting = group.create_task(first.start())
        # The claim is stored now; that work on it may begin is on its way.
        await asyncio.sleep(0)
    run = starting.result()
    assert not first.model.asked
    left(first)
    async with next_server(first, say("hi")) as second:
        assert (end(await second.events(run.id)).state, end(await second.events(run.id)).attempt) == (RunState.COMPLETED, 2)


async def test_what_was_said_by_a_run_whose_server_died_before_it_could_be_cancelled_is_void() -> None:
    async with engine() as first:
        first.model.turns += [[[TextChunk("so f")], asyncio.Event()]]
        run = await first.start()
        await first.model.reached.wait()
    left(first)
    await first.database.journal.request_cancel(run.id)
    async with next_server(first) as second:
        events = await second.events(run.id)
    (void,) = {delta.message_id for delta in of(TextDelta, events)}
    assert [event.void_message_ids for event in of(StepRestarted, events)] == [(void,)]
    assert (end(events).state, end(events).attempt) == (RunState.CANCELLED, 2)


async def test_a_finished_step_is_not_asked_again() -> None:
    async def echo(_call: ToolCall) -> str:
        return "fine"

    async with engine(tools=DirectedTools({"echo": echo})) as first:
        first.model.turns += [call("echo"), [asyncio.Event()]]
        run = await first.start()
        await first.model.reached.wait()
    left(first)
    async with next_server(first, say("done"), tools=first.tools) as second:
        events = await second.events(run.id)
    assert len(of(ToolReturned, events)) == 1
    assert [request.messages[-1].role for request in second.model.asked] == [Role.TOOL]


async def test_what_tools_return_to_two_attempts_fits_into_one_message() -> None:
    begun = asyncio.Event()
    lines = ToolResult(status=ToolReturnStatus.SUCCESS, text="", stdout=("\N{GRINNING FACE}" * 1000,) * 1000)

    async def quick(_call: ToolCall) -> ToolResult:
        return lines

    async def slow(_call: ToolCall) -> ToolResult:
        if not begun.is_set():
            begun.set()
            await asyncio.Event().wait()
        return lines

    tools = DirectedTools({"quick": quick, "slow": slow}, idempotent={"slow"}, serial={"slow"})
    async with engine(tools=tools) as first:
        first.model.turns += [call("quick", "quick", "slow")]
        run = await first.start()
        await begun.wait()
    left(first)
    async with next_server(first, say("done"), tools=tools) as second:
        events = await second.events(run.id)
    (gathered,) = [done for done in of(MessageCompleted, events) if done.message.role is Role.TOOL]
    assert len(ProtoEventCodec().encode(1, 1, gathered)) < 2 * 1024 * 1024
    assert end(events).state is RunState.COMPLETED


async def hanging(tool: str, *others: str, idempotent: bool = False) -> tuple[Engine, Run]:
    """An engine that dies while a tool runs; the other tools of the step have returned."""
    begun = asyncio.Event()
    rest = asyncio.Semaphore(0)

    async def hang(_call: ToolCall) -> str:
        for _ in others:
            await rest.acquire()
        begun.set()
        await asyncio.Event().wait()
        return "never"

    async def quick(_call: ToolCall) -> str:
        rest.release()
        return "quick"

    plays: dict[str, Play] = {tool: hang, **dict.fromkeys(others, quick)}
    tools = DirectedTools(plays, {tool} if idempotent else set())
    async with engine(tools=tools) as first:
        first.model.turns += [spending(call(tool, *others), prompt=50, completion=6)]
        run = await first.start()
        await begun.wait()
        while len(of(ToolReturned, events := await stored(first, run.id))) < len(others):
            await first.database.log.wait(run.id, len(events))
    left(first)
    return first, run


async def stored(house: Engine, run_id: RunId) -> list[RunEvent]:
    """What a run has stored by now."""
    page = await house.runs.read_events(run_id, 0)
    return [house.codec.decode(frame).event for frame in split_frames(page.frames)]


@requirement("complaint_01_orphans")
async def test_a_tool_that_had_begun_is_not_run_again_and_the_model_is_told() -> None:
    first, run = await hanging("pay", "look")
    async with next_server(first, say("done"), tools=first.tools) as second:
        events = await second.events(run.id)
    returns = {e.tool_return.tool_call_id: e.tool_return for e in of(ToolReturned, events)}
    assert returns["pay-0"].status is ToolReturnStatus.ERROR
    assert "It may have had its effect" in returns["pay-0"].text
    assert returns["look-1"].text == "quick"
    assert second.tools.ran.count("pay-0") == 1
    assert second.tools.ran.count("look-1") == 1
    assert end(events).state is RunState.COMPLETED


async def test_what_an_answer_cost_is_counted_although_its_server_died_before_its_step_ended() -> None:
    first, run = await hanging("pay")
    async with next_server(first, spending(say("done"), prompt=60, completion=4), tools=first.tools) as second:
        events = await second.events(run.id)
    steps = [(step.usage.prompt_tokens, step.usage.completion_tokens) for step in of(StepCompleted, events)]
    assert steps == [(50, 6), (60, 4)]
    usage = end(events).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.step_count) == (110, 10, 2)


async def test_an_idempotent_tool_is_run_again() -> None:
    first, run = await hanging("read", idempotent=True)

    async def read(_call: ToolCall) -> str:
        return "read"

    tools = DirectedTools({"read": read}, {"read"})
    async with next_server(first, say("done"), tools=tools) as second:
        events = await second.events(run.id)
    assert [e.tool_return.text for e in of(ToolReturned, events)] == ["read"]
    assert len(of(ToolExecutionStarted, events)) == 2


async def test_a_cancel_that_the_dead_server_had_stored_is_carried_out() -> None:
    async with engine() as first:
        first.model.turns += [[[TextChunk("so f")], asyncio.Event()]]
        run = await first.start()
        await first.model.reached.wait()
        await first.database.journal.request_cancel(run.id)
    left(first)
    async with next_server(first) as second:
        events = await second.events(run.id)
    assert end(events).state is RunState.CANCELLED
    assert second.model.asked == []


async def test_a_run_that_kills_every_server_before_the_model_speaks_is_given_up() -> None:
    async with engine() as first:
        first.model.turns += [[asyncio.Event()]]
        run = await first.start()
        await first.model.reached.wait()
    for _ in range(MAX_ATTEMPTS_WITHOUT_PROGRESS - 1):
        left(first)
        async with next_server(first, [asyncio.Event()]) as other:
            await other.model.reached.wait()
    left(first)
    async with next_server(first) as last:
        ended = end(await last.events(run.id))
    assert ended.error is not None
    assert (ended.state, ended.error.reason, last.model.asked) == (RunState.FAILED, "RUN_LOST", [])


@dataclass
class PoisonedTools(DirectedTools):
    """Tools that a server dies of when it looks at what a step's answer calls."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def load(self, names: Sequence[str]) -> Mapping[str, ToolDefinition]:
        self.reached.set()
        await asyncio.Event().wait()
        return await super().load(names)


async def reaching(event: RunEvent, first: Engine) -> None:
    """Let a server store one event of a run and die."""
    left(first)
    (claim,) = await first.database.leases.take_over(first.clock.now())
    assert claim.lease is not None
    await first.database.journal.append(claim.lease, [event])


async def poisoning(first: Engine) -> bool:
    """Let a server die of a run's calls; say whether it has looked at them."""
    left(first)
    tools = PoisonedTools()
    async with next_server(first, tools=tools) as other, asyncio.TaskGroup() as group:
        looking = group.create_task(tools.reached.wait())
        ended = group.create_task(other.supervisor.idle())
        await asyncio.wait([looking, ended], return_when=asyncio.FIRST_COMPLETED)
        looking.cancel()
        ended.cancel()
    return tools.reached.is_set()


async def test_a_run_that_kills_every_server_that_looks_at_its_calls_is_given_up() -> None:
    async with engine() as first:
        first.model.turns += [[asyncio.Event()]]
        run = await first.start()
        await first.model.reached.wait()
    await reaching(MessageCompleted(assistant("a", "look-0")), first)
    assert [await poisoning(first) for _ in range(MAX_ATTEMPTS_WITHOUT_PROGRESS + 1)] == [True] * 5 + [False]
    events = await stored(first, run.id)
    assert (lost := end(events)).error is not None
    assert (lost.state, lost.error.reason) == (RunState.FAILED, "RUN_LOST")
    assert [event.tool_return.status for event in of(ToolReturned, events)] == [ToolReturnStatus.ERROR]


async def test_a_run_whose_servers_die_often_goes_on_as_long_as_it_gets_further() -> None:
    async with engine() as first:
        first.model.turns += [[asyncio.Event()]]
        run = await first.start()
        await first.model.reached.wait()
    for event in (MessageCompleted(assistant("a", "look-0", "look-1")), ToolReturned(returned("look-0"))):
        await reaching(event, first)
        assert all([await poisoning(first) for _ in range(MAX_ATTEMPTS_WITHOUT_PROGRESS - 1)])
    left(first)
    async with next_server(first, say("done")) as last:
        assert end(await last.events(run.id)).state is RunState.COMPLETED


async def test_what_waited_behind_a_dead_servers_run_starts_after_it() -> None:
    async with engine() as first:
        first.model.turns += [[asyncio.Event()]]
        await first.start("one")
        await first.model.reached.wait()
        queued = await first.start("two", conflict_policy=ConflictPolicy.ENQUEUE)
    left(first)
    async with next_server(first, say("first"), say("second")) as second:
        assert end(await second.events(queued.id)).state is RunState.COMPLETED


async def test_what_waits_alone_is_started_by_the_next_server() -> None:
    async with engine() as first:
        first.model.turns += [[asyncio.Event()]]
        active = await first.start("one")
        await first.model.reached.wait()
        queued = await first.start("two", conflict_policy=ConflictPolicy.ENQUEUE)
    left(first)
    (claim,) = await first.database.leases.take_over(first.clock.now())
    assert claim.lease is not None
    ended = replace(active, state=RunState.COMPLETED, end_time=first.clock.now())
    await first.database.journal.append(claim.lease, [RunFinished(ended)])
    async with next_server(first, say("second")) as second:
        assert end(await second.events(queued.id)).state is RunState.COMPLETED


async def test_a_server_whose_run_was_taken_over_stops_working_on_it_and_writes_nothing_more() -> None:
    hold = asyncio.Event()
    async with engine() as first:
        first.model.turns += [[[TextChunk("so f")], hold, [TextChunk("late")]]]
        run = await first.start()
        await first.model.reached.wait()
        house = first.database
        (claim,) = await house.leases.take_over(first.clock.now().replace(year=2040))
        hold.set()
        await first.supervisor.idle()
        assert "late" not in repr(await stored(first, run.id))
        assert claim.lease is not None
        assert claim.lease.attempt == 2


@requirement("weakness_short_lock")
async def test_leases_are_renewed_so_that_a_long_run_keeps_its_server() -> None:
    async with engine() as first:
        hold = asyncio.Event()
        first.model.turns += [[hold, *say("done")]]
        run = await first.start()
        await first.model.reached.wait()
        for _ in range(8):
            await first.clock.until_sleepers()
            await first.clock.run_for(9)
        assert await first.database.leases.take_over(first.clock.now()) == ()
        hold.set()
        assert end(await first.events(run.id)).attempt == 1
