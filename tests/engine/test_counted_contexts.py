"""How long a context is: what the provider counted at the last call, and what came since."""

import asyncio

from letta_grpc.domain.completions import FinishReason, ModelFinished, ToolCallChunk
from letta_grpc.domain.events import ContextCompacted
from letta_grpc.domain.messages import ApprovalInput, Approve, ToolCall
from letta_grpc.domain.runs import RunSpec
from letta_grpc.domain.usage import Usage
from letta_grpc.engine.agents import NewAgent
from tests.support.engine import DirectedTools, engine, of, say

# About six hundred tokens.
MUCH = "blah " * 480
# About a hundred.
WORDS = "blah " * 84


async def much(_call: ToolCall) -> str:
    return MUCH


async def little(_call: ToolCall) -> str:
    return "little"


async def test_what_a_call_gave_that_ran_beside_one_that_waited_has_come_since_the_model_was_asked() -> None:
    tools = DirectedTools({"look": much, "risky": little}, guarded={"risky"})
    async with asyncio.timeout(10), engine(tools=tools) as house:
        # Its model takes a thousand tokens.
        house.agent = await house.agents.create(NewAgent(model="test/known", system="Be kind.", tools=("look", "risky")))
        for _ in range(3):
            await house.play(say("so"), words=WORDS)
        calls = [ToolCallChunk(0, "free", "look", "{}"), ToolCallChunk(1, "asked", "risky", "{}")]
        await house.play([calls, [ModelFinished(FinishReason.TOOL_CALLS, Usage(context_tokens=450))]])
        house.model.turns += [say("They talked."), say("done")]
        answer = RunSpec(messages=(ApprovalInput(decisions=(Approve(tool_call_id="asked"),)),))
        events = await house.events((await house.begin(answer)).id)
        assert len(of(ContextCompacted, events)) == 1
