"""Agents, their threads and their memory, end to end: what is written, kept, and shown to the model."""

import json
from uuid import uuid4

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from letta_grpc.settings import Provider
from letta_grpc.v1 import (
    agent_service_pb2,
    agents_pb2,
    block_service_pb2,
    blocks_pb2,
    conversation_service_pb2,
    messages_pb2,
    model_service_pb2,
    run_service_pb2,
    runs_pb2,
)
from tests.requirements.registry import requirement
from tests.support.houses import Talk, Wire, provider_of, run_of, said, spec_of, talk
from tests.support.upstream import Upstream
from tests.support.wires import failure_of, fields_of, info_of
from tests.wire.conftest import Connect

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

WAITING = json.dumps([[{"text": "well "}, {"wait_for_cancel": True}]])


async def agent_of(one: Talk) -> agents_pb2.Agent:
    return (await one.wire.agents.GetAgent(agent_service_pb2.GetAgentRequest(agent_id=one.agent_id))).agent


async def context_of(one: Talk) -> agent_service_pb2.Context:
    return (await one.wire.agents.GetContext(agent_service_pb2.GetContextRequest(agent_id=one.agent_id))).context


async def new_block(wire: Wire, **fields: str | int) -> blocks_pb2.Block:
    request = block_service_pb2.CreateBlockRequest(block=blocks_pb2.Block(**fields))  # type: ignore[arg-type]  # by name
    return (await wire.blocks.CreateBlock(request)).block


@requirement("agent_kept")
async def test_the_next_server_finds_all_that_the_one_before_had(connect: Connect) -> None:
    async with connect() as wire:
        one = await talk(
            wire,
            name="Ümläut 👋",
            system="Be brief.\x00\n",
            memory_blocks=[blocks_pb2.Block(label="human", value="Sam", limit=10, metadata={"a": "b"})],
            tags=["x", "y"],
            metadata={"k": ""},
            model_settings=agents_pb2.ModelSettings(temperature=0.0),
            timezone="Europe/Vienna",
        )
        before = await agent_of(one)
        events = await one.ask("hi 👋")
        history = await one.history()
    async with connect() as wire:
        again = Talk(wire, one.agent_id)
        assert await agent_of(again) == before
        assert await again.history() == history
        call = wire.runs.AttachRun(run_service_pb2.AttachRunRequest(run_id=run_of(events).id))
        assert [event async for response in call for event in response.events] == events
        await again.goes_on()


@requirement("agent_update")
async def test_an_update_changes_what_its_mask_names_and_nothing_else(wire: Wire) -> None:
    one = await talk(wire, name="ada", system="Be kind.", tags=["t"], metadata={"k": "v"})
    before = await agent_of(one)
    changed = agents_pb2.Agent(name="eve", system="ignored", metadata={"k": "ignored"})
    request = agent_service_pb2.UpdateAgentRequest(
        agent_id=one.agent_id, agent=changed, update_mask=FieldMask(paths=["name", "tags"])
    )
    after = (await wire.agents.UpdateAgent(request)).agent
    assert (after.name, list(after.tags)) == ("eve", [])
    assert after == await agent_of(one)
    after.name, after.update_time.seconds, after.update_time.nanos = (
        "ada",
        before.update_time.seconds,
        before.update_time.nanos,
    )
    after.tags.append("t")
    assert after == before


@requirement("agent_update")
async def test_an_update_exchanges_the_blocks_of_an_agent_or_changes_nothing(wire: Wire) -> None:
    one = await talk(wire, memory_blocks=[blocks_pb2.Block(label="human", value="Sam")])
    before, new = await agent_of(one), await new_block(wire, label="human", value="Ada")

    def update(*blocks: blocks_pb2.Block) -> agent_service_pb2.UpdateAgentRequest:
        changed = agents_pb2.Agent(name="eve", memory_blocks=blocks)
        mask = FieldMask(paths=["name", "memory_blocks"])
        return agent_service_pb2.UpdateAgentRequest(agent_id=one.agent_id, agent=changed, update_mask=mask)

    both = blocks_pb2.Block(id=before.memory_blocks[0].id), blocks_pb2.Block(id=new.id)
    error = await failure_of(wire.agents.UpdateAgent(update(*both)))
    assert info_of(error) == (grpc.StatusCode.ALREADY_EXISTS, "NAME_TAKEN", {"name": "human"})
    error = await failure_of(wire.agents.UpdateAgent(update(blocks_pb2.Block(label="mood", value="good"))))
    assert set(fields_of(error)) == {"agent.memory_blocks[0].id"}
    assert await agent_of(one) == before
    after = (await wire.agents.UpdateAgent(update(both[1]))).agent
    assert (after.name, list(after.memory_blocks)) == ("eve", [new])
    assert after == await agent_of(one)


