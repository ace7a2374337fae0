"""Agents that speak by tools: what is streamed while the model writes a call, what is kept, and when the turn goes on."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from letta_grpc.domain import memgpt
from letta_grpc.domain.agents import DEFAULT_MEMGPT_SYSTEM, AgentKind
from letta_grpc.domain.completions import (
    ANY_TOOL,
    FinishReason,
    ModelFinished,
    ReasoningChunk,
    TextChunk,
    ToolCallChunk,
    ToolDefinition,
)
from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.domain.events import (
    MessageCompleted,
    ReasoningDelta,
    RunEvent,
    TextDelta,
    ToolCallDelta,
    ToolExecutionStarted,
    ToolReturned,
)
from letta_grpc.domain.messages import (
    ApprovalInput,
    Approve,
    Deny,
    Message,
    ReasoningPart,
    Role,
    TextPart,
    ToolCall,
    ToolReturnStatus,
)
from letta_grpc.domain.runs import RunSpec, RunState, StopReason
from letta_grpc.domain.tool_rules import Conditional, ConstrainChild, RequiredBeforeExit, RunFirst
from letta_grpc.domain.turns import DEMAND
from letta_grpc.engine.agents import NewAgent
from letta_grpc.ports.tools import ToolResult
from tests.requirements.registry import requirement
from tests.support.engine import DirectedModel, DirectedTools, Engine, Turn, call, end, engine, of, say

LEASE_SECONDS = 31
CALLED = ModelFinished(FinishReason.TOOL_CALLS)


async def echo(call: ToolCall) -> str:
    return f"{call.name} {call.arguments}"


def tools() -> DirectedTools:
    return DirectedTools({"look": echo, "risky": echo}, guarded={"risky"})


async def memgpt_agent(house: Engine, **fields: Any) -> None:  # noqa: ANN401 - any field of a new agent
    house.agent = await house.agents.create(NewAgent(model="test/model", kind=AgentKind.MEMGPT, **fields))


@pytest.fixture
async def house() -> AsyncIterator[Engine]:
    async with asyncio.timeout(10), engine(tools=tools()) as running:
        await memgpt_agent(running)
        yield running


def speak(message: str, thinking: str = "Hm.", size: int = 3) -> Turn:
    """A turn that says something, the arguments in small pieces."""
    return pieces("send_message", {"thinking": thinking, "message": message}, size)


def pieces(name: str, arguments: dict[str, object], size: int = 3) -> Turn:
    text = json.dumps(arguments)
    chunks = [[ToolCallChunk(0, f"{name}-id", name, text[start : start + size])] for start in range(0, len(text), size)]
    return [*chunks, [CALLED]]


def completed(events: list[RunEvent]) -> list[Message]:
    return [event.message for event in of(MessageCompleted, events)]


async def test_the_model_must_call_a_tool_and_each_asks_for_thoughts(house: Engine) -> None:
    await house.play(speak("Hello"))
    (request,) = house.model.asked
    assert request.tool_choice == ANY_TOOL
    assert request.system.startswith(DEFAULT_MEMGPT_SYSTEM)
    assert [tool.name for tool in request.tools] == ["look", "risky", "send_message"]
    assert all(json.loads(tool.parameters)["required"][0] == "thinking" for tool in request.tools)


async def test_agents_of_the_other_kind_have_no_such_tool() -> None:
    async with asyncio.timeout(10), engine(tools=tools()) as house:
        events = await house.play(call("send_message", arguments='{"message": "Hello"}'), say("done"))
    assert [tool.name for tool in house.model.asked[0].tools] == ["look", "risky"]
    assert of(ToolReturned, events)[0].tool_return.status is ToolReturnStatus.ERROR
    assert len(of(ToolCallDelta, events)) == 1


async def test_thoughts_and_words_are_streamed_while_the_call_is_still_written(house: Engine) -> None:
    events = await house.play(speak('He said: "ünï"\n😀', "Let me see."))
    reasoning, text = of(ReasoningDelta, events), of(TextDelta, events)
    assert "".join(delta.text for delta in reasoning) == "Let me see."
    assert "".join(delta.text for delta in text) == 'He said: "ünï"\n😀'
    assert len(reasoning) > 3
    assert len(text) > 3
    assert of(ToolCallDelta, events) == []
    said = completed(events)[0]
    assert {delta.message_id for delta in reasoning} == {delta.message_id for delta in text} == {said.id}
    assert {delta.content_index for delta in text} == {1}


async def test_the_message_keeps_thoughts_words_and_the_call(house: Engine) -> None:
    events = await house.play(speak("Hello"))
    said, returned = completed(events)
    assert said.content == (ReasoningPart("Hm."), TextPart("Hello"))
    assert [one.name for one in said.tool_calls] == ["send_message"]
    assert json.loads(said.tool_calls[0].arguments) == {"thinking": "Hm.", "message": "Hello"}
    assert [one.tool_call_id for one in returned.tool_returns] == [said.tool_calls[0].id]
    assert returned.tool_returns[0].status is ToolReturnStatus.SUCCESS
    assert (end(events).state, end(events).stop_reason) == (RunState.COMPLETED, StopReason.END_TURN)
    assert not house.tools.ran


async def test_the_model_is_never_shown_the_words_twice(house: Engine) -> None:
    await house.play(speak("Hello"))
    await house.play(speak("Again"))
    shown = house.model.asked[1].messages
    assert [message.role for message in shown] == [Role.USER, Role.ASSISTANT, Role.TOOL, Role.USER]
    assert shown[1].content == ()
    assert json.loads(shown[1].tool_calls[0].arguments)["message"] == "Hello"


async def test_a_tool_runs_without_what_every_tool_takes(house: Engine) -> None:
    events = await house.play(pieces("look", {"thinking": "Where?", "word": "x", "request_heartbeat": False}))
    assert of(ToolReturned, events)[0].tool_return.text == 'look {"word": "x"}'
    assert "".join(delta.text for delta in of(ReasoningDelta, events)) == "Where?"
    assert "".join(delta.arguments for delta in of(ToolCallDelta, events)) == completed(events)[0].tool_calls[0].arguments
    assert of(TextDelta, events) == []


async def test_the_turn_ends_after_a_call_without_a_heartbeat(house: Engine) -> None:
    events = await house.play(pieces("look", {"thinking": "x"}))
    assert end(events).stop_reason is StopReason.END_TURN
    assert len(house.model.asked) == 1


async def test_a_heartbeat_gives_the_model_control_again(house: Engine) -> None:
    events = await house.play(pieces("look", {"request_heartbeat": True}), speak("Found"))
    _, _, heartbeat, *_ = completed(events)
    step_ids = {message.step_id for message in completed(events)[:3]}
    assert (heartbeat.role, step_ids) == (Role.USER, {heartbeat.step_id})
    assert json.loads(heartbeat.text)["reason"] == memgpt.WANTED_HEARTBEAT
    assert house.model.asked[1].messages[-1] == heartbeat
    assert end(events).stop_reason is StopReason.END_TURN


async def test_who_speaks_may_go_on_too(house: Engine) -> None:
    first = pieces("send_message", {"message": "One moment.", "request_heartbeat": True})
    events = await house.play(first, speak("Done."))
    assert [message.text for message in completed(events) if message.role is Role.ASSISTANT] == ["One moment.", "Done."]


async def test_a_failed_call_gives_the_model_control_again(house: Engine) -> None:
    async def fail(_call: ToolCall) -> ToolResult:
        return ToolResult(status=ToolReturnStatus.ERROR, text="Error: no")

    house.tools.plays["look"] = fail
    await house.play(pieces("look", {}), speak("It failed."))
    assert json.loads(house.model.asked[1].messages[-1].text)["reason"] == memgpt.FAILED_HEARTBEAT


async def test_plain_words_are_taken_as_said_to_the_user(house: Engine) -> None:
    events = await house.play(say("Hel", "lo"))
    said, returned = completed(events)
    assert said.content == (TextPart("Hello"),)
    assert [(one.name, one.arguments) for one in said.tool_calls] == [("send_message", '{"message": "Hello"}')]
    assert returned.tool_returns[0].tool_call_id == said.tool_calls[0].id
    assert end(events).stop_reason is StopReason.END_TURN
    await house.play(say("Bye"))
    assert house.model.asked[1].messages[1].content == ()


async def test_plain_words_beside_a_call_without_a_name_are_said_without_its_arguments(house: Engine) -> None:
    events = await house.play([[TextChunk("Hello"), ToolCallChunk(0, "1", "", '{"x": 1}')], [CALLED]])
    assert [one.arguments for one in completed(events)[0].tool_calls] == ['{"message": "Hello"}']


async def test_plain_words_beside_a_call_are_kept_and_shown_once_each(house: Engine) -> None:
    turn: Turn = [[TextChunk("Hi. ")], [ToolCallChunk(0, "1", "send_message", '{"message": "Hello"}')], [CALLED]]
    events = await house.play(turn)
    assert completed(events)[0].content == (TextPart("Hi. "), TextPart("Hello"))
    assert [(delta.content_index, delta.text) for delta in of(TextDelta, events)] == [(0, "Hi. "), (1, "Hello")]
    await house.play(say("Bye"))
    assert house.model.asked[1].messages[1].content == (TextPart("Hi. "),)


async def test_native_reasoning_stands_before_what_the_call_thinks(house: Engine) -> None:
    events = await house.play([[ReasoningChunk("Native. ")], *speak("Hello")])
    assert completed(events)[0].content == (ReasoningPart("Native. "), ReasoningPart("Hm."), TextPart("Hello"))


async def test_an_answer_of_nothing_ends_the_turn(house: Engine) -> None:
    events = await house.play(say())
    assert completed(events) == []
    assert end(events).stop_reason is StopReason.END_TURN


@requirement("complaint_16_broken_arguments")
@pytest.mark.parametrize("arguments", ["no JSON", '{"message": 7}', "[]", '{"message": "a'])
async def test_arguments_of_any_kind_do_not_break_the_turn(house: Engine, arguments: str) -> None:
    events = await house.play(call("send_message", arguments=arguments), speak("Hello"))
    assert end(events).state is RunState.COMPLETED
    assert completed(events)[0].tool_calls[0].arguments == arguments


@pytest.mark.parametrize("arguments", ["no JSON", '{"message": 7}', '{"text": "Hello"}', "{}"])
async def test_a_call_that_speaks_and_says_nothing_has_failed(house: Engine, arguments: str) -> None:
    events = await house.play(call("send_message", arguments=arguments), speak("Hello"))
    (silent, _) = [event.tool_return for event in of(ToolReturned, events)]
    assert silent.status is ToolReturnStatus.ERROR
    assert json.loads(house.model.asked[1].messages[-1].text)["reason"] == memgpt.FAILED_HEARTBEAT
    assert completed(events)[-2].text == "Hello"


@pytest.mark.parametrize("arguments", ['{"message": ""}', '{"message": "Hel'])
async def test_a_call_that_speaks_is_made_with_no_words_and_with_cut_ones(house: Engine, arguments: str) -> None:
    events = await house.play(call("send_message", arguments=arguments))
    assert [event.tool_return.status for event in of(ToolReturned, events)] == [ToolReturnStatus.SUCCESS]


async def test_a_call_that_says_nothing_beside_plain_words_has_not_failed(house: Engine) -> None:
    await house.play([[TextChunk("Hello"), ToolCallChunk(0, "1", "send_message", "{}")], [CALLED]])
    assert len(house.model.asked) == 1


async def test_a_tool_of_the_clients_named_as_the_one_that_speaks_says_nothing_by_itself(house: Engine) -> None:
    house.model.turns += [speak("Hello")]
    mine = ToolDefinition(name="send_message", description="", parameters='{"type": "object"}')
    events = await house.events((await house.start("hi", client_tools=(mine,))).id)
    assert of(TextDelta, events) == []
    assert "".join(delta.arguments for delta in of(ToolCallDelta, events)) == completed(events)[-1].tool_calls[0].arguments
    assert end(events).stop_reason is StopReason.REQUIRES_CLIENT_TOOL


async def test_words_that_can_only_be_read_in_the_end_come_in_the_end(house: Engine) -> None:
    events = await house.play(call("send_message", arguments='{"message": "a\nb"}'))
    assert "".join(delta.text for delta in of(TextDelta, events)) == "a\nb" == completed(events)[0].text


async def test_what_was_said_before_a_cancel_stays(house: Engine) -> None:
    house.model.turns += [[[ToolCallChunk(0, "1", "send_message", '{"message": "Hel')], asyncio.Event()]]
    run = await house.start()
    await house.model.reached.wait()
    await house.supervisor.cancel(run.id)
    events = await house.events(run.id)
    assert [(message.text, message.tool_calls) for message in completed(events)] == [("Hel", ())]
    assert end(events).state is RunState.CANCELLED


async def test_a_call_that_needs_approval_thinks_in_the_assistants_message(house: Engine) -> None:
    events = await house.play(pieces("risky", {"thinking": "Dare I?", "request_heartbeat": True}))
    said, asked = completed(events)
    assert (said.content, said.tool_calls) == ((ReasoningPart("Dare I?"),), ())
    assert asked.role is Role.APPROVAL
    assert end(events).state is RunState.INTERRUPTED
    answer = RunSpec(messages=(ApprovalInput(decisions=(Approve(tool_call_id="risky-id", arguments='{"word": "y"}'),)),))
    house.model.turns += [speak("Done.")]
    events = await house.events((await house.begin(answer)).id)
    assert of(ToolReturned, events)[0].tool_return.text == 'risky {"word": "y"}'
    assert json.loads(house.model.asked[1].messages[-1].text)["reason"] == memgpt.WANTED_HEARTBEAT


async def test_an_approved_call_without_a_heartbeat_ends_the_turn(house: Engine) -> None:
    await house.play(pieces("risky", {}))
    answer = RunSpec(messages=(ApprovalInput(decisions=(Approve(tool_call_id="risky-id"),)),))
    events = await house.events((await house.begin(answer)).id)
    assert end(events).stop_reason is StopReason.END_TURN
    assert len(house.model.asked) == 1


async def test_a_denied_call_gives_the_model_control_again(house: Engine) -> None:
    await house.play(pieces("risky", {}))
    house.model.turns += [speak("I see.")]
    answer = RunSpec(messages=(ApprovalInput(decisions=(Deny(tool_call_id="risky-id", reason="no"),)),))
    await house.events((await house.begin(answer)).id)
    assert json.loads(house.model.asked[1].messages[-1].text)["reason"] == memgpt.FAILED_HEARTBEAT


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [("look", {"request_heartbeat": True}, memgpt.WANTED_HEARTBEAT), ("lost", {}, memgpt.FAILED_HEARTBEAT)],
)
async def test_a_call_that_ran_beside_one_that_waited_gives_the_model_control_once_that_is_answered(
    house: Engine, name: str, arguments: dict[str, object], reason: str
) -> None:
    both = [ToolCallChunk(0, "free", name, json.dumps(arguments)), ToolCallChunk(1, "asked", "risky", "{}")]
    await house.play([both, [CALLED]])
    house.model.turns += [speak("Both are done.")]
    answer = RunSpec(messages=(ApprovalInput(decisions=(Approve(tool_call_id="asked"),)),))
    events = await house.events((await house.begin(answer)).id)
    assert json.loads(house.model.asked[1].messages[-1].text)["reason"] == reason
    assert completed(events)[-2].text == "Both are done."


async def test_rules_hold_for_who_speaks_too(house: Engine) -> None:
    await memgpt_agent(house, tool_rules=(RunFirst(tool="look"), ConstrainChild(tool="look", children=("send_message",))))
    events = await house.play(speak("Too early"), pieces("look", {}), speak("Now"))
    assert [request.tool_choice for request in house.model.asked] == ["look", "look", "send_message"]
    assert of(ToolReturned, events)[0].tool_return.status is ToolReturnStatus.ERROR
    assert len(of(ToolExecutionStarted, events)) == 2
    assert "".join(delta.text for delta in of(TextDelta, events)) == "Now"
    assert completed(events)[0].text == ""


async def test_what_was_refused_when_it_was_announced_is_not_said_later(house: Engine) -> None:
    await memgpt_agent(house, tool_rules=(Conditional(tool="look", next_by_output={"look {}": "send_message"}),))
    chunks = [ToolCallChunk(0, "1", "look", "{}"), ToolCallChunk(1, "2", "send_message", '{"message": "Hi"}')]
    events = await house.play([chunks, [CALLED]], speak("Now"))
    assert [one.tool_return.status for one in of(ToolReturned, events)] == [
        ToolReturnStatus.SUCCESS,
        ToolReturnStatus.ERROR,
        ToolReturnStatus.SUCCESS,
    ]
    assert "".join(delta.text for delta in of(TextDelta, events)) == "Now"


async def test_what_is_owed_is_told_by_a_heartbeat(house: Engine) -> None:
    await memgpt_agent(house, tool_rules=(RequiredBeforeExit(tool="look"),))
    await house.play(speak("Bye"), pieces("look", {}))
    assert json.loads(house.model.asked[1].messages[-1].text)["reason"].startswith(DEMAND)


async def test_words_that_a_rule_gives_are_said_in_place_of_the_models(house: Engine) -> None:
    await memgpt_agent(house, tool_rules=(RunFirst(tool="send_message", arguments='{"message": "Welcome!"}'),))
    events = await house.play(speak("Whatever", "Hm."))
    assert completed(events)[0].text == "Welcome!" == "".join(delta.text for delta in of(TextDelta, events))
    assert json.loads(completed(events)[0].tool_calls[0].arguments)["message"] == "Welcome!"


async def test_the_context_is_described_as_the_model_is_shown_it(house: Engine) -> None:
    await house.play(speak("Hello"))
    context = await house.agents.context(house.agent.id, None)
    assert [tool.name for tool in context.tools] == ["look", "risky", "send_message"]
    assert [message.content for message in context.messages if message.tool_calls] == [()]


async def test_a_server_that_takes_over_gives_the_heartbeat() -> None:
    blocked = asyncio.Event()

    async def hang(_call: ToolCall) -> str:
        blocked.set()
        await asyncio.Event().wait()
        return ""

    async with asyncio.timeout(10), engine(tools=DirectedTools({"look": hang})) as first:
        await memgpt_agent(first)
        first.model.turns += [pieces("look", {"request_heartbeat": True})]
        run = await first.start()
        await blocked.wait()
    first.clock.advance(LEASE_SECONDS)
    model = DirectedModel([speak("Here again")])
    async with (
        asyncio.timeout(10),
        engine(database=first.database, clock=first.clock, agent=first.agent, model=model, tools=tools()) as second,
    ):
        events = await second.events(run.id)
    assert json.loads(second.model.asked[0].messages[-1].text)["reason"] == memgpt.FAILED_HEARTBEAT
    assert completed(events)[-2].text == "Here again"


async def test_the_tool_that_speaks_may_be_named_and_is_there_once(house: Engine) -> None:
    await memgpt_agent(house, tools=("send_message", "look"))
    await house.play(speak("Hello"))
    assert sorted(tool.name for tool in house.model.asked[0].tools) == ["look", "send_message"]
    await house.agents.update(house.agent.id, {"tools": ("look", "send_message")})
    with pytest.raises(InvalidRequest):
        await house.agents.create(NewAgent(model="test/model", tools=("send_message",)))


async def test_words_that_were_cut_end_the_turn_for_that_reason(house: Engine) -> None:
    chunk = ToolCallChunk(0, "1", "send_message", '{"message": "Once upon')
    events = await house.play([[chunk, ModelFinished(FinishReason.LENGTH)]])
    assert completed(events)[0].text == "Once upon"
    assert end(events).stop_reason is StopReason.MAX_TOKENS
