"""Memory blocks as resources of their own."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from letta_grpc.domain.agents import Agent
from letta_grpc.domain.blocks import DEFAULT_BLOCK_LIMIT, Block
from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.domain.ids import AgentId, BlockId, new_block_id
from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.stores import BlockStore, MemoryStore


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBlock:
    """A block to make; with an id, one that exists."""

    id: BlockId | None = None
    label: str = ""
    value: str = ""
    description: str = ""
    limit: int | None = None
    read_only: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)


def new_block(new: NewBlock, clock: Clock, path: str = "block") -> Block:
    """Return a block of these values, not stored yet. Raises InvalidRequest for a value beyond the limit."""
    limit = DEFAULT_BLOCK_LIMIT if new.limit is None else new.limit
    if len(new.value) > limit:
        rule = f"has {len(new.value)} characters; the block's limit is {limit}"
        raise InvalidRequest(fields={f"{path}.value": rule})
    now = clock.now()
    return Block(
        id=new_block_id(),
        label=new.label,
        value=new.value,
        description=new.description,
        limit=limit,
        read_only=new.read_only,
        metadata=new.metadata,
        create_time=now,
        update_time=now,
    )


class Blocks:
    """The use cases of shared blocks."""

    def __init__(self, blocks: BlockStore, memory: MemoryStore, clock: Clock) -> None:
        self._blocks = blocks
        self._memory = memory
        self._clock = clock

    async def create(self, new: NewBlock) -> Block:
        """Make a block that no agent has yet."""
        return await self._blocks.create(new_block(new, self._clock))

    async def get(self, block_id: BlockId) -> Block:
        """Return a block. Raises BlockNotFound."""
        return await self._blocks.get(block_id)

    async def list(
        self, page: PageRequest, *, label: str | None = None, agent_id: AgentId | None = None, unattached: bool = False
    ) -> Page[Block]:
        """Return a page of blocks."""
        return await self._blocks.list(page, label=label, agent_id=agent_id, unattached=unattached)

    async def update(self, block_id: BlockId, changes: Mapping[str, object], expected_version: int | None = None) -> Block:
        """Set the named fields. Raises BlockNotFound, ConcurrentChange, InvalidRequest, NameTaken."""
        return await self._blocks.update(block_id, changes, self._clock.now(), expected_version)

    async def delete(self, block_id: BlockId) -> None:
        """Remove a block, from all agents too. Raises BlockNotFound."""
        await self._blocks.delete(block_id)

    async def attach(self, agent_id: AgentId, block_id: BlockId) -> Agent:
        """Put a block into an agent's memory. Raises AgentNotFound, BlockNotFound, NameTaken."""
        return await self._memory.attach(agent_id, block_id)

    async def detach(self, agent_id: AgentId, block_id: BlockId) -> Agent:
        """Take a block out of an agent's memory. Raises AgentNotFound, BlockNotFound."""
        return await self._memory.detach(agent_id, block_id)