@requirement("agent_context", "block_shared")
async def test_the_context_that_is_shown_is_the_one_that_the_model_is_sent(wire: Wire, upstream: Upstream) -> None:
    shared = await new_block(wire, label="team", value="red")
    one = await talk(wire, "up/echo", ["memory_insert"], system="Be brief.", memory_blocks=[blocks_pb2.Block(id=shared.id)])
    await one.ask("first")
    update = block_service_pb2.UpdateBlockRequest(
        block_id=shared.id, block=blocks_pb2.Block(value="blue"), update_mask=FieldMask(paths=["value"])
    )
    await wire.blocks.UpdateBlock(update)
    shown = await context_of(one)
    await upstream.reset()
    await one.ask("second")
    sent = (await upstream.state()).requests[-1]["body"]
    assert sent["messages"][0] == {"role": "system", "content": shown.system}
    assert "blue" in shown.system
    assert "red" not in shown.system
    words = [(message["role"].upper(), message["content"]) for message in sent["messages"][1:]]
    assert words == [*said(shown.messages), ("USER", "second")]
    assert sent["tools"] == [json.loads(tool) for tool in shown.tools]


@requirement("block_of_model", "block_limit")
async def test_what_the_model_writes_stands_in_the_block_and_in_its_next_context(wire: Wire, upstream: Upstream) -> None:
    memory = [blocks_pb2.Block(label="human", value="Sam", limit=40)]
    one = await talk(wire, "up/tool-memory_insert", ["memory_insert"], memory_blocks=memory)
    await upstream.reset()
    await one.ask(json.dumps({"label": "human", "text": "Likes tea."}))
    first, second = ((request["body"]["messages"][0]["content"]) for request in (await upstream.state()).requests)
    assert "Likes tea." not in first
    assert "Likes tea." in second
    value = (await agent_of(one)).memory_blocks[0].value
    assert value.split("\n") == ["Sam", "Likes tea."]
    await one.ask(json.dumps({"label": "human", "text": "x" * 40}))
    returned = [returned for message in await one.history() for returned in message.tool_returns][-1]
    assert returned.status == messages_pb2.TOOL_RETURN_STATUS_ERROR
    assert "40" in returned.text
    assert (await agent_of(one)).memory_blocks[0].value == value
    await one.goes_on()


