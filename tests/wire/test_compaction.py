"""Conversations that grow too long, or are emptied: what a caller sees of it."""

import json
from uuid import uuid4

import pytest

from letta_grpc.v1 import (
    agent_service_pb2,
    conversation_service_pb2,
    events_pb2,
    messages_pb2,
    run_service_pb2,
    runs_pb2,
)
from tests.requirements.registry import requirement
from tests.support.houses import Talk, Wire, run_of, said, talk
from tests.support.wires import failure_of, fields_of, info_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

WORDS = "word " * 100


async def context_of(one: Talk) -> agent_service_pb2.Context:
    return (await one.wire.agents.GetContext(agent_service_pb2.GetContextRequest(agent_id=one.agent_id))).context


async def conversation_of(one: Talk) -> str:
    listing = conversation_service_pb2.ListConversationsRequest(agent_id=one.agent_id)
    return (await one.wire.conversations.ListConversations(listing)).conversations[0].id


def compactions(events: list[events_pb2.RunEvent]) -> list[events_pb2.ContextCompacted]:
    return [event.context_compacted for event in events if event.WhichOneof("payload") == "context_compacted"]


async def events_of(wire: Wire, run_id: str) -> list[events_pb2.RunEvent]:
    stream = wire.runs.AttachRun(run_service_pb2.AttachRunRequest(run_id=run_id))
    return [event async for response in stream for event in response.events]


def shown(context: agent_service_pb2.Context) -> list[tuple[str, str]]:
    return [(role, text.split("\n")[-1]) for role, text in said(context.messages)]


@requirement("conversation_overflow")
async def test_a_run_goes_on_with_less_when_the_provider_finds_its_context_too_long(wire: Wire) -> None:
    one = await talk(wire, "up/window-600", system="Be kind.", context_window=100_000)
    for number in range(5):
        assert not compactions(await one.ask(f"{number} {WORDS}"))
    events = await one.ask(f"5 {WORDS}")
    (compacted,) = compactions(events)
    assert run_of(events).state == runs_pb2.RUN_STATE_COMPLETED
    assert compacted.by_model
    assert compacted.tokens_after < compacted.tokens_before
    history = await one.history()
    assert [message.role for message in history].count(messages_pb2.ROLE_SUMMARY) == 1
    assert [message.id for message in history].index(compacted.kept_from) == compacted.dropped_messages
    assert len([text for role, text in said(history) if role == "USER"]) == 6
    context = await context_of(one)
    assert shown(context)[0] == ("USER", "w0 w1 w2")
    assert not any(text.startswith("0 word") for _, text in said(context.messages))
    await one.goes_on()


@requirement("conversation_overflow")
async def test_a_context_is_compacted_before_it_overflows(wire: Wire) -> None:
    one = await talk(wire, "scripted/echo", system="Be kind.", context_window=1000)
    found = []
    for number in range(10):
        found += compactions(await one.ask(f"{number} {WORDS}"))
    assert found
    context = await context_of(one)
    assert context.estimated_tokens < 1000
    costs = {part.name: part.estimated_tokens for part in context.parts}
    assert set(costs) == {"instructions", "memory", "tools", "summary", "messages"}
    assert costs["summary"] > 0
    assert sum(costs.values()) == context.estimated_tokens


@requirement("conversation_overflow")
async def test_what_is_too_long_whatever_leaves_ends_the_run_and_not_the_conversation(wire: Wire) -> None:
    one = await talk(wire, "up/window-200", system="Be kind.", context_window=100_000)
    await one.ask("hello")
    run = run_of(await one.ask("word " * 500))
    assert (run.state, run.stop_reason) == (runs_pb2.RUN_STATE_FAILED, runs_pb2.STOP_REASON_CONTEXT_OVERFLOW)
    assert run.error.reason == "CONTEXT_WINDOW_EXCEEDED"
    assert "does not fit" in run.error.message
    assert run_of(await one.ask("and now?")).state == runs_pb2.RUN_STATE_COMPLETED


