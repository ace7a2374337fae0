import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from letta_grpc.domain.events import RunEvent, RunFinished, ToolExecutionStarted, ToolOutputDelta, ToolReturned
from letta_grpc.domain.frames import split_frames
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.messages import ToolCall, ToolReturnStatus
from letta_grpc.domain.runs import RunState
from letta_grpc.domain.tools import OutputStream
from letta_grpc.engine.agents import NewAgent
from letta_grpc.engine.tool_output import MAX_LIVE_CHARACTERS
from letta_grpc.ports.tools import ToolResult
from tests.requirements.registry import requirement
from tests.support.engine import DirectedTools, Engine, call, end, engine, kinds, of, say

OUT, ERR = OutputStream.STDOUT, OutputStream.STDERR


@pytest.fixture
async def house() -> AsyncIterator[Engine]:
    async with asyncio.timeout(10), engine(tools=DirectedTools({"tool": quiet, "other": quiet})) as running:
        yield running


async def quiet(_call: ToolCall) -> str:
    return "done"


def deltas(events: list[RunEvent]) -> list[tuple[OutputStream, str]]:
    return [(delta.stream, delta.text) for delta in of(ToolOutputDelta, events)]


def shown(events: list[RunEvent], stream: OutputStream = OUT) -> str:
    return "".join(text for of_stream, text in deltas(events) if of_stream is stream)


async def until_shown(house: Engine, run_id: RunId) -> None:
    """Wait until a reader sees some output."""
    async with aclosing(house.runs.follow(run_id, 0, None)) as pages:
        async for page in pages:
            if any(isinstance(house.codec.decode(frame).event, ToolOutputDelta) for frame in split_frames(page.frames)):
                return


async def test_what_a_tool_writes_is_shown_between_its_start_and_its_return(house: Engine) -> None:
    async def tool(one: ToolCall) -> ToolResult:
        house.tools.outputs[one.id](OUT, "first\n")
        house.tools.outputs[one.id](ERR, "trouble\n")
        return ToolResult(status=ToolReturnStatus.SUCCESS, text="done", stdout=("first",), stderr=("trouble",))

    house.tools.plays["tool"] = tool
    events = await house.play(call("tool"), say("ok"))
    assert deltas(events) == [(OUT, "first\n"), (ERR, "trouble\n")]
    order = kinds(events)
    first, last = order.index(ToolOutputDelta), len(order) - 1 - order[::-1].index(ToolOutputDelta)
    assert order.index(ToolExecutionStarted) < first <= last < order.index(ToolReturned)
    (returned,) = of(ToolReturned, events)
    assert (returned.tool_return.stdout, returned.tool_return.stderr) == (("first",), ("trouble",))


@requirement("weakness_hidden_tools")
async def test_a_reader_sees_it_while_the_tool_runs(house: Engine) -> None:
    seen = asyncio.Event()

    async def tool(one: ToolCall) -> str:
        house.tools.outputs[one.id](OUT, "begun")
        await seen.wait()
        return "done"

    house.tools.plays["tool"] = tool
    house.model.turns += [call("tool"), say("ok")]
    run = await house.start()
    await until_shown(house, run.id)
    seen.set()
    assert end(await house.events(run.id)).state is RunState.COMPLETED


async def test_what_comes_while_a_write_is_under_way_goes_out_together(house: Engine) -> None:
    async def tool(one: ToolCall) -> str:
        for number in range(1000):
            house.tools.outputs[one.id](OUT, f"{number} ")
            house.tools.outputs[one.id](ERR, f"{-number} ")
        return "done"

    house.tools.plays["tool"] = tool
    events = await house.play(call("tool"), say("ok"))
    assert shown(events) == "".join(f"{number} " for number in range(1000))
    assert shown(events, ERR) == "".join(f"{-number} " for number in range(1000))
    assert len(deltas(events)) == len(["the first piece", "the other ones of stdout", "all of stderr"])


