"""Both kinds of agents, and rules about tools, over the wire."""

import json
from typing import Any

import grpc
import pytest

from letta_grpc.v1 import agent_service_pb2, agents_pb2, events_pb2, messages_pb2, runs_pb2
from letta_grpc.v1 import run_service_pb2 as pb
from tests.requirements.registry import requirement
from tests.support.houses import Talk, Wire, run_of, said, talk
from tests.support.upstream import Upstream
from tests.support.wires import fields_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

MEMGPT = agents_pb2.AGENT_KIND_MEMGPT
WORDS = 'He said: "ünï"\n😀'


def calls(name: str, call_id: str = "", **arguments: object) -> dict[str, Any]:
    return {"tool_call": {"name": name, "arguments": arguments, "piece_chars": 3} | ({"id": call_id} if call_id else {})}


def speaks(message: str) -> dict[str, Any]:
    return calls("send_message", thinking="Let me see.", message=message)


def script(*turns: list[dict[str, Any]]) -> str:
    return json.dumps(turns)


def of(kind: str, events: list[events_pb2.RunEvent]) -> list[Any]:
    return [getattr(event, kind) for event in events if event.WhichOneof("payload") == kind]


async def ruled(wire: Wire, *rules: agents_pb2.ToolRule, tools: list[str], **more: Any) -> Talk:  # noqa: ANN401 - any field
    return await talk(wire, "scripted/script", tools, tool_rules=rules, **more)


@requirement("memgpt_streams", "memgpt_keeps", "same_ids", "one_return")
async def test_a_memgpt_agent_is_heard_while_it_still_writes_its_call(wire: Wire) -> None:
    one = await talk(wire, "scripted/script", kind=MEMGPT)
    events = await one.ask(script([speaks(WORDS)]))
    text, thoughts = of("text_delta", events), of("reasoning_delta", events)
    assert "".join(delta.text for delta in text) == WORDS
    assert "".join(delta.text for delta in thoughts) == "Let me see."
    assert min(len(text), len(thoughts)) > 1
    history = await one.history()
    assert [(part.text, part.reasoning) for part in history[1].content] == [("", "Let me see."), (WORDS, "")]
    assert {delta.message_id for delta in (*text, *thoughts)} == {history[1].id}
    assert [event.message for event in of("message_completed", events)] == history[1:]
    assert json.loads(history[1].tool_calls[0].arguments)["message"] == WORDS
    assert run_of(events).stop_reason == runs_pb2.STOP_REASON_END_TURN


@requirement("memgpt_heartbeat")
async def test_a_memgpt_agent_goes_on_when_it_asks_to_or_has_failed(wire: Wire) -> None:
    one = await talk(wire, "scripted/script", ["archival_memory_insert"], kind=MEMGPT)
    noted = calls("archival_memory_insert", text="milk", request_heartbeat=True)
    events = await one.ask(script([noted], [calls("unheard_of")], [speaks("Done.")], [speaks("Never said.")]))
    history = await one.history()
    assert [role for role, _ in said(history)] == [
        "USER",
        "ASSISTANT",
        "TOOL",
        "USER",
        "ASSISTANT",
        "TOOL",
        "USER",
        "ASSISTANT",
        "TOOL",
    ]
    assert [json.loads(history[index].content[0].text)["type"] for index in (3, 6)] == ["heartbeat"] * 2
    assert run_of(events).stop_reason == runs_pb2.STOP_REASON_END_TURN
    assert history[2].tool_returns[0].status == messages_pb2.TOOL_RETURN_STATUS_SUCCESS


async def test_a_model_that_speaks_plainly_is_heard_all_the_same(wire: Wire) -> None:
    one = await talk(wire, "scripted/echo", kind=MEMGPT)
    assert "".join(delta.text for delta in of("text_delta", await one.ask("hello there"))) == "hello there"
    history = await one.history()
    assert [call.name for call in history[1].tool_calls] == ["send_message"]


async def test_a_memgpt_agent_has_instructions_and_a_context_of_its_kind(wire: Wire) -> None:
    one = await talk(wire, "scripted/echo", kind=MEMGPT)
    context = (await wire.agents.GetContext(agent_service_pb2.GetContextRequest(agent_id=one.agent_id))).context
    assert "send_message" in context.system
    assert any('"name": "send_message"' in tool for tool in context.tools)