@requirement("conversation_compact")
async def test_a_conversation_is_compacted_by_a_run_of_its_own(wire: Wire) -> None:
    one = await talk(wire)
    for number in range(4):
        await one.ask(f"{number} {WORDS}")
    before = await one.history()
    request = conversation_service_pb2.CompactConversationRequest(
        conversation_id=await conversation_of(one), request_id=str(uuid4())
    )
    run = (await wire.conversations.CompactConversation(request)).run
    assert run.kind == runs_pb2.RUN_KIND_COMPACTION
    events = await events_of(wire, run.id)
    assert run_of(events).state == runs_pb2.RUN_STATE_COMPLETED
    (compacted,) = compactions(events)
    assert (await wire.conversations.CompactConversation(request)).run.id == run.id
    assert (await one.history())[:-1] == before
    assert (await one.history())[-1] == compacted.summary
    assert len((await context_of(one)).messages) == 1 + len(before) - compacted.dropped_messages
    await one.goes_on()


@requirement("conversation_compact")
async def test_all_of_an_agent_s_default_conversation_can_be_put_into_the_summary(wire: Wire) -> None:
    one = await talk(wire)
    await one.ask("hello")
    request = agent_service_pb2.CompactAgentRequest(agent_id=one.agent_id, mode=runs_pb2.COMPACTION_MODE_ALL)
    run = (await wire.agents.CompactAgent(request)).run
    (compacted,) = compactions(await events_of(wire, run.id))
    assert (compacted.kept_from, compacted.dropped_messages) == ("", 2)
    assert len((await context_of(one)).messages) == 1
    named = conversation_service_pb2.CompactConversationRequest(
        conversation_id=run.conversation_id, mode=runs_pb2.COMPACTION_MODE_ALL
    )
    again = (await wire.conversations.CompactConversation(named)).run
    assert not compactions(await events_of(wire, again.id))


@requirement("conversation_compact")
async def test_a_conversation_at_work_is_not_compacted_meanwhile(wire: Wire) -> None:
    one = await talk(wire, "scripted/script")
    busy = wire.runs.StreamRun(one.start(json.dumps([[{"text": "well "}, {"wait_for_cancel": True}]])))
    metadata = dict(await busy.initial_metadata())
    call = wire.agents.CompactAgent(agent_service_pb2.CompactAgentRequest(agent_id=one.agent_id))
    assert info_of(await failure_of(call))[1] == "CONVERSATION_BUSY"
    reset = wire.agents.ResetMessages(agent_service_pb2.ResetMessagesRequest(agent_id=one.agent_id))
    assert info_of(await failure_of(reset))[1] == "RESOURCE_IN_USE"
    await wire.runs.CancelRun(run_service_pb2.CancelRunRequest(run_id=str(metadata["letta-run-id"])))
    assert [response async for response in busy]


@requirement("conversation_compact")
async def test_a_wish_to_compact_that_makes_no_sense_names_its_fields(wire: Wire) -> None:
    wrong = conversation_service_pb2.CompactConversationRequest(conversation_id="conv-x", request_id="x")
    fields = fields_of(await failure_of(wire.conversations.CompactConversation(wrong)))
    assert set(fields) == {"conversation_id", "request_id"}
    gone = conversation_service_pb2.CompactConversationRequest(conversation_id=f"conv-{uuid4()}")
    assert info_of(await failure_of(wire.conversations.CompactConversation(gone)))[1] == "CONVERSATION_NOT_FOUND"


@requirement("agent_reset")
async def test_a_conversation_is_emptied_and_goes_on_as_if_new(wire: Wire) -> None:
    one = await talk(wire)
    run = run_of(await one.ask("hello"))
    await wire.agents.ResetMessages(agent_service_pb2.ResetMessagesRequest(agent_id=one.agent_id))
    assert await one.history() == []
    assert not (await context_of(one)).messages
    kept = (await wire.runs.GetRun(run_service_pb2.GetRunRequest(run_id=run.id))).run
    assert kept.state == runs_pb2.RUN_STATE_COMPLETED
    await one.ask("again")
    assert said(await one.history()) == [("USER", "again"), ("ASSISTANT", "again")]
