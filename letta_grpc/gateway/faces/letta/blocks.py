"""Memory blocks as resources of their own."""

from collections.abc import Sequence

from google.protobuf.field_mask_pb2 import FieldMask

from letta_grpc.gateway.faces.letta.fields import Body
from letta_grpc.gateway.faces.letta.ids import checked_id
from letta_grpc.gateway.faces.letta.operations import Ask, Json, Operation
from letta_grpc.gateway.faces.letta.pages import listed
from letta_grpc.gateway.faces.letta.shapes.blocks import block_json
from letta_grpc.gateway.faces.letta.wishes import filled_block, new_block
from letta_grpc.v1 import block_service_pb2 as pb
from letta_grpc.v1 import blocks_pb2

_CHANGEABLE = ("label", "value", "description", "limit", "read_only", "metadata")


async def create(ask: Ask) -> Json:
    """Make a block."""
    request = pb.CreateBlockRequest(block=new_block(ask.body))
    return block_json((await ask.call(ask.services.blocks.CreateBlock, request)).block)


async def retrieve(ask: Ask) -> Json:
    """Show a block."""
    request = pb.GetBlockRequest(block_id=_block_id(ask))
    return block_json((await ask.call(ask.services.blocks.GetBlock, request)).block)


async def list_blocks(ask: Ask) -> Json:
    """List blocks. Searches in their texts narrow page by page."""
    request = pb.ListBlocksRequest(label=ask.query("label") or "")
    searches = [(name, (ask.query(f"{name}_search") or "").lower()) for name in ("label", "value", "description")]

    def fits(block: blocks_pb2.Block) -> list[Json]:
        return [block_json(block)] if all(words in getattr(block, name).lower() for name, words in searches) else []

    async def fetch(part: pb.ListBlocksRequest) -> tuple[Sequence[blocks_pb2.Block], str]:
        page = await ask.call(ask.services.blocks.ListBlocks, part)
        return page.blocks, page.next_page_token

    return await listed(ask, request, fetch, fits)


async def count(ask: Ask) -> Json:
    """Count blocks."""
    request, found = pb.ListBlocksRequest(page_size=1000), 0
    while True:
        page = await ask.call(ask.services.blocks.ListBlocks, request)
        found += len(page.blocks)
        request.page_token = page.next_page_token
        if not request.page_token:
            return found


async def update(ask: Ask) -> Json:
    """Change what the body names."""
    block, names = block_changes(ask.body)
    if not names:
        return await retrieve(ask)
    request = pb.UpdateBlockRequest(block_id=_block_id(ask), block=block, update_mask=FieldMask(paths=names))
    return block_json((await ask.call(ask.services.blocks.UpdateBlock, request)).block)


async def delete(ask: Ask) -> Json:
    """Remove a block."""
    block_id = _block_id(ask)
    await ask.call(ask.services.blocks.DeleteBlock, pb.DeleteBlockRequest(block_id=block_id))
    return {"message": f"Block id={block_id} successfully deleted"}


def block_changes(body: Body) -> tuple[blocks_pb2.Block, list[str]]:
    """Return new values of a block's fields, and which fields those are. What is null is left. Raises Failure."""
    return filled_block(body), [name for name in _CHANGEABLE if body.get(name) is not None]


def _block_id(ask: Ask) -> str:
    return checked_id("block", ask.path("block_id"))


OPERATIONS: Sequence[Operation] = (
    Operation("POST", "/v1/blocks/", create),
    Operation("GET", "/v1/blocks/", list_blocks),
    Operation("GET", "/v1/blocks/count", count),
    Operation("GET", "/v1/blocks/{block_id}", retrieve),
    Operation("PATCH", "/v1/blocks/{block_id}", update),
    Operation("DELETE", "/v1/blocks/{block_id}", delete),
)
