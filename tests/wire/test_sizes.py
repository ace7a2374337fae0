"""No answer is larger than what clients take by default, which is 4 MiB; these clients take exactly that."""

import json
from typing import Any

import grpc
import pytest

from letta_grpc.domain.blocks import MAX_AGENT_BLOCK_LIMITS, MAX_AGENT_BLOCKS
from letta_grpc.v1 import (
    agent_service_pb2,
    agents_pb2,
    block_service_pb2,
    blocks_pb2,
    events_pb2,
    messages_pb2,
    run_service_pb2,
    runs_pb2,
)
from tests.requirements.registry import requirement
from tests.support.houses import Wire, run_of, said, spec_of, talk
from tests.support.wires import failure_of, fields_of, info_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

WHAT_CLIENTS_TAKE = 4 * 2**20
LARGE = "x" * 300_000
# So much that nothing is ever left out of a context.
ROOM = 2**31 - 1


@requirement("sizes")
async def test_a_history_of_large_messages_comes_in_shorter_pages(wire: Wire) -> None:
    one = await talk(wire, context_window=ROOM)
    for _ in range(6):
        await one.ask(*[LARGE] * 2, model="up/nothing")
    pages: list[list[messages_pb2.Message]] = []
    token = ""
    while not pages or token:
        request = agent_service_pb2.ListMessagesRequest(agent_id=one.agent_id, page_size=1000, page_token=token)
        page = await wire.agents.ListMessages(request)
        assert page.ByteSize() < WHAT_CLIENTS_TAKE
        pages.append(list(page.messages))
        token = page.next_page_token
    assert [message.content[0].text for page in pages for message in page] == [LARGE] * 12
    assert len(pages) > 1
    assert all(pages)


@requirement("sizes")
async def test_the_log_of_large_answers_comes_in_shorter_pages_and_responses(wire: Wire) -> None:
    one = await talk(wire, "up/huge")
    run = run_of(await one.ask("go"))
    call = wire.runs.AttachRun(run_service_pb2.AttachRunRequest(run_id=run.id))
    responses = [response async for response in call]
    assert max(response.ByteSize() for response in responses) < WHAT_CLIENTS_TAKE
    followed = [event for response in responses for event in response.events]
    listed: list[events_pb2.RunEvent] = []
    token = ""
    while not listed or token:
        request = run_service_pb2.ListRunEventsRequest(run_id=run.id, page_size=1000, page_token=token)
        page = await wire.runs.ListRunEvents(request)
        assert page.ByteSize() < WHAT_CLIENTS_TAKE
        listed += page.events
        token = page.next_page_token
    assert listed == followed


@requirement("sizes", "model_failure_keeps")
async def test_an_answer_that_is_too_large_for_any_client_is_cut_before_it_is_stored(wire: Wire) -> None:
    one = await talk(wire, "up/huge-5000000", context_window=ROOM)
    events = await one.ask("go")
    error = run_of(events).error
    assert (error.reason, error.message) == ("INVALID_MODEL_OUTPUT", "The model's answer is longer than 400000 characters.")
    assert [len(text) for _, text in said(await one.history())] == [2, 400_000]
    call = wire.runs.AttachRun(run_service_pb2.AttachRunRequest(run_id=run_of(events).id))
    assert [event async for response in call for event in response.events] == events
    await one.goes_on()


@requirement("sizes")
async def test_a_run_of_large_answers_is_executed_and_its_newest_messages_are_sent(wire: Wire) -> None:
    one = await talk(wire, "scripted/script", ["conversation_search"], context_window=ROOM)
    step = [
        {"repeat": 380, "text": "\U0001f600" * 1000},
        {"tool_call": {"name": "conversation_search", "arguments": {"query": "zz"}}},
    ]
    run = spec_of(json.dumps([step] * 3 + [[{"text": "end"}]], ensure_ascii=False))
    sent = await wire.runs.ExecuteRun(run_service_pb2.ExecuteRunRequest(agent_id=one.agent_id, run=run))
    assert sent.run.state == runs_pb2.RUN_STATE_COMPLETED
    assert sent.ByteSize() < WHAT_CLIENTS_TAKE
    assert said(sent.messages)[-1] == ("ASSISTANT", "end")
    history = await one.history()
    assert 1 < len(sent.messages) < len(history) - 1
    assert list(sent.messages) == history[-len(sent.messages) :]


@requirement("sizes")
async def test_runs_with_much_metadata_come_in_shorter_pages(wire: Wire) -> None:
    one = await talk(wire)
    metadata = {str(number): "m" * 1000 for number in range(64)}
    for _ in range(70):
        await wire.runs.ExecuteRun(
            run_service_pb2.ExecuteRunRequest(agent_id=one.agent_id, run=spec_of("go", metadata=metadata))
        )
    runs: list[runs_pb2.Run] = []
    token, pages = "", 0
    while not runs or token:
        request = run_service_pb2.ListRunsRequest(agent_id=one.agent_id, page_size=1000, page_token=token)
        page = await wire.runs.ListRuns(request)
        assert page.ByteSize() < WHAT_CLIENTS_TAKE
        runs += page.runs
        token, pages = page.next_page_token, pages + 1
    assert len({run.id for run in runs}) == len(runs) == 70
    assert pages > 1