@requirement("rules_refuse", "rules_end")
async def test_a_call_that_breaks_a_rule_is_refused_and_a_rule_ends_the_turn(wire: Wire) -> None:
    first = agents_pb2.ToolRule(tool="archival_memory_search", run_first=agents_pb2.RunFirstRule(arguments='{"query": "x"}'))
    last = agents_pb2.ToolRule(tool="archival_memory_insert", exit_loop=agents_pb2.ExitLoopRule())
    one = await ruled(wire, first, last, tools=["archival_memory_search", "archival_memory_insert"])
    note = calls("archival_memory_insert", text="milk")
    events = await one.ask(script([note], [calls("archival_memory_search")], [note], [{"text": "Never said."}]))
    refused, *others = of("tool_return", events)
    assert refused.status == messages_pb2.TOOL_RETURN_STATUS_ERROR
    assert refused.text.startswith("[ToolConstraintError]")
    assert "archival_memory_search" in refused.text
    assert [other.status for other in others] == [messages_pb2.TOOL_RETURN_STATUS_SUCCESS] * 2
    assert len(of("tool_execution_started", events)) == 2
    assert run_of(events).stop_reason == runs_pb2.STOP_REASON_TOOL_RULE
    assert json.loads((await one.history())[3].tool_calls[0].arguments) == {"query": "x"}


@requirement("rules_end")
async def test_a_turn_does_not_end_before_what_is_required(wire: Wire) -> None:
    rule = agents_pb2.ToolRule(tool="archival_memory_insert", required_before_exit=agents_pb2.RequiredBeforeExitRule())
    one = await ruled(wire, rule, tools=["archival_memory_insert"])
    events = await one.ask(script([{"text": "Bye."}], [calls("archival_memory_insert", text="milk")], [{"text": "done"}]))
    assert len(of("tool_return", events)) == 1
    assert said(await one.history())[2] == (
        "USER",
        "[ToolRuleViolated] You must call archival_memory_insert before you finish.",
    )
    assert run_of(events).stop_reason == runs_pb2.STOP_REASON_END_TURN


@requirement("rules_span_answers")
async def test_an_answer_goes_on_with_the_turn_of_its_calls(wire: Wire) -> None:
    tool = "archival_memory_insert"
    rules = [
        agents_pb2.ToolRule(tool=tool, requires_approval=agents_pb2.RequiresApprovalRule()),
        agents_pb2.ToolRule(tool=tool, max_count=agents_pb2.MaxCountRule(limit=1)),
    ]
    one = await ruled(wire, *rules, tools=[tool])
    note = calls(tool, "n1", text="milk")
    events = await one.ask(script([note], [calls(tool, "n2", text="eggs")], [{"text": "done"}]))
    assert run_of(events).stop_reason == runs_pb2.STOP_REASON_REQUIRES_APPROVAL
    decision = messages_pb2.Decision(tool_call_id="n1", approve=messages_pb2.Approve())
    answer = messages_pb2.InputMessage(approval=messages_pb2.ApprovalInput(decisions=[decision]))
    call = wire.runs.StreamRun(pb.StreamRunRequest(agent_id=one.agent_id, run=runs_pb2.RunSpec(messages=[answer])))
    events = [event async for response in call for event in response.events]
    assert [returned.status for returned in of("tool_return", events)] == [
        messages_pb2.TOOL_RETURN_STATUS_SUCCESS,
        messages_pb2.TOOL_RETURN_STATUS_ERROR,
    ]
    assert run_of(events).stop_reason == runs_pb2.STOP_REASON_END_TURN


@pytest.mark.parametrize("arguments", ["no JSON", "[1]"])
async def test_arguments_of_a_rule_are_an_object(wire: Wire, arguments: str) -> None:
    rule = agents_pb2.ToolRule(tool="archival_memory_insert", run_first=agents_pb2.RunFirstRule(arguments=arguments))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await ruled(wire, rule, tools=["archival_memory_insert"])
    assert any("tool_rules[0]" in path for path in fields_of(refused.value))


@requirement("tool_choice")
async def test_the_provider_is_asked_for_a_call_of_what_was_chosen(wire: Wire, upstream: Upstream) -> None:
    one = await talk(wire, "up/echo", ["archival_memory_insert", "archival_memory_search"])
    await one.ask("Hello.", tool_choice=["archival_memory_search"], max_steps=1)
    asked = (await upstream.state()).requests[-1]["body"]
    assert [tool["function"]["name"] for tool in asked["tools"]] == ["archival_memory_search"]
    assert asked["tool_choice"] == "required"


@requirement("tool_choice")
async def test_a_tool_that_the_run_will_not_have_cannot_be_chosen(wire: Wire) -> None:
    one = await talk(wire, "up/echo", ["archival_memory_search"])
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await one.ask("Hello.", tool_choice=["search"])
    assert "neither a tool of the agent nor" in fields_of(refused.value)["run.tool_choice[0]"]
