"""`client.blocks`: the calls of BlockService, as methods."""

from collections.abc import AsyncGenerator, Mapping

from letta_grpc.client._async.connection import Connection
from letta_grpc.client.requests import change
from letta_grpc.client.values import texts
from letta_grpc.v1 import agents_pb2, block_service_pb2, block_service_pb2_grpc, blocks_pb2


class Blocks:
    """`client.blocks`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = block_service_pb2_grpc.BlockServiceStub(connection.channel)

    async def create(
        self,
        *,
        label: str,
        value: str = "",
        description: str | None = None,
        limit: int | None = None,
        read_only: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> blocks_pb2.Block:
        """Make a block that no agent has yet; return it as stored."""
        block = blocks_pb2.Block(
            label=label,
            value=value,
            description=description or "",
            limit=limit,
            read_only=read_only,
            metadata=texts(metadata),
        )
        request = block_service_pb2.CreateBlockRequest(block=block)
        return (await self._connection.change(self._stub.CreateBlock, request)).block

    async def get(self, block_id: str) -> blocks_pb2.Block:
        """Return a block."""
        return (await self._connection.ask(self._stub.GetBlock, block_service_pb2.GetBlockRequest(block_id=block_id))).block

    def list(
        self,
        *,
        label: str | None = None,
        agent_id: str | None = None,
        unattached: bool = False,
        after_id: str | None = None,
        page_size: int | None = None,
        descending: bool = False,
    ) -> AsyncGenerator[blocks_pb2.Block, None]:
        """Iterate over blocks, oldest first unless `descending`, over all pages; `unattached`: those that no agent has.

        `after_id`: only what comes behind that block in this order.
        """
        request = block_service_pb2.ListBlocksRequest(
            label=label or "",
            agent_id=agent_id or "",
            unattached=unattached,
            after_id=after_id or "",
            page_size=page_size or 0,
            descending=descending,
        )
        return self._connection.pages(self._stub.ListBlocks, request, lambda page: page.blocks)

    async def update(
        self,
        block_id: str,
        *,
        value: str | None = None,
        label: str | None = None,
        description: str | None = None,
        limit: int | None = None,
        read_only: bool | None = None,
        metadata: Mapping[str, str] | None = None,
        expected_version: int | None = None,
    ) -> blocks_pb2.Block:
        """Change what is given and leave the rest, for every agent that has the block.

        With an `expected_version` only if the block still has it; otherwise ConcurrentChange.
        """
        block, mask = change(
            blocks_pb2.Block(),
            {
                "label": label,
                "value": value,
                "description": description,
                "limit": limit,
                "read_only": read_only,
                "metadata": texts(metadata),
            },
        )
        request = block_service_pb2.UpdateBlockRequest(
            block_id=block_id, block=block, update_mask=mask, expected_version=expected_version
        )
        # With a version it is not repeated: the second try would find what the first one changed.
        send = self._connection.ask if expected_version is None else self._connection.change
        return (await send(self._stub.UpdateBlock, request)).block

    async def delete(self, block_id: str) -> None:
        """Remove a block, from every agent too."""
        await self._connection.change(self._stub.DeleteBlock, block_service_pb2.DeleteBlockRequest(block_id=block_id))

    async def attach(self, agent_id: str, block_id: str) -> agents_pb2.Agent:
        """Put a block into an agent's memory; return the agent."""
        request = block_service_pb2.AttachBlockRequest(agent_id=agent_id, block_id=block_id)
        return (await self._connection.ask(self._stub.AttachBlock, request)).agent

    async def detach(self, agent_id: str, block_id: str) -> agents_pb2.Agent:
        """Take a block out of an agent's memory; return the agent. The block stays."""
        request = block_service_pb2.DetachBlockRequest(agent_id=agent_id, block_id=block_id)
        return (await self._connection.ask(self._stub.DetachBlock, request)).agent