async def test_a_tool_that_goes_on_writing_is_shown_up_to_a_bound(house: Engine) -> None:
    async def tool(one: ToolCall) -> str:
        for _ in range(1000):
            house.tools.outputs[one.id](OUT, "x" * 999)
            await asyncio.sleep(0)
        return "done"

    house.tools.plays["tool"] = tool
    text = shown(await house.play(call("tool"), say("ok")))
    assert text.count("x") == MAX_LIVE_CHARACTERS
    assert text.endswith("not shown while the tool runs]\n")
    assert text.count("[cut") == 1


async def test_what_is_written_after_the_return_is_not_shown(house: Engine) -> None:
    async def other(_one: ToolCall) -> str:
        house.tools.outputs["tool-0"](OUT, "late")
        return "done"

    house.tools.plays["other"] = other
    assert deltas(await house.play(call("tool"), call("other"), say("ok"))) == []
    assert house.tools.ran[-1] == "other-0"


async def test_what_a_cancelled_tool_had_written_stays(house: Engine) -> None:
    begun = asyncio.Event()

    async def tool(one: ToolCall) -> str:
        try:
            house.tools.outputs[one.id](OUT, "working\n")
            begun.set()
            await asyncio.Event().wait()
        finally:
            house.tools.outputs[one.id](OUT, "stopping\n")
        return "never"

    house.tools.plays["tool"] = tool
    house.model.turns += [call("tool")]
    run = await house.start()
    await begun.wait()
    await house.runs.cancel(run.id)
    events = await house.events(run.id)
    assert shown(events) == "working\nstopping\n"
    assert end(events).state is RunState.CANCELLED
    assert kinds(events)[-1] is RunFinished


async def test_tools_that_may_not_run_beside_others_come_last_one_by_one(house: Engine) -> None:
    log: list[str] = []
    both = asyncio.Barrier(2)

    async def tool(one: ToolCall) -> str:
        await both.wait()
        log.append(one.id)
        return "done"

    async def alone(one: ToolCall) -> str:
        log.append(f"{one.id} begins")
        await asyncio.sleep(0)
        log.append(f"{one.id} ends")
        return "done"

    house.tools.plays |= {"tool": tool, "other": tool, "alone": alone, "lonely": alone}
    house.tools.serial |= {"alone", "lonely"}
    agent = await house.agents.create(NewAgent(model="test/model", tools=("tool", "other", "alone", "lonely")))
    house.model.turns += [call("alone", "tool", "lonely", "other"), say("ok")]
    run = await house.start(agent=agent)
    events = await house.events(run.id)
    assert sorted(log[:2]) == ["other-3", "tool-1"]
    assert log[2:] == ["alone-0 begins", "alone-0 ends", "lonely-2 begins", "lonely-2 ends"]
    order = [event for event in events if isinstance(event, ToolExecutionStarted | ToolReturned)]
    assert [event.tool_call_id for event in order if isinstance(event, ToolExecutionStarted)] == [
        "tool-1",
        "other-3",
        "alone-0",
        "lonely-2",
    ]
    assert isinstance(order[2], ToolReturned), "one that runs alone begins after the others have returned"


@requirement("complaint_07_cancel_tools")
async def test_no_tool_begins_once_a_cancel_was_acknowledged(house: Engine) -> None:
    begun = asyncio.Event()
    house.tools.serial |= {"tool", "other"}

    async def tool(_one: ToolCall) -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            # A tool that ends well although it was cancelled must not let the next one begin.
            return "stopped"
        return "never"

    house.tools.plays |= {"tool": tool}
    house.model.turns += [call("tool", "other")]
    run = await house.start()
    await begun.wait()
    await house.runs.cancel(run.id)
    events = await house.events(run.id)
    assert house.tools.ran == ["tool-0"]
    assert end(events).state is RunState.CANCELLED
    assert {event.tool_return.tool_call_id for event in of(ToolReturned, events)} == {"tool-0", "other-1"}
