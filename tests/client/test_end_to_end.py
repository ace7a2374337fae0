"""The client against the server as its users start it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import UTC
from pathlib import Path
from typing import Protocol

import pytest
from google.protobuf import json_format

from letta_grpc.client import (
    AgentNotFound,
    AsyncClient,
    Client,
    ConcurrentChange,
    ConversationBusy,
    CursorAhead,
    InvalidRequest,
    RequestIdReused,
    RetryPolicy,
    RunFailed,
)
from letta_grpc.v1 import agent_files_pb2, messages_pb2, runs_pb2
from tests.requirements.registry import requirement
from tests.support.relay import relayed
from tests.support.server_process import serving_process

QUICK = RetryPolicy(initial_seconds=0.02, maximum_seconds=0.2, stream_attempts=500, call_attempts=50)
FOREVER = json.dumps([[{"text": "thinking "}, {"wait_for_cancel": True}]])


class Stored(Protocol):
    """Whatever a list has."""

    id: str


def slowly(words: int) -> str:
    return json.dumps([[{"repeat": words, "text": "word ", "delay_ms": 10}]])


@requirement("tutorial_generator")
async def test_an_agent_is_made_asked_and_remembered(server: str) -> None:
    async with AsyncClient(server) as client:
        agent = await client.agents.create(name="ada", model="scripted/echo", persona="Calm.", human="Sam.", tags=["e2e"])
        assert {block.label: block.value for block in agent.memory_blocks} == {"persona": "Calm.", "human": "Sam."}
        assert await client.stream(agent.id, "over the wire").text() == "over the wire"
        roles = [message.role async for message in client.agents.messages(agent.id, page_size=1)]
        assert roles == [messages_pb2.ROLE_USER, messages_pb2.ROLE_ASSISTANT]
        assert [one.id async for one in client.agents.list(tags=["e2e"])] == [agent.id]
        assert "Calm." in (await client.agents.context(agent.id)).system


async def test_agents_and_blocks_are_changed_by_what_is_given(server: str) -> None:
    async with AsyncClient(server) as client:
        agent = await client.agents.create(name="bob", model="scripted/echo", memory_blocks={"notes": "one"})
        changed = await client.agents.update(agent.id, name="rob", metadata={"a": "b"})
        assert (changed.name, dict(changed.metadata), changed.model) == ("rob", {"a": "b"}, "scripted/echo")
        assert (await client.agents.update_block(agent.id, "notes", value="two")).value == "two"
        assert (await client.agents.block(agent.id, "notes")).value == "two"
        block = await client.blocks.create(label="shared", value="all")
        assert len((await client.blocks.attach(agent.id, block.id)).memory_blocks) == 2
        assert len((await client.blocks.detach(agent.id, block.id)).memory_blocks) == 1
        assert (await client.blocks.update(block.id, value="some")).value == "some"
        assert [one.id async for one in client.blocks.list(label="shared")] == [block.id]
        assert [one.id async for one in client.blocks.list(unattached=True)] == [block.id]
        await client.blocks.delete(block.id)
        await client.agents.delete(agent.id)
        with pytest.raises(AgentNotFound):
            await client.agents.get(agent.id)


async def test_a_block_is_changed_only_as_it_was_read(server: str) -> None:
    async with AsyncClient(server) as client:
        block = await client.blocks.create(label="shared", value="one")
        changed = await client.blocks.update(block.id, value="two", expected_version=block.version)
        with pytest.raises(ConcurrentChange):
            await client.blocks.update(block.id, value="three", expected_version=block.version)
        assert await client.blocks.get(block.id) == changed
        agent = await client.agents.create(model="scripted/echo", memory_blocks=[changed])
        with pytest.raises(ConcurrentChange):
            await client.agents.update_block(agent.id, "shared", value="three", expected_version=block.version)
        again = await client.agents.update_block(agent.id, "shared", value="four", expected_version=changed.version)
        assert again.value == "four"


async def test_every_list_goes_on_behind_what_somebody_has_seen(server: str) -> None:
    async with AsyncClient(server) as client:
        agent, other = [await client.agents.create(model="scripted/echo", tags=["seen"]) for _ in "ab"]
        blocks = [await client.blocks.create(label="seen") for _ in "ab"]
        notes = [await client.archive.create(agent.id, text) for text in "ab"]
        threads = [await client.conversations.create(agent.id) for _ in "ab"]
        runs = [(await client.runs.execute(agent.id, text)).run for text in "ab"]
        steps = [one.id async for one in client.runs.list_steps(agent_id=agent.id)]
        said = [one.id async for one in client.agents.messages(agent.id)]
        behind: list[tuple[AsyncIterator[Stored], str]] = [
            (client.agents.list(tags=["seen"], after_id=agent.id), other.id),
            (client.blocks.list(label="seen", after_id=blocks[0].id), blocks[1].id),
            (client.archive.list(agent.id, after_id=notes[0].id), notes[1].id),
            (client.conversations.list(agent.id, after_id=threads[0].id), threads[1].id),
            (client.runs.list(agent_id=agent.id, after_id=runs[1].id, descending=True), runs[0].id),
            (client.runs.list_steps(agent_id=agent.id, after_id=steps[0]), steps[1]),
            (client.agents.messages(agent.id, after_id=said[2]), said[3]),
        ]
        for rest, expected in behind:
            assert [one.id async for one in rest] == [expected]


async def test_notes_and_messages_are_kept_and_found(server: str) -> None:
    async with AsyncClient(server) as client:
        agent = await client.agents.create(model="scripted/echo")
        tea = await client.archive.create(agent.id, "Sam drinks tea", tags=["drinks"])
        await client.archive.create(agent.id, "Sam has a dog")
        assert await client.archive.get(agent.id, tea.id) == tea
        assert [note.text async for note in client.archive.list(agent.id, tags=["drinks"])] == ["Sam drinks tea"]
        changed = await client.archive.update(agent.id, tea.id, text="Sam drinks water")
        assert list(changed.tags) == ["drinks"]
        found = await client.archive.search(agent.id, "sam", tags=["drinks"], limit=5, mode="words")
        assert [note.text for note in found] == ["Sam drinks water"]
        await client.archive.delete(agent.id, tea.id)
        assert [note.text for note in await client.archive.search(agent.id)] == ["Sam has a dog"]
        await client.runs.execute(agent.id, "my dog is Rex")
        (heard, *_) = await client.agents.search_messages(agent.id, "rex", conversation_id="default", limit=1)
        assert heard.message.content[0].text == "my dog is Rex"
        told = await client.agents.search_messages(agent.id, roles=[messages_pb2.ROLE_ASSISTANT])
        assert [one.message.role for one in told] == [messages_pb2.ROLE_ASSISTANT]
        # The echo is newer: of two that fit alike it comes first.
        answered = heard.message.create_time.ToDatetime(UTC)
        (before,) = await client.agents.search_messages(agent.id, "rex", created_before=answered)
        (after,) = await client.agents.search_messages(agent.id, "rex", created_from=answered)
        assert (before.message.role, after.message.role) == (messages_pb2.ROLE_USER, messages_pb2.ROLE_ASSISTANT)


async def test_conversations_are_threads_of_their_own(server: str) -> None:
    async with AsyncClient(server) as client:
        agent = await client.agents.create(model="scripted/echo")
        thread = await client.conversations.create(agent.id, title="aside")
        await client.runs.execute(agent.id, "hidden", conversation_id=thread.id)
        assert [one async for one in client.agents.messages(agent.id)] == []
        assert len([one async for one in client.agents.messages(agent.id, conversation_id=thread.id)]) == 2
        assert (await client.conversations.update(thread.id, title="done")).title == "done"
        assert [one.is_default async for one in client.conversations.list(agent.id)] == [True, False]
        await client.conversations.delete(thread.id)


async def test_runs_are_executed_listed_and_read_again(server: str) -> None:
    async with AsyncClient(server) as client:
        agent = await client.agents.create(model="scripted/echo")
        answer = await client.runs.execute(agent.id, ["one", "two"], metadata={"for": "test"})
        assert answer.run.state == runs_pb2.RUN_STATE_COMPLETED
        assert [one.id async for one in client.runs.list(agent_id=agent.id)] == [answer.run.id]
        (step,) = [one async for one in client.runs.list_steps(answer.run.id)]
        assert await client.runs.get_step(step.id) == step
        stored = [event async for event in client.runs.list_events(answer.run.id, page_size=2)]
        assert [event async for event in client.attach(answer.run.id)] == stored
        assert [event async for event in client.attach(answer.run.id, after=len(stored))] == []
        assert await client.attach(answer.run.id, after=len(stored)).final() == await client.runs.get(answer.run.id)


async def test_failures_are_typed(server: str) -> None:
    async with AsyncClient(server) as client:
        agent = await client.agents.create(model="scripted/script")
        with pytest.raises(RunFailed) as failed:
            await client.stream(agent.id, json.dumps([[{"error": "MODEL_OVERLOADED"}]])).text()
        assert failed.value.reason == "MODEL_OVERLOADED"
        with pytest.raises(InvalidRequest) as invalid:
            await client.stream(agent.id, []).started()
        assert invalid.value.fields
        used = await client.runs.create(agent.id, "[]")
        with pytest.raises(RequestIdReused):
            await client.runs.create(agent.id, "other", request_id=used.request_id)
        with pytest.raises(CursorAhead):
            await client.attach(used.id, after=999).started()


async def test_a_busy_conversation_names_its_run_which_can_be_cancelled(server: str) -> None:
    async with AsyncClient(server) as client:
        agent = await client.agents.create(model="scripted/script")
        async with client.stream(agent.id, FOREVER) as stream:
            with pytest.raises(ConversationBusy) as busy:
                await client.runs.create(agent.id, "more")
            assert busy.value.active_run_id == stream.run_id
            await stream.cancel()
            assert (await stream.final()).state == runs_pb2.RUN_STATE_CANCELLED


async def test_models_and_providers_are_listed(server: str) -> None:
    async with AsyncClient(server) as client:
        assert "scripted/echo" in [model.handle for model in (await client.models.list()).models]
        assert [provider.name for provider in await client.models.providers()] == ["scripted"]


async def test_the_blocking_twin_does_the_same(server: str) -> None:
    def talk() -> tuple[str, int]:
        with Client(server) as client:
            agent = client.agents.create(model="scripted/echo")
            text = client.stream(agent.id, "no loop here").text()
            return text, len(list(client.agents.messages(agent.id)))

    assert await asyncio.to_thread(talk) == ("no loop here", 2)


@requirement("tutorial_interruption")
async def test_a_connection_that_breaks_again_and_again_loses_nothing(server: str) -> None:
    async with relayed(server) as (relay, target), AsyncClient(target, retry=QUICK) as client:
        agent = await client.agents.create(model="scripted/script")
        seen = []
        async for event in client.stream(agent.id, slowly(40)):
            seen.append(event)
            if event.sequence_number % 7 == 0:
                relay.cut()
        run_id = seen[-1].run_finished.run.id
        assert seen == [event async for event in client.runs.list_events(run_id)]


async def test_a_stream_survives_the_death_of_its_server(tmp_path: Path) -> None:
    with ExitStack() as stack:
        target, process = await asyncio.to_thread(stack.enter_context, serving_process(tmp_path))
        async with relayed(target) as (relay, address), AsyncClient(address, retry=QUICK) as client:
            agent = await client.agents.create(model="scripted/script")
            seen = []
            async for event in client.stream(agent.id, slowly(30)):
                seen.append(event)
                if event.sequence_number == 10:
                    process.kill()
                    heir, _ = await asyncio.to_thread(stack.enter_context, serving_process(tmp_path))
                    relay.redirect(heir)
            assert seen == [event async for event in client.runs.list_events(seen[-1].run_finished.run.id)]
            assert seen[-1].run_finished.run.attempt == 2
            assert seen[-1].run_finished.run.state == runs_pb2.RUN_STATE_COMPLETED
            assert [event.sequence_number for event in seen] == list(range(1, len(seen) + 1))


async def test_agents_leave_as_json_and_come_back_with_what_was_captured(server: str) -> None:
    async with AsyncClient(server) as client:
        run = await client.agents.capture("Hi.", answer="Hello.", key="file", model="scripted/echo")
        assert [event.WhichOneof("payload") async for event in client.attach(run.id)][-1] == "run_finished"
        text = json_format.MessageToJson(await client.agents.export(run.agent_id))
        copy = await client.agents.import_(json_format.Parse(text, agent_files_pb2.AgentFile()), name="copy")
        assert list((await client.agents.import_(text)).tags) == list(copy.tags)
        with pytest.raises(ValueError, match="no agent file of this server's"):
            await client.agents.import_("junk")
        assert copy.name == "copy"
        assert [message.content[0].text async for message in client.agents.messages(copy.id)] == ["Hi.", "Hello."]
        assert not (await client.agents.export(copy.id, omit_messages=True)).conversations[0].messages
