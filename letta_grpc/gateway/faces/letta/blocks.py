"""Memory blocks as resources of their own."""

import re
from collections import Counter
from collections.abc import Callable, Sequence

from google.protobuf.field_mask_pb2 import FieldMask

from letta_grpc.gateway.faces.letta.agent_requests import filled_block, new_block
from letta_grpc.gateway.faces.letta.agents import every_agent
from letta_grpc.gateway.faces.letta.errors import unprocessable
from letta_grpc.gateway.faces.letta.fields import Body
from letta_grpc.gateway.faces.letta.limits import LARGEST
from letta_grpc.gateway.faces.letta.operations import Ask, Json, Operation
from letta_grpc.gateway.faces.letta.pages import Fetch, count_of, fetch_of, listed
from letta_grpc.gateway.faces.letta.shapes.blocks import block_json
from letta_grpc.v1 import block_service_pb2 as pb
from letta_grpc.v1 import blocks_pb2

# What no block here has: who asks for it finds none.
_NONE_HAS = ("identity_id", "identifier_keys", "name", "tags")
_CHANGEABLE = ("label", "value", "description", "limit", "read_only", "metadata")


async def create(ask: Ask) -> Json:
    """Make a block."""
    block = await ask.aside(new_block, ask.body)
    if not block.HasField("limit"):
        block.limit = LARGEST
    request = pb.CreateBlockRequest(block=block)
    return block_json((await ask.call(ask.services.blocks.CreateBlock, request)).block)


async def retrieve(ask: Ask) -> Json:
    """Show a block."""
    request = pb.GetBlockRequest(block_id=ask.path_id("block"))
    return block_json((await ask.call(ask.services.blocks.GetBlock, request)).block)


async def list_blocks(ask: Ask) -> Json:
    """List blocks. What the contract cannot narrow is narrowed page by page."""
    if ask.flag("templates_only") or any(ask.queries(name) for name in _NONE_HAS):
        return []
    request = pb.ListBlocksRequest(label=ask.query("label") or "")
    is_shared_so = await _sharing(ask)
    searches = [(name, (ask.query(f"{name}_search") or "").lower()) for name in ("label", "value", "description")]

    def fits(block: blocks_pb2.Block) -> list[Json]:
        has_words = all(words in getattr(block, name).lower() for name, words in searches)
        return [block_json(block)] if has_words and is_shared_so(block) else []

    return await listed(ask, request, _fetch(ask), fits)


async def _sharing(ask: Ask) -> Callable[[blocks_pb2.Block], bool]:
    """Return what a query says of how many agents have a block. Only then are the agents read, all of them."""
    more_than, fewer_than, exactly = (_counts(ask, f"connected_to_agents_count_{name}") for name in ("gt", "lt", "eq"))
    if not (more_than or fewer_than or exactly):
        return lambda _block: True
    agents_of = Counter([block.id async for agent in every_agent(ask) for block in agent.memory_blocks])

    def fits(block: blocks_pb2.Block) -> bool:
        agents = agents_of[block.id]
        return (
            all(agents > number for number in more_than)
            and all(agents < number for number in fewer_than)
            and (not exactly or agents in exactly)
        )

    return fits


def _counts(ask: Ask, name: str) -> Sequence[int]:
    given = ask.queries(name)
    if not all(re.fullmatch("[0-9]{1,9}", text) for text in given):
        raise unprocessable(name, "must be a number from 0 on", "query")
    return [int(text) for text in given]


async def count(ask: Ask) -> Json:
    """Count blocks."""
    return await count_of(pb.ListBlocksRequest(), _fetch(ask))


def _fetch(ask: Ask) -> Fetch[pb.ListBlocksRequest, blocks_pb2.Block]:
    return fetch_of(ask, ask.services.blocks.ListBlocks, lambda page: page.blocks)


async def update(ask: Ask) -> Json:
    """Change what the body names."""
    block, names = await ask.aside(block_changes, ask.body)
    if not names:
        return await retrieve(ask)
    request = pb.UpdateBlockRequest(block_id=ask.path_id("block"), block=block, update_mask=FieldMask(paths=names))
    return block_json((await ask.call(ask.services.blocks.UpdateBlock, request)).block)


async def delete(ask: Ask) -> Json:
    """Remove a block."""
    block_id = ask.path_id("block")
    await ask.call(ask.services.blocks.DeleteBlock, pb.DeleteBlockRequest(block_id=block_id))
    return {"message": f"Block id={block_id} successfully deleted"}


def block_changes(body: Body) -> tuple[blocks_pb2.Block, list[str]]:
    """Return new values of a block's fields, and which fields those are. What is null is left. Raises Failure."""
    return filled_block(body), [name for name in _CHANGEABLE if body.get(name) is not None]


OPERATIONS: Sequence[Operation] = (
    Operation(
        "POST",
        "/v1/blocks/",
        create,
        differs="`tags`, `hidden`, templates and projects are ignored; a `limit` is at most 100000, and those of an agent's "
        "blocks are at most 500000 together",
    ),
    Operation("GET", "/v1/blocks/", list_blocks, differs="no block has tags, a template or an identity: none is found by one"),
    Operation("GET", "/v1/blocks/count", count),
    Operation("GET", "/v1/blocks/{block_id}", retrieve),
    Operation("PATCH", "/v1/blocks/{block_id}", update),
    Operation("DELETE", "/v1/blocks/{block_id}", delete),
)