@requirement("sizes")
async def test_what_cannot_come_in_pages_is_refused_in_words_when_it_is_too_large(wire: Wire) -> None:
    one = await talk(wire, context_window=ROOM)
    shown = agent_service_pb2.GetContextRequest(agent_id=one.agent_id)
    await one.ask(*[LARGE] * 10, model="up/nothing")
    assert len((await wire.agents.GetContext(shown)).context.messages) == 10
    await one.ask(*[LARGE] * 10, model="up/nothing")
    error = await failure_of(wire.agents.GetContext(shown))
    code, reason, facts = info_of(error)
    assert (code, reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE")
    assert int(facts["size"]) > int(facts["limit"])
    shown.read_mask.paths.append("parts")
    assert {part.name for part in (await wire.agents.GetContext(shown)).context.parts if part.estimated_tokens} >= {"messages"}
    await one.goes_on()


def large_block(index: int, limit: int) -> blocks_pb2.Block:
    """A block that is as large as one of this limit can be; each character takes four bytes."""
    metadata = {f"{number:02}": "m" * 126 for number in range(64)}
    return blocks_pb2.Block(label=f"{index:064}", value="𝄞" * limit, limit=limit, description="𝄞" * 4096, metadata=metadata)


def large_agent() -> agents_pb2.Agent:
    """An agent that is at every one of its limits."""
    rest = MAX_AGENT_BLOCKS - 4
    limits = [100_000] * 4 + [(MAX_AGENT_BLOCK_LIMITS - 400_000) // rest] * rest
    return agents_pb2.Agent(
        name="𝄞" * 256,
        description="𝄞" * 4096,
        system="𝄞" * (262_144 // 4),
        model="scripted/echo",
        tags=["𝄞" * 254 + f"{number:02}" for number in range(64)],
        metadata={f"{number:02}": "m" * 1022 for number in range(64)},
        memory_blocks=[large_block(index, limit) for index, limit in enumerate(limits)],
        secrets={f"{number:02}" + "s" * 1022: "" for number in range(64)},
        tool_approvals={"𝄞" * 62 + f"{number:02}": True for number in range(64)},
        tool_rules=[large_rule(1000)] * 64,
    )


def large_rule(size: int) -> agents_pb2.ToolRule:
    """A rule of about so many bytes."""
    rule = agents_pb2.ConstrainChildRule(children=["b"], arguments={"b": json.dumps({"c": "x" * (size - 32)})})
    return agents_pb2.ToolRule(tool="a", constrain_child=rule)


@requirement("sizes")
async def test_an_agent_at_all_its_limits_comes_through(wire: Wire) -> None:
    new = large_agent()
    made = (await wire.agents.CreateAgent(agent_service_pb2.CreateAgentRequest(agent=new))).agent
    assert [block.value for block in made.memory_blocks] == [block.value for block in new.memory_blocks]
    got = await wire.agents.GetAgent(agent_service_pb2.GetAgentRequest(agent_id=made.id))
    assert got.agent == made
    assert 3.5 * 2**20 < got.ByteSize() < WHAT_CLIENTS_TAKE
    listed = await wire.agents.ListAgents(agent_service_pb2.ListAgentsRequest(name=new.name, page_size=1000))
    assert list(listed.agents) == [made]
    shown = await wire.blocks.GetBlock(block_service_pb2.GetBlockRequest(block_id=made.memory_blocks[0].id))
    assert shown.block == made.memory_blocks[0]
    await wire.agents.DeleteAgent(agent_service_pb2.DeleteAgentRequest(agent_id=made.id))


@requirement("sizes")
@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("agent.description", {"description": "x" * 4097}),
        ("agent.system", {"system": "x" * 262_145}),
        ("agent.memory_blocks[0].limit", {"memory_blocks": [blocks_pb2.Block(label="b", limit=100_001)]}),
        ("agent.memory_blocks[0].description", {"memory_blocks": [blocks_pb2.Block(label="b", description="x" * 4097)]}),
        ("agent.memory_blocks[0].metadata", {"memory_blocks": [blocks_pb2.Block(label="b", metadata={"k": "m" * 8192})]}),
        ("agent.memory_blocks", {"memory_blocks": [blocks_pb2.Block(label=f"b{n}", limit=100_000) for n in range(6)]}),
        ("agent.memory_blocks", {"memory_blocks": [blocks_pb2.Block(label=f"b{n}", limit=1) for n in range(65)]}),
        ("agent.tools", {"tools": ["any"] * 65}),
        ("agent.tool_rules", {"tool_rules": [large_rule(5000)] * 20}),
        ("agent.tool_approvals", {"tool_approvals": {"x" * 65: True}}),
    ],
)
async def test_an_agent_beyond_a_limit_is_refused_by_its_field(wire: Wire, path: str, more: dict[str, Any]) -> None:
    new = agents_pb2.Agent(model="scripted/echo", **more)
    error = await failure_of(wire.agents.CreateAgent(agent_service_pb2.CreateAgentRequest(agent=new)))
    assert info_of(error)[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert path in fields_of(error)
