"""Copies of conversations, as a caller makes them."""

import json
from uuid import uuid4

import grpc
import pytest

from letta_grpc.v1 import conversation_service_pb2 as pb
from letta_grpc.v1 import conversations_pb2, run_service_pb2, runs_pb2
from tests.requirements.registry import requirement
from tests.support.houses import Talk, Wire, run_of, spec_of, talk
from tests.support.wires import failure_of, fields_of, info_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


async def threads_of(one: Talk) -> list[conversations_pb2.Conversation]:
    request = pb.ListConversationsRequest(agent_id=one.agent_id)
    return list((await one.wire.conversations.ListConversations(request)).conversations)


async def fork(one: Talk, **fields: str) -> conversations_pb2.Conversation:
    source = (await threads_of(one))[0]
    request = pb.ForkConversationRequest(conversation_id=source.id, **fields)
    return (await one.wire.conversations.ForkConversation(request)).conversation


async def ask(one: Talk, thread: conversations_pb2.Conversation, words: str) -> runs_pb2.Run:
    request = run_service_pb2.ExecuteRunRequest(agent_id=one.agent_id, conversation_id=thread.id, run=spec_of(words))
    return (await one.wire.runs.ExecuteRun(request)).run


async def runs_in(one: Talk, thread: conversations_pb2.Conversation) -> list[runs_pb2.Run]:
    request = run_service_pb2.ListRunsRequest(agent_id=one.agent_id, conversation_id=thread.id)
    return list((await one.wire.runs.ListRuns(request)).runs)


@requirement("conversation_fork")
async def test_a_conversation_is_copied_and_both_go_on_by_themselves(wire: Wire) -> None:
    one = await talk(wire)
    await one.ask("hello")
    before = await one.history()
    copy = await fork(one, title="what if")
    assert (copy.agent_id, copy.title, copy.is_default) == (one.agent_id, "what if", False)
    assert (await threads_of(one))[1] == copy
    (held,) = await runs_in(one, copy)
    assert (held.kind, held.state) == (runs_pb2.RUN_KIND_FORK, runs_pb2.RUN_STATE_COMPLETED)
    stream = wire.runs.AttachRun(run_service_pb2.AttachRunRequest(run_id=held.id))
    events = [event async for response in stream for event in response.events]
    assert [event.WhichOneof("payload") for event in events] == ["run_started", "run_finished"]
    assert (await ask(one, copy, "go on")).state == runs_pb2.RUN_STATE_COMPLETED
    assert await one.history() == before
    await one.goes_on()
    assert len(await runs_in(one, copy)) == 2


@requirement("conversation_fork")
async def test_a_copy_outlives_the_conversation_that_it_is_of(wire: Wire) -> None:
    one = await talk(wire)
    await one.ask("hello")
    middle = await fork(one)
    request = pb.ForkConversationRequest(conversation_id=middle.id)
    copy = (await wire.conversations.ForkConversation(request)).conversation
    await wire.conversations.DeleteConversation(pb.DeleteConversationRequest(conversation_id=middle.id))
    assert (await ask(one, copy, "go on")).state == runs_pb2.RUN_STATE_COMPLETED


@requirement("conversation_fork")
async def test_a_conversation_at_work_is_copied_meanwhile(wire: Wire) -> None:
    one = await talk(wire, "scripted/script")
    busy = wire.runs.StreamRun(one.start(json.dumps([[{"text": "well "}, {"wait_for_cancel": True}]])))
    metadata = dict(await busy.initial_metadata())
    copy = await fork(one)
    assert (await ask(one, copy, json.dumps([[{"text": "done"}]]))).state == runs_pb2.RUN_STATE_COMPLETED
    await wire.runs.CancelRun(run_service_pb2.CancelRunRequest(run_id=str(metadata["letta-run-id"])))
    events = [event async for response in busy for event in response.events]
    assert run_of(events).state == runs_pb2.RUN_STATE_CANCELLED


@requirement("conversation_fork")
async def test_a_wish_to_copy_that_makes_no_sense_names_its_fields(wire: Wire) -> None:
    one = await talk(wire)
    wrong = pb.ForkConversationRequest(conversation_id="conv-x", title="t" * 257)
    assert set(fields_of(await failure_of(wire.conversations.ForkConversation(wrong)))) == {"conversation_id", "title"}
    source = (await threads_of(one))[0]
    unknown = pb.ForkConversationRequest(conversation_id=source.id, up_to_message_id=f"message-{uuid4()}")
    assert set(fields_of(await failure_of(wire.conversations.ForkConversation(unknown)))) == {"up_to_message_id"}
    gone = await failure_of(wire.conversations.ForkConversation(pb.ForkConversationRequest(conversation_id=f"conv-{uuid4()}")))
    assert (gone.code(), info_of(gone)[1]) == (grpc.StatusCode.NOT_FOUND, "CONVERSATION_NOT_FOUND")
