"""Every method over the engine, through a socket and in process."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from letta_grpc.adapters.memory.log import MemoryEventLog
from letta_grpc.domain.completions import TextChunk
from letta_grpc.domain.ids import RunId
from letta_grpc.engine.agent_files import ImportRequest
from letta_grpc.ports.log import LogPage
from letta_grpc.transport.convert.agent_files import import_from_pb
from letta_grpc.transport.rpc import agents as agent_rpcs
from letta_grpc.v1 import (
    agent_service_pb2,
    agents_pb2,
    block_service_pb2,
    blocks_pb2,
    conversation_service_pb2,
    conversations_pb2,
    events_pb2,
    messages_pb2,
    model_service_pb2,
    runs_pb2,
)
from letta_grpc.v1 import run_service_pb2 as pb
from tests.requirements.registry import requirement
from tests.support.aside import ReadAside
from tests.support.engine import DONE, Engine, say
from tests.support.wires import Stubs, Watched, Way, channel_to, failure_of, fields_of, house_calls, info_of

pytestmark = pytest.mark.timeout(20)
NOBODY = "00000000-0000-4000-8000-00000000dead"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
async def stubs(house: Engine, way: Way, watched: Watched) -> AsyncIterator[Stubs]:
    async with channel_to(house_calls(house, observer=watched), way) as channel:
        yield Stubs(channel)


def spec(words: str = "hi") -> runs_pb2.RunSpec:
    return runs_pb2.RunSpec(messages=[messages_pb2.InputMessage(user=messages_pb2.UserInput(text=words))])


def numbers(responses: list[pb.StreamRunResponse] | list[pb.AttachRunResponse]) -> list[int]:
    return [event.sequence_number for response in responses for event in response.events]


async def test_a_started_run_is_streamed_to_its_end(house: Engine, stubs: Stubs, watched: Watched) -> None:
    house.model.turns.append(say("Hel", "lo"))
    call = stubs.runs.StreamRun(pb.StreamRunRequest(agent_id=house.agent.id, run=spec()))
    responses = [response async for response in call]
    events = [event for response in responses for event in response.events]
    assert numbers(responses) == list(range(1, len(events) + 1))
    assert [event.WhichOneof("payload") for event in events][0 :: len(events) - 1] == ["run_started", "run_finished"]
    assert "".join(event.text_delta.text for event in events) == "Hello"
    run_id = events[0].run_started.run.id
    assert {(response.run_id, response.agent_id) for response in responses} == {(run_id, house.agent.id)}
    assert watched.runs == [run_id]
    assert watched.events == len(events)
    assert watched.ends == [(grpc.StatusCode.OK, None)]


@requirement("complaint_10_one_end")
async def test_the_run_id_comes_before_any_token_and_is_enough_to_go_on(house: Engine, stubs: Stubs) -> None:
    gate = asyncio.Event()
    house.model.turns.append([gate, [TextChunk("late")], [DONE]])
    call = stubs.runs.StreamRun(pb.StreamRunRequest(agent_id=house.agent.id, run=spec()))
    metadata = dict(await call.initial_metadata())
    call.cancel()
    gate.set()
    again = stubs.runs.AttachRun(pb.AttachRunRequest(run_id=str(metadata["letta-run-id"])))
    assert "".join(event.text_delta.text for response in [r async for r in again] for event in response.events) == "late"
    assert dict(await again.initial_metadata())["letta-run-id"] == metadata["letta-run-id"]


async def test_two_readers_get_the_same_bytes_for_a_number(house: Engine, stubs: Stubs) -> None:
    house.model.turns.append(say("a", "b", "c"))
    live = stubs.runs.StreamRun(pb.StreamRunRequest(agent_id=house.agent.id, run=spec()))
    first = [event async for response in live for event in response.events]
    run_id = first[0].run_started.run.id
    for after in range(len(first) + 1):
        late = stubs.runs.AttachRun(pb.AttachRunRequest(run_id=run_id, after_sequence_number=after))
        assert [event async for response in late for event in response.events] == first[after:]


async def test_a_view_shapes_the_stream_and_not_the_log(house: Engine, stubs: Stubs) -> None:
    house.model.turns.append(say("a", "b"))
    options = pb.StreamOptions(omit_deltas=True)
    call = stubs.runs.StreamRun(pb.StreamRunRequest(agent_id=house.agent.id, run=spec(), options=options))
    kinds = [event.WhichOneof("payload") async for response in call for event in response.events]
    assert "text_delta" not in kinds
    assert kinds[-1] == "run_finished"
    run_id = dict(await call.initial_metadata())["letta-run-id"]
    listed = await stubs.runs.ListRunEvents(pb.ListRunEventsRequest(run_id=str(run_id)))
    assert "text_delta" in [event.WhichOneof("payload") for event in listed.events]


@requirement("complaint_13_silence")
async def test_silence_is_bridged_by_heartbeats(house: Engine, stubs: Stubs) -> None:
    gate = asyncio.Event()
    house.model.turns.append([gate, [DONE]])
    options = pb.StreamOptions(heartbeat_interval=Duration(seconds=1))
    call = stubs.runs.StreamRun(pb.StreamRunRequest(agent_id=house.agent.id, run=spec(), options=options))
    last = 0
    async for response in call:
        for event in response.events:
            if event.WhichOneof("payload") == "heartbeat":
                assert event.sequence_number == last
                gate.set()
            last = event.sequence_number
    assert gate.is_set()


async def test_a_run_can_be_executed_in_one_call(house: Engine, stubs: Stubs) -> None:
    house.model.turns.append(say("Hel", "lo"))
    call = stubs.runs.ExecuteRun(pb.ExecuteRunRequest(agent_id=house.agent.id, run=spec()))
    answer = await call
    assert answer.run.state == runs_pb2.RUN_STATE_COMPLETED
    assert [[part.text for part in message.content] for message in answer.messages] == [["Hello"]]
    assert dict(await call.initial_metadata())["letta-run-id"] == answer.run.id


@requirement("complaint_26_fire_and_forget")
async def test_a_created_run_goes_on_by_itself_and_a_request_id_finds_it_again(house: Engine, stubs: Stubs) -> None:
    house.model.turns.append(say("x"))
    request = pb.CreateRunRequest(agent_id=house.agent.id, run=spec(), request_id="6F1C0A52-1111-4222-8333-ABCDEFABCDEF")
    made = (await stubs.runs.CreateRun(request)).run
    executed = await stubs.runs.ExecuteRun(
        pb.ExecuteRunRequest(agent_id=house.agent.id, run=spec(), request_id="6f1c0a52-1111-4222-8333-abcdefabcdef")
    )
    assert executed.run.id == made.id
    assert (await stubs.runs.GetRun(pb.GetRunRequest(run_id=made.id))).run == executed.run
    other = await failure_of(
        stubs.runs.CreateRun(pb.CreateRunRequest(agent_id=house.agent.id, run=spec("no"), request_id=made.request_id))
    )
    assert info_of(other)[:2] == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")


async def test_the_caller_s_trace_is_stored_with_the_run_unless_an_observer_knows_better(
    house: Engine, stubs: Stubs, watched: Watched
) -> None:
    starts: list[str | None] = []
    start = house.runs.start

    async def spy(request):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - looks on and passes it on
        starts.append(request.traceparent)
        return await start(request)

    house.runs.start = spy  # type: ignore[method-assign]  # the one place where a start can be looked at
    for sent, own in ((TRACE, None), ("nonsense", None), (TRACE, TRACE.replace("01", "00"))):
        house.model.turns.append(say("x"))
        watched.traceparent = own
        await stubs.runs.ExecuteRun(
            pb.ExecuteRunRequest(agent_id=house.agent.id, run=spec()), metadata=(("traceparent", sent),)
        )
    assert starts == [TRACE, None, TRACE.replace("01", "00")]


async def test_an_observer_never_sees_a_key(house: Engine, stubs: Stubs, watched: Watched) -> None:
    await stubs.agents.GetAgent(
        agent_service_pb2.GetAgentRequest(agent_id=house.agent.id), metadata=(("authorization", "Bearer secret"), ("x", "y"))
    )
    ((method, metadata),) = watched.begun
    assert (method, metadata.get("x"), metadata.get("authorization")) == ("letta_grpc.v1.AgentService/GetAgent", "y", None)


async def test_a_cancelled_run_ends_its_stream_with_ok(house: Engine, stubs: Stubs) -> None:
    house.model.turns.append([asyncio.Event()])
    call = stubs.runs.StreamRun(pb.StreamRunRequest(agent_id=house.agent.id, run=spec()))
    run_id = str(dict(await call.initial_metadata())["letta-run-id"])
    await house.model.reached.wait()
    await stubs.runs.CancelRun(pb.CancelRunRequest(run_id=run_id))
    events = [event async for response in call for event in response.events]
    assert events[-1].run_finished.run.state == runs_pb2.RUN_STATE_CANCELLED
    assert await call.code() is grpc.StatusCode.OK


async def test_who_attaches_makes_the_log_read_nothing_twice(
    house: Engine, stubs: Stubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.play(say("x"))
    run_id = (await stubs.runs.ListRuns(pb.ListRunsRequest())).runs[0].id
    read, positions = MemoryEventLog.read, []

    async def noting(log: MemoryEventLog, run_id: RunId, after: int, max_bytes: int) -> LogPage:
        positions.append(after)
        return await read(log, run_id, after, max_bytes)

    monkeypatch.setattr(MemoryEventLog, "read", noting)
    assert [response async for response in stubs.runs.AttachRun(pb.AttachRunRequest(run_id=run_id))]
    assert positions == [0]


async def test_a_position_outside_of_the_log_is_told_with_what_there_is(house: Engine, stubs: Stubs) -> None:
    events = await house.play(say("x"))
    run_id = (await stubs.runs.ListRuns(pb.ListRunsRequest())).runs[0].id
    ahead = pb.AttachRunRequest(run_id=run_id, after_sequence_number=len(events) + 1)
    error = await failure_of(stubs.runs.AttachRun(ahead))
    assert info_of(error) == (grpc.StatusCode.OUT_OF_RANGE, "CURSOR_AHEAD", {"run_id": run_id, "last": str(len(events))})
    at_the_end = pb.AttachRunRequest(run_id=run_id, after_sequence_number=len(events))
    assert [response async for response in stubs.runs.AttachRun(at_the_end)] == []


async def test_what_does_not_exist_is_not_found(stubs: Stubs) -> None:
    for call, reason in (
        (stubs.runs.GetRun(pb.GetRunRequest(run_id=f"run-{NOBODY}")), "RUN_NOT_FOUND"),
        (stubs.runs.AttachRun(pb.AttachRunRequest(run_id=f"run-{NOBODY}")), "RUN_NOT_FOUND"),
        (stubs.runs.StreamRun(pb.StreamRunRequest(agent_id=f"agent-{NOBODY}", run=spec())), "AGENT_NOT_FOUND"),
        (stubs.agents.GetAgent(agent_service_pb2.GetAgentRequest(agent_id=f"agent-{NOBODY}")), "AGENT_NOT_FOUND"),
        (stubs.blocks.GetBlock(block_service_pb2.GetBlockRequest(block_id=f"block-{NOBODY}")), "BLOCK_NOT_FOUND"),
    ):
        assert info_of(await failure_of(call))[:2] == (grpc.StatusCode.NOT_FOUND, reason)


async def test_a_refused_request_names_all_its_fields(stubs: Stubs) -> None:
    error = await failure_of(stubs.runs.StreamRun(pb.StreamRunRequest(agent_id="ada", run=runs_pb2.RunSpec(max_steps=0))))
    assert info_of(error)[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert set(fields_of(error)) == {"agent_id", "run.messages", "run.max_steps"}


async def test_a_request_that_breaks_a_thousand_rules_still_gets_its_status(stubs: Stubs) -> None:
    broken = runs_pb2.RunSpec(messages=[messages_pb2.InputMessage()] * 1000)
    error = await failure_of(stubs.runs.CreateRun(pb.CreateRunRequest(agent_id="ada", run=broken)))
    assert info_of(error)[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert "agent_id" in fields_of(error)


async def test_the_pages_of_a_log_are_the_log(house: Engine, stubs: Stubs) -> None:
    events = await house.play(say("a", "b", "c"))
    run_id = (await stubs.runs.ListRuns(pb.ListRunsRequest())).runs[0].id
    listed: list[events_pb2.RunEvent] = []
    request = pb.ListRunEventsRequest(run_id=run_id, page_size=3)
    while True:
        page = await stubs.runs.ListRunEvents(request)
        listed += page.events
        assert 0 < len(page.events) <= 3
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert [event.sequence_number for event in listed] == list(range(1, len(events) + 1))
    rest = await stubs.runs.ListRunEvents(pb.ListRunEventsRequest(run_id=run_id, after_sequence_number=len(events)))
    assert (list(rest.events), rest.next_page_token) == ([], "")


async def test_runs_and_steps_are_listed_page_by_page(house: Engine, stubs: Stubs) -> None:
    for word in "abc":
        await house.play(say(word))
    first = await stubs.runs.ListRuns(pb.ListRunsRequest(page_size=2, agent_id=house.agent.id))
    rest = await stubs.runs.ListRuns(
        pb.ListRunsRequest(page_size=2, agent_id=house.agent.id, page_token=first.next_page_token)
    )
    assert (len(first.runs), len(rest.runs), rest.next_page_token) == (2, 1, "")
    (step,) = (await stubs.runs.ListSteps(pb.ListStepsRequest(run_id=first.runs[0].id))).steps
    assert (step.run_id, step.index, step.model) == (first.runs[0].id, 0, "test/model")


async def test_a_page_whose_messages_are_too_large_together_is_a_shorter_one(house: Engine, stubs: Stubs) -> None:
    for _ in range(5):
        await house.play(say("x" * 900_000))
    request = agent_service_pb2.ListMessagesRequest(agent_id=house.agent.id)
    lengths, sizes = [], []
    while True:
        page = await stubs.agents.ListMessages(request)
        lengths.append(len(page.messages))
        sizes.append(page.ByteSize())
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert sum(lengths) == 10
    assert max(sizes) < 4 * 1024 * 1024


async def test_an_agent_is_made_changed_listed_shown_and_removed(stubs: Stubs) -> None:
    new = agents_pb2.Agent(
        name="ada", model="test/model", tags=["x"], memory_blocks=[blocks_pb2.Block(label="human", value="Ada")]
    )
    made = (await stubs.agents.CreateAgent(agent_service_pb2.CreateAgentRequest(agent=new))).agent
    assert (made.name, made.memory_blocks[0].value, made.timezone) == ("ada", "Ada", "UTC")
    changed = await stubs.agents.UpdateAgent(
        agent_service_pb2.UpdateAgentRequest(
            agent_id=made.id, agent=agents_pb2.Agent(name="eve"), update_mask=FieldMask(paths=["name"])
        )
    )
    assert (changed.agent.name, list(changed.agent.tags)) == ("eve", ["x"])
    listed = await stubs.agents.ListAgents(agent_service_pb2.ListAgentsRequest(name="eve", tags=["x"]))
    assert [agent.id for agent in listed.agents] == [made.id]
    named = agent_service_pb2.UpdateMemoryBlockRequest(
        agent_id=made.id, label="human", block=blocks_pb2.Block(value="Eve"), update_mask=FieldMask(paths=["value"])
    )
    assert (await stubs.agents.UpdateMemoryBlock(named)).block.value == "Eve"
    block = await stubs.agents.GetMemoryBlock(agent_service_pb2.GetMemoryBlockRequest(agent_id=made.id, label="human"))
    assert block.block.value == "Eve"
    context = await stubs.agents.GetContext(agent_service_pb2.GetContextRequest(agent_id=made.id))
    assert "Eve" in context.context.system
    await stubs.agents.DeleteAgent(agent_service_pb2.DeleteAgentRequest(agent_id=made.id))
    error = await failure_of(stubs.agents.GetAgent(agent_service_pb2.GetAgentRequest(agent_id=made.id)))
    assert info_of(error)[1] == "AGENT_NOT_FOUND"


async def test_a_model_that_nobody_has_is_told(stubs: Stubs) -> None:
    request = agent_service_pb2.CreateAgentRequest(agent=agents_pb2.Agent(model="nobody/has-it"))
    error = await failure_of(stubs.agents.CreateAgent(request))
    assert info_of(error) == (grpc.StatusCode.INVALID_ARGUMENT, "MODEL_UNKNOWN", {"model": "nobody/has-it"})


async def test_a_block_is_shared_between_agents(house: Engine, stubs: Stubs) -> None:
    request = block_service_pb2.CreateBlockRequest(block=blocks_pb2.Block(label="team", value="we"))
    made = (await stubs.blocks.CreateBlock(request)).block
    attach = block_service_pb2.AttachBlockRequest(agent_id=house.agent.id, block_id=made.id)
    assert [block.id for block in (await stubs.blocks.AttachBlock(attach)).agent.memory_blocks] == [made.id]
    update = block_service_pb2.UpdateBlockRequest(
        block_id=made.id, block=blocks_pb2.Block(value="all"), update_mask=FieldMask(paths=["value"])
    )
    assert (await stubs.blocks.UpdateBlock(update)).block.value == "all"
    listed = await stubs.blocks.ListBlocks(block_service_pb2.ListBlocksRequest(agent_id=house.agent.id, label="team"))
    assert [block.value for block in listed.blocks] == ["all"]
    detach = block_service_pb2.DetachBlockRequest(agent_id=house.agent.id, block_id=made.id)
    assert list((await stubs.blocks.DetachBlock(detach)).agent.memory_blocks) == []
    await stubs.blocks.DeleteBlock(block_service_pb2.DeleteBlockRequest(block_id=made.id))
    assert list((await stubs.blocks.ListBlocks(block_service_pb2.ListBlocksRequest())).blocks) == []


async def test_a_conversation_has_a_history_of_its_own(house: Engine, stubs: Stubs) -> None:
    new = conversations_pb2.Conversation(title="aside", metadata={"a": "b"})
    request = conversation_service_pb2.CreateConversationRequest(agent_id=house.agent.id, conversation=new)
    made = (await stubs.conversations.CreateConversation(request)).conversation
    house.model.turns.append(say("x"))
    await stubs.runs.ExecuteRun(pb.ExecuteRunRequest(agent_id=house.agent.id, conversation_id=made.id, run=spec()))
    for conversation_id, count in ((made.id, 2), ("default", 0)):
        messages = agent_service_pb2.ListMessagesRequest(agent_id=house.agent.id, conversation_id=conversation_id)
        assert len((await stubs.agents.ListMessages(messages)).messages) == count
    renamed = conversation_service_pb2.UpdateConversationRequest(
        conversation_id=made.id, conversation=conversations_pb2.Conversation(title="b"), update_mask=FieldMask(paths=["title"])
    )
    assert (await stubs.conversations.UpdateConversation(renamed)).conversation.title == "b"
    got = await stubs.conversations.GetConversation(conversation_service_pb2.GetConversationRequest(conversation_id=made.id))
    assert (got.conversation.title, dict(got.conversation.metadata)) == ("b", {"a": "b"})
    listing = conversation_service_pb2.ListConversationsRequest(agent_id=house.agent.id)
    listed = (await stubs.conversations.ListConversations(listing)).conversations
    assert [one.is_default for one in listed] == [True, False]
    await stubs.conversations.DeleteConversation(conversation_service_pb2.DeleteConversationRequest(conversation_id=made.id))
    error = await failure_of(
        stubs.conversations.DeleteConversation(
            conversation_service_pb2.DeleteConversationRequest(conversation_id=listed[0].id)
        )
    )
    assert info_of(error)[:2] == (grpc.StatusCode.FAILED_PRECONDITION, "RESOURCE_IN_USE")


async def test_models_and_providers_are_listed(stubs: Stubs) -> None:
    models = await stubs.models.ListModels(model_service_pb2.ListModelsRequest())
    assert [model.handle for model in models.models] == ["test/model"]
    providers = await stubs.models.ListProviders(model_service_pb2.ListProvidersRequest())
    assert [provider.name for provider in providers.providers] == ["test"]


async def test_the_server_goes_on_while_an_agents_file_is_written(house: Engine, stubs: Stubs) -> None:
    await house.database.agents.update(house.agent.id, {"tags": ReadAside(["b"])}, house.clock.now())
    file = (await stubs.agents.ExportAgent(agent_service_pb2.ExportAgentRequest(agent_id=house.agent.id))).file
    assert list(file.agent.tags) == ["b"]


async def test_the_server_goes_on_while_an_agents_file_is_read(
    house: Engine, stubs: Stubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = (await stubs.agents.ExportAgent(agent_service_pb2.ExportAgentRequest(agent_id=house.agent.id))).file
    aside = ReadAside([import_from_pb])

    def reading(request: agent_service_pb2.ImportAgentRequest) -> ImportRequest:
        (read,) = aside
        return read(request)

    monkeypatch.setattr(agent_rpcs, "import_from_pb", reading)
    agent = (await stubs.agents.ImportAgent(agent_service_pb2.ImportAgentRequest(file=file))).agent
    assert agent.id != house.agent.id
