"""Blocks that several agents have: everybody sees every edit, and no edit is lost, whoever makes it."""

import asyncio
import json

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from letta_grpc.v1 import agent_service_pb2, block_service_pb2, blocks_pb2, messages_pb2
from tests.requirements.registry import requirement
from tests.support.houses import Talk, Wire, talk
from tests.support.upstream import Upstream
from tests.support.wires import failure_of, info_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

TOOLS = ["memory_insert", "memory_replace", "memory_rethink"]


async def new_block(wire: Wire, value: str = "", label: str = "team", **fields: int | bool) -> blocks_pb2.Block:
    new = blocks_pb2.Block(label=label, value=value, **fields)  # type: ignore[arg-type]  # by name
    return (await wire.blocks.CreateBlock(block_service_pb2.CreateBlockRequest(block=new))).block


async def block_of(wire: Wire, block: blocks_pb2.Block) -> blocks_pb2.Block:
    return (await wire.blocks.GetBlock(block_service_pb2.GetBlockRequest(block_id=block.id))).block


async def sharer(wire: Wire, block: blocks_pb2.Block, model: str = "scripted/script") -> Talk:
    return await talk(wire, model, TOOLS, memory_blocks=[blocks_pb2.Block(id=block.id)])


def edit(tool: str, **arguments: str) -> str:
    """What a scripted model is told to do to the block."""
    return json.dumps([[{"tool_call": {"name": tool, "arguments": {"label": "team", **arguments}}}], [{"text": "done"}]])


def update_of(block: blocks_pb2.Block, value: str, version: int | None = None) -> block_service_pb2.UpdateBlockRequest:
    return block_service_pb2.UpdateBlockRequest(
        block_id=block.id,
        block=blocks_pb2.Block(value=value),
        update_mask=FieldMask(paths=["value"]),
        expected_version=version,
    )


async def last_return(one: Talk) -> messages_pb2.ToolReturn:
    return [returned for message in await one.history() for returned in message.tool_returns][-1]


@requirement("block_concurrent")
async def test_lines_that_many_agents_and_a_caller_add_at_once_are_all_there(wire: Wire) -> None:
    block = await new_block(wire, "begin")
    agents = [await sharer(wire, block) for _ in range(8)]

    async def add_by_call(line: str) -> None:
        while True:
            stored = await block_of(wire, block)
            try:
                await wire.blocks.UpdateBlock(update_of(block, f"{stored.value}\n{line}", stored.version))
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.ABORTED:
                    raise
            else:
                return

    async def add_by_tool(agent: Talk, line: str) -> None:
        await agent.ask(edit("memory_insert", text=line))
        assert (await last_return(agent)).status == messages_pb2.TOOL_RETURN_STATUS_SUCCESS

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for number, agent in enumerate(agents):
            group.create_task(add_by_tool(agent, f"agent {number}"))
        for number in range(4):
            group.create_task(add_by_call(f"caller {number}"))
    lines = (await block_of(wire, block)).value.split("\n")
    assert lines[0] == "begin"
    wanted = [*(f"agent {number}" for number in range(8)), *(f"caller {number}" for number in range(4))]
    assert sorted(lines[1:]) == wanted


@requirement("block_shared")
async def test_what_one_agent_writes_is_in_the_next_context_of_the_other(wire: Wire, upstream: Upstream) -> None:
    block = await new_block(wire, "red")
    writer, reader = await sharer(wire, block), await sharer(wire, block, "up/echo")
    for value in ("red", "blue", "green"):
        await writer.ask(edit("memory_rethink", new_value=value))
        await upstream.reset()
        await reader.ask("hi")
        system = (await upstream.state()).requests[-1]["body"]["messages"][0]["content"]
        assert f"\n{value}\n</block>" in system


@requirement("block_version")
async def test_a_change_of_another_version_than_the_one_that_stands_is_refused(wire: Wire) -> None:
    block = await new_block(wire, "one")
    assert block.version == 1
    changed = (await wire.blocks.UpdateBlock(update_of(block, "two", 1))).block
    assert (changed.value, changed.version) == ("two", 2)
    error = await failure_of(wire.blocks.UpdateBlock(update_of(block, "three", 1)))
    assert info_of(error) == (grpc.StatusCode.ABORTED, "CONCURRENT_CHANGE", {"block_id": block.id})
    by_label = agent_service_pb2.UpdateMemoryBlockRequest(
        agent_id=(await sharer(wire, block)).agent_id,
        label="team",
        block=blocks_pb2.Block(value="four"),
        update_mask=FieldMask(paths=["value"]),
        expected_version=1,
    )
    assert info_of(await failure_of(wire.agents.UpdateMemoryBlock(by_label)))[1] == "CONCURRENT_CHANGE"
    assert await block_of(wire, block) == changed
    by_label.expected_version = 2
    assert (await wire.agents.UpdateMemoryBlock(by_label)).block.version == 3
    assert (await wire.blocks.UpdateBlock(update_of(block, "whatever"))).block.version == 4
    assert info_of(await failure_of(wire.blocks.UpdateBlock(update_of(block, "five", 0))))[1] == "INVALID_REQUEST"


@pytest.mark.parametrize("label", ["project/patterns/approval", "/notes//"])
async def test_a_label_may_have_slashes(wire: Wire, label: str) -> None:
    block = await new_block(wire, label=label, value="Ask first.")
    agent_id = (await sharer(wire, block)).agent_id
    request = agent_service_pb2.GetMemoryBlockRequest(agent_id=agent_id, label=label)
    assert (await wire.agents.GetMemoryBlock(request)).block == block
    update = agent_service_pb2.UpdateMemoryBlockRequest(
        agent_id=agent_id, label=label, block=blocks_pb2.Block(value="Never."), update_mask=FieldMask(paths=["value"])
    )
    assert (await wire.agents.UpdateMemoryBlock(update)).block.value == "Never."


@requirement("block_read_only")
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("memory_insert", {"text": "mine"}),
        ("memory_replace", {"old_text": "law", "new_text": "mine"}),
        ("memory_rethink", {"new_value": "mine"}),
    ],
)
async def test_no_tool_edits_a_read_only_block_and_the_api_does(wire: Wire, tool: str, arguments: dict[str, str]) -> None:
    block = await new_block(wire, "the law", read_only=True)
    one = await sharer(wire, block)
    await one.ask(edit(tool, **arguments))
    returned = await last_return(one)
    assert returned.status == messages_pb2.TOOL_RETURN_STATUS_ERROR
    assert "read-only" in returned.text
    assert (await block_of(wire, block)).value == "the law"
    await wire.blocks.UpdateBlock(update_of(block, "the new law"))
    assert (await block_of(wire, block)).value == "the new law"


@requirement("block_limit")
async def test_a_tool_is_told_by_how_much_its_text_is_too_long(wire: Wire) -> None:
    block = await new_block(wire, "12345", limit=10)
    one = await sharer(wire, block)
    for script in (
        edit("memory_insert", text="6789012"),
        edit("memory_rethink", new_value="x" * 13),
        edit("memory_replace", old_text="5", new_text="678901234"),
    ):
        await one.ask(script)
        returned = await last_return(one)
        assert returned.status == messages_pb2.TOOL_RETURN_STATUS_ERROR
        assert "would have 13 characters, 3 more than its limit of 10" in returned.text
    assert (await block_of(wire, block)).value == "12345"
