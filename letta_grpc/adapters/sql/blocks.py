"""Memory blocks."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, exists, func, insert, select, update

from letta_grpc.adapters.sql.database import Database
from letta_grpc.adapters.sql.pages import page_of, paged
from letta_grpc.adapters.sql.rows import block_of
from letta_grpc.adapters.sql.schema import agent_blocks, blocks
from letta_grpc.adapters.sql.values import block_values
from letta_grpc.domain.blocks import Block, check_block_limits
from letta_grpc.domain.errors import BlockNotFound, ConcurrentChange, InvalidRequest, NameTaken
from letta_grpc.domain.ids import AgentId, BlockId
from letta_grpc.domain.paging import Page, PageRequest


class SqlBlockStore:
    """Memory blocks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, block: Block) -> Block:
        """Store a block."""
        await self._database.write(lambda connection: add_blocks(connection, [block]))
        return block

    async def get(self, block_id: BlockId) -> Block:
        """Return a block."""
        return await self._database.read(lambda connection: get_block(connection, block_id))

    async def list(
        self, page: PageRequest, *, label: str | None = None, agent_id: AgentId | None = None, unattached: bool = False
    ) -> Page[Block]:
        """Return blocks with this label, of this agent; with `unattached` those that no agent has."""
        query = paged(select(blocks), blocks.c.position, page)
        if label is not None:
            query = query.where(blocks.c.label == label)
        if agent_id is not None:
            query = query.where(blocks.c.id.in_(select(agent_blocks.c.block_id).where(agent_blocks.c.agent_id == agent_id)))
        if unattached:
            query = query.where(~exists().where(agent_blocks.c.block_id == blocks.c.id))
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return page_of(rows, page, block_of)

    async def update(
        self, block_id: BlockId, changes: Mapping[str, Any], update_time: datetime, expected_version: int | None = None
    ) -> Block:
        """Set the named fields and raise the version."""

        def change(connection: Connection) -> Block:
            block = get_block(connection, block_id)
            if expected_version not in (None, block.version):
                raise ConcurrentChange(block_id=block_id)
            return _update(connection, block, changes, update_time)

        return await self._database.write(change)

    async def delete(self, block_id: BlockId) -> None:
        """Remove a block, from all agents too."""
        await self._database.write(lambda connection: _delete(connection, block_id))


def get_block(connection: Connection, block_id: BlockId) -> Block:
    """Return a block. Raises BlockNotFound."""
    row = connection.execute(select(blocks).where(blocks.c.id == block_id)).first()
    if row is None:
        raise BlockNotFound(block_id=block_id)
    return block_of(row)


def find_blocks(connection: Connection, block_ids: Iterable[BlockId]) -> dict[BlockId, Block]:
    """Return those of the blocks that are stored."""
    rows = connection.execute(select(blocks).where(blocks.c.id.in_(list(block_ids))))
    return {block.id: block for block in map(block_of, rows)}


def add_blocks(connection: Connection, new: Iterable[Block]) -> None:
    """Store blocks."""
    values = [block_values(block) for block in new]
    if values:
        connection.execute(insert(blocks), values)


def _update(connection: Connection, block: Block, changes: Mapping[str, Any], update_time: datetime) -> Block:
    changed = replace(block, **changes, version=block.version + 1, update_time=update_time)
    if len(changed.value) > changed.limit:
        rule = f"has {len(changed.value)} characters, the block's limit is {changed.limit}"
        raise InvalidRequest(fields={"block.value": rule})
    if changed.label != block.label and _label_is_taken(connection, changed):
        raise NameTaken("An agent that has the block has another one of this label.", name=changed.label)
    if changed.limit > block.limit:
        _check_limits(connection, changed, changed.limit - block.limit)
    connection.execute(update(blocks).where(blocks.c.id == block.id).values(block_values(changed)))
    return changed


def _check_limits(connection: Connection, changed: Block, growth: int) -> None:
    """Raise InvalidRequest if an agent that has the block would hold too much with its new limit."""
    mine = select(agent_blocks.c.agent_id).where(agent_blocks.c.block_id == changed.id)
    query = (
        select(func.sum(blocks.c.character_limit))
        .join(agent_blocks, agent_blocks.c.block_id == blocks.c.id)
        .where(agent_blocks.c.agent_id.in_(mine))
        .group_by(agent_blocks.c.agent_id)
    )
    for total in connection.scalars(query):
        check_block_limits([total + growth], "block.limit")


def _label_is_taken(connection: Connection, changed: Block) -> bool:
    """Say whether an agent that has the block has another one of its new label."""
    other = agent_blocks.alias()
    query = exists().where(
        agent_blocks.c.block_id == changed.id,
        other.c.agent_id == agent_blocks.c.agent_id,
        blocks.c.id == other.c.block_id,
        blocks.c.label == changed.label,
    )
    return bool(connection.scalar(select(query)))


def _delete(connection: Connection, block_id: BlockId) -> None:
    if not connection.execute(delete(blocks).where(blocks.c.id == block_id)).rowcount:
        raise BlockNotFound(block_id=block_id)
