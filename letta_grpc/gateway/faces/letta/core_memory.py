"""Core memory: the blocks of an agent, by label."""

from collections.abc import Sequence
from urllib.parse import unquote

from google.protobuf.field_mask_pb2 import FieldMask

from letta_grpc.gateway.faces.letta.agents import agent_of, shown
from letta_grpc.gateway.faces.letta.blocks import block_changes
from letta_grpc.gateway.faces.letta.operations import Ask, Json, Operation
from letta_grpc.gateway.faces.letta.pages import fetch_of, listed
from letta_grpc.gateway.faces.letta.shapes.agents import agent_json
from letta_grpc.gateway.faces.letta.shapes.blocks import block_json
from letta_grpc.gateway.faces.letta.targets import agent_in
from letta_grpc.v1 import agent_service_pb2 as pb
from letta_grpc.v1 import block_service_pb2


async def memory(ask: Ask) -> Json:
    """Show the memory of an agent."""
    return agent_json(await agent_of(ask))["memory"]


async def list_blocks(ask: Ask) -> Json:
    """List the blocks of an agent."""
    request = block_service_pb2.ListBlocksRequest(agent_id=agent_in(ask).agent_id)
    fetch = fetch_of(ask, ask.services.blocks.ListBlocks, lambda page: page.blocks)
    return await listed(ask, request, fetch, lambda block: [block_json(block)], order="asc", limit=100)


async def retrieve_block(ask: Ask) -> Json:
    """Show the block under a label."""
    request = pb.GetMemoryBlockRequest(agent_id=agent_in(ask).agent_id, label=_label(ask))
    return block_json((await ask.call(ask.services.agents.GetMemoryBlock, request)).block)


async def update_block(ask: Ask) -> Json:
    """Change the block under a label."""
    block, names = await ask.aside(block_changes, ask.body)
    if not names:
        return await retrieve_block(ask)
    request = pb.UpdateMemoryBlockRequest(
        agent_id=agent_in(ask).agent_id, label=_label(ask), block=block, update_mask=FieldMask(paths=names)
    )
    return block_json((await ask.call(ask.services.agents.UpdateMemoryBlock, request)).block)


async def attach(ask: Ask) -> Json:
    """Put a block into an agent's memory."""
    if _is_label(ask):
        return await update_block(ask)
    request = block_service_pb2.AttachBlockRequest(agent_id=agent_in(ask).agent_id, block_id=ask.path_id("block"))
    return await shown(ask, (await ask.call(ask.services.blocks.AttachBlock, request)).agent)


async def detach(ask: Ask) -> Json:
    """Take a block out of an agent's memory."""
    if _is_label(ask):
        return await update_block(ask)
    request = block_service_pb2.DetachBlockRequest(agent_id=agent_in(ask).agent_id, block_id=ask.path_id("block"))
    return await shown(ask, (await ask.call(ask.services.blocks.DetachBlock, request)).agent)


def _raw_label(ask: Ask) -> str:
    raw: str = ask.request.scope["raw_path"].decode("latin-1").partition("/core-memory/blocks/")[2]
    return raw


def _label(ask: Ask) -> str:
    """Return the label that the path names. Its slashes are its own, but for a bare one at the end: any path may have one."""
    return unquote(_raw_label(ask).removesuffix("/"))


def _is_label(ask: Ask) -> bool:
    """Say whether a path that looks like attaching names a label, as `attach/me`: the SDKs write the slashes of one as %2F."""
    return "/" not in _raw_label(ask).removesuffix("/")


_MEMORY = "/v1/agents/{agent_id}/core-memory"
OPERATIONS: Sequence[Operation] = (
    Operation("GET", _MEMORY, memory),
    Operation("GET", f"{_MEMORY}/blocks", list_blocks),
    Operation("PATCH", f"{_MEMORY}/blocks/attach/{{block_id}}", attach),
    Operation("PATCH", f"{_MEMORY}/blocks/detach/{{block_id}}", detach),
    Operation("GET", f"{_MEMORY}/blocks/{{block_label:path}}", retrieve_block),
    Operation("PATCH", f"{_MEMORY}/blocks/{{block_label:path}}", update_block),
)