@requirement("block_limit")
async def test_a_value_beyond_the_limit_is_refused_and_changes_nothing(wire: Wire) -> None:
    block = await new_block(wire, label="l", value="short", limit=5)
    update = block_service_pb2.UpdateBlockRequest(
        block_id=block.id, block=blocks_pb2.Block(value="longer"), update_mask=FieldMask(paths=["value"])
    )
    error = await failure_of(wire.blocks.UpdateBlock(update))
    assert info_of(error)[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert fields_of(error) == {"block.value": "has 6 characters, the block's limit is 5"}
    assert (await wire.blocks.GetBlock(block_service_pb2.GetBlockRequest(block_id=block.id))).block == block


@requirement("agent_context")
async def test_of_a_context_only_what_a_mask_names_is_returned(wire: Wire) -> None:
    one = await talk(wire, system="Be brief.")
    await one.ask("first")
    whole = await context_of(one)
    request = agent_service_pb2.GetContextRequest(agent_id=one.agent_id, read_mask=FieldMask(paths=["system", "parts"]))
    sizes = (await wire.agents.GetContext(request)).context
    assert sizes == agent_service_pb2.Context(system=whole.system, parts=whole.parts)
    request.read_mask.paths[:] = ["*"]
    assert (await wire.agents.GetContext(request)).context == whole
    request.read_mask.paths[:] = ["system", "parts.name", "pictures"]
    names = "system, messages, tools, parts, estimated_tokens, context_window, reported_tokens"
    rule = f"'parts.name' cannot be read; any of {names} can"
    assert fields_of(await failure_of(wire.agents.GetContext(request))) == {"read_mask": rule}


@requirement("agent_delete")
async def test_a_deleted_agent_is_gone_with_what_is_its_own_and_its_blocks_stay(wire: Wire) -> None:
    block = await new_block(wire, label="shared", value="kept")
    one = await talk(wire, memory_blocks=[blocks_pb2.Block(id=block.id)])
    run = run_of(await one.ask("hi"))
    await wire.agents.DeleteAgent(agent_service_pb2.DeleteAgentRequest(agent_id=one.agent_id))
    gone = (
        (wire.agents.GetAgent(agent_service_pb2.GetAgentRequest(agent_id=one.agent_id)), "AGENT_NOT_FOUND"),
        (wire.agents.ListMessages(agent_service_pb2.ListMessagesRequest(agent_id=one.agent_id)), "AGENT_NOT_FOUND"),
        (wire.runs.StreamRun(one.start("hi")), "AGENT_NOT_FOUND"),
        (wire.runs.GetRun(run_service_pb2.GetRunRequest(run_id=run.id)), "RUN_NOT_FOUND"),
        (wire.runs.AttachRun(run_service_pb2.AttachRunRequest(run_id=run.id)), "RUN_NOT_FOUND"),
        (wire.runs.ListRunEvents(run_service_pb2.ListRunEventsRequest(run_id=run.id)), "RUN_NOT_FOUND"),
    )
    for call, reason in gone:
        assert info_of(await failure_of(call))[1] == reason
    assert (await wire.blocks.GetBlock(block_service_pb2.GetBlockRequest(block_id=block.id))).block.value == "kept"


async def test_blocks_that_no_agent_has_are_found(wire: Wire) -> None:
    left, kept = await new_block(wire, label="orphans"), await new_block(wire, label="orphans")
    gone = await talk(wire, memory_blocks=[blocks_pb2.Block(id=left.id), blocks_pb2.Block(label="other")])
    one = await talk(wire, memory_blocks=[blocks_pb2.Block(id=kept.id)])
    request = block_service_pb2.ListBlocksRequest(label="orphans", unattached=True)
    assert list((await wire.blocks.ListBlocks(request)).blocks) == []
    await wire.agents.DeleteAgent(agent_service_pb2.DeleteAgentRequest(agent_id=gone.agent_id))
    assert [block.id for block in (await wire.blocks.ListBlocks(request)).blocks] == [left.id]
    request.agent_id = one.agent_id
    error = await failure_of(wire.blocks.ListBlocks(request))
    assert fields_of(error) == {"unattached": "must not be set together with agent_id"}


@requirement("conversation_default", "conversation_separate")
async def test_threads_have_their_own_history_and_do_not_wait_for_each_other(wire: Wire) -> None:
    one = await talk(wire, "scripted/script")
    request = conversation_service_pb2.CreateConversationRequest(agent_id=one.agent_id)
    aside = (await wire.conversations.CreateConversation(request)).conversation
    busy = wire.runs.StreamRun(one.start(WAITING))
    await busy.initial_metadata()
    execute = run_service_pb2.ExecuteRunRequest(
        agent_id=one.agent_id, conversation_id=aside.id, run=spec_of("beside it", model="scripted/echo")
    )
    done = await wire.runs.ExecuteRun(execute)
    assert (done.run.state, done.run.conversation_id) == (runs_pb2.RUN_STATE_COMPLETED, aside.id)
    listing = agent_service_pb2.ListMessagesRequest(agent_id=one.agent_id, conversation_id=aside.id)
    assert said((await wire.agents.ListMessages(listing)).messages) == [("USER", "beside it"), ("ASSISTANT", "beside it")]
    default = agent_service_pb2.ListMessagesRequest(agent_id=one.agent_id, conversation_id="default")
    assert [text for _, text in said((await wire.agents.ListMessages(default)).messages)][:1] == [WAITING]
    everything = agent_service_pb2.ListMessagesRequest(agent_id=one.agent_id, conversation_id="-", page_size=2)
    first = await wire.agents.ListMessages(everything)
    everything.page_token = first.next_page_token
    found = [*first.messages, *(await wire.agents.ListMessages(everything)).messages]
    assert [text for _, text in said(found)] == [WAITING, "beside it", "beside it"]
    nobody = agent_service_pb2.ListMessagesRequest(agent_id=f"agent-{uuid4()}", conversation_id="-")
    assert info_of(await failure_of(wire.agents.ListMessages(nobody)))[1] == "AGENT_NOT_FOUND"
    active = (await wire.runs.ListRuns(run_service_pb2.ListRunsRequest(agent_id=one.agent_id))).runs[0]
    await wire.runs.CancelRun(run_service_pb2.CancelRunRequest(run_id=active.id))
    assert [response async for response in busy]
    await one.goes_on()


@requirement("model_list")
async def test_a_provider_that_does_not_answer_is_named_and_hides_no_other(connect: Connect, upstream: Upstream) -> None:
    providers = provider_of(upstream) | {"gone": Provider(base_url="http://127.0.0.1:1/v1")}
    async with connect(providers=providers, embedding_model="up/words") as wire:
        listed = await wire.models.ListModels(model_service_pb2.ListModelsRequest())
        assert list(listed.unreachable_providers) == ["gone"]
        assert {model.provider for model in listed.models} == {"scripted", "up"}
        named = await wire.models.ListProviders(model_service_pb2.ListProvidersRequest())
        assert [provider.name for provider in named.providers] == ["gone", "scripted", "up"]
        assert named.embedding_model == "up/words"
        error = await failure_of(wire.models.ListModels(model_service_pb2.ListModelsRequest(provider="none")))
        assert info_of(error)[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
        assert fields_of(error) == {"provider": "must be one of the configured providers: gone, scripted, up"}
