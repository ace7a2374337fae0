"""Memory blocks in memory, and which agent has them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Any

from letta_grpc.adapters.memory.state import MemoryState
from letta_grpc.domain.agents import Agent
from letta_grpc.domain.blocks import Block, check_block_limits
from letta_grpc.domain.errors import BlockNotFound, ConcurrentChange, InvalidRequest, NameTaken
from letta_grpc.domain.ids import AgentId, BlockId
from letta_grpc.domain.paging import Page, PageRequest


class MemoryBlockStore:
    """Memory blocks."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def create(self, block: Block) -> Block:
        """Store a block."""
        self._state.blocks.add(block.id, block)
        return block

    async def get(self, block_id: BlockId) -> Block:
        """Return a block."""
        return self._state.block(block_id)

    async def list(
        self, page: PageRequest, *, label: str | None = None, agent_id: AgentId | None = None, unattached: bool = False
    ) -> Page[Block]:
        """Return blocks with this label, of this agent; with `unattached` those that no agent has."""
        attached = None if agent_id is None else set(self._state.attachments.get(agent_id, ()))
        others = set(chain.from_iterable(self._state.attachments.values())) if unattached else set()

        def fits(block: Block) -> bool:
            return label in (None, block.label) and (attached is None or block.id in attached) and block.id not in others

        return self._state.blocks.page(page, fits)

    async def update(
        self, block_id: BlockId, changes: Mapping[str, Any], update_time: datetime, expected_version: int | None = None
    ) -> Block:
        """Set the named fields and raise the version."""
        block = self._state.block(block_id)
        if expected_version not in (None, block.version):
            raise ConcurrentChange(block_id=block_id)
        changed = replace(block, **changes, version=block.version + 1, update_time=update_time)
        if len(changed.value) > changed.limit:
            rule = f"has {len(changed.value)} characters, the block's limit is {changed.limit}"
            raise InvalidRequest(fields={"block.value": rule})
        if changed.label != block.label:
            self._check_label(changed)
        if changed.limit > block.limit:
            self._check_limits(changed)
        self._state.blocks.replace(block_id, changed)
        return changed

    def _check_label(self, changed: Block) -> None:
        for agent_id, attached in self._state.attachments.items():
            if changed.id in attached and any(b.label == changed.label for b in self._state.blocks_of(agent_id)):
                raise NameTaken("An agent that has the block has another one of this label.", name=changed.label)

    def _check_limits(self, changed: Block) -> None:
        for agent_id, attached in self._state.attachments.items():
            if changed.id in attached:
                others = [block.limit for block in self._state.blocks_of(agent_id) if block.id != changed.id]
                check_block_limits([*others, changed.limit], "block.limit")

    async def delete(self, block_id: BlockId) -> None:
        """Remove a block, from all agents too."""
        self._state.block(block_id)
        for attached in self._state.attachments.values():
            if block_id in attached:
                attached.remove(block_id)
        self._state.blocks.remove(block_id)


class MemoryMemoryStore:
    """Which agent has which blocks."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def attach(self, agent_id: AgentId, block_id: BlockId) -> Agent:
        """Attach a block."""
        self._state.agent(agent_id)
        self._state.attach(agent_id, self._state.block(block_id))
        return self._state.agent(agent_id)

    async def detach(self, agent_id: AgentId, block_id: BlockId) -> Agent:
        """Detach a block."""
        self._state.agent(agent_id)
        self._state.block(block_id)
        attached = self._state.attachments[agent_id]
        if block_id in attached:
            attached.remove(block_id)
        return self._state.agent(agent_id)

    async def get(self, agent_id: AgentId, label: str) -> Block:
        """Return the block under a label."""
        for block in self._state.agent(agent_id).memory_blocks:
            if block.label == label:
                return block
        raise BlockNotFound("The agent has no block of this label.", agent_id=agent_id, label=label)
