"""What a run that waits for long keeps in memory: many of them wait at once."""

import asyncio
import gc

from letta_grpc.domain.completions import TextChunk
from letta_grpc.domain.messages import ApprovalInput, Approve, ToolCall
from letta_grpc.domain.runs import RunSpec
from letta_grpc.ports.stores import AgentContext
from tests.support.engine import DirectedTools, Engine, call, engine, say


def contexts_held(house: Engine) -> list[AgentContext]:
    """The contexts of its agent that somebody still holds."""
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, AgentContext) and each.agent.id == house.agent.id]


async def test_a_run_that_waits_for_its_model_holds_no_context(house: Engine) -> None:
    waiting = asyncio.Event()
    house.model.turns.append([[TextChunk("Well,")], waiting, *say(" now.")])
    run = await house.start()
    await house.model.reached.wait()
    assert contexts_held(house) == []
    waiting.set()
    await house.events(run.id)


async def test_a_run_that_waits_for_an_approved_tool_holds_no_context() -> None:
    begun, waiting = asyncio.Event(), asyncio.Event()

    async def wait(_call: ToolCall) -> str:
        begun.set()
        await waiting.wait()
        return "done"

    async with asyncio.timeout(10), engine(tools=DirectedTools({"wait": wait}, guarded={"wait"})) as house:
        await house.play(call("wait"))
        house.model.turns.append(say("now"))
        run = await house.begin(RunSpec(messages=(ApprovalInput(decisions=(Approve(tool_call_id="wait-0"),)),)))
        await begun.wait()
        assert contexts_held(house) == []
        waiting.set()
        await house.events(run.id)
