"""BlockService."""

# ruff: noqa: N802 - methods are named as the contract names them

from letta_grpc.engine.blocks import Blocks
from letta_grpc.transport.convert.agents import agent_to_pb
from letta_grpc.transport.convert.blocks import (
    attachment_from_pb,
    block_id_from_pb,
    block_to_pb,
    block_update_from_pb,
    blocks_query_from_pb,
    new_block_from_pb,
)
from letta_grpc.transport.convert.paging import token_of
from letta_grpc.transport.methods import Call
from letta_grpc.transport.rpc.pages import fitting
from letta_grpc.v1 import block_service_pb2 as pb


class BlockServicer:
    """Keeps memory blocks."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks

    async def CreateBlock(self, request: pb.CreateBlockRequest, _call: Call) -> pb.CreateBlockResponse:
        """Make a block."""
        return pb.CreateBlockResponse(block=block_to_pb(await self._blocks.create(new_block_from_pb(request))))

    async def GetBlock(self, request: pb.GetBlockRequest, _call: Call) -> pb.GetBlockResponse:
        """Return a block."""
        return pb.GetBlockResponse(block=block_to_pb(await self._blocks.get(block_id_from_pb(request))))

    async def ListBlocks(self, request: pb.ListBlocksRequest, _call: Call) -> pb.ListBlocksResponse:
        """Return a page of blocks."""
        page, label, agent_id = blocks_query_from_pb(request)
        found = await fitting(
            page,
            lambda part: self._blocks.list(part, label=label, agent_id=agent_id, unattached=request.unattached),
            block_to_pb,
        )
        return pb.ListBlocksResponse(blocks=found.items, next_page_token=token_of(found.next))

    async def UpdateBlock(self, request: pb.UpdateBlockRequest, _call: Call) -> pb.UpdateBlockResponse:
        """Change a block."""
        block_id, changes, version = block_update_from_pb(request)
        return pb.UpdateBlockResponse(block=block_to_pb(await self._blocks.update(block_id, changes, version)))

    async def DeleteBlock(self, request: pb.DeleteBlockRequest, _call: Call) -> pb.DeleteBlockResponse:
        """Remove a block."""
        await self._blocks.delete(block_id_from_pb(request))
        return pb.DeleteBlockResponse()

    async def AttachBlock(self, request: pb.AttachBlockRequest, _call: Call) -> pb.AttachBlockResponse:
        """Put a block into an agent's memory."""
        agent_id, block_id = attachment_from_pb(request)
        return pb.AttachBlockResponse(agent=agent_to_pb(await self._blocks.attach(agent_id, block_id)))

    async def DetachBlock(self, request: pb.DetachBlockRequest, _call: Call) -> pb.DetachBlockResponse:
        """Take a block out of an agent's memory."""
        agent_id, block_id = attachment_from_pb(request)
        return pb.DetachBlockResponse(agent=agent_to_pb(await self._blocks.detach(agent_id, block_id)))
