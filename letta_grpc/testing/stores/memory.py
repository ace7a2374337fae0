"""What a MemoryStore promises."""
# ruff: noqa: S101 - assert is what a contract does

from dataclasses import replace

import pytest

from letta_grpc.domain.blocks import MAX_AGENT_BLOCK_LIMITS, MAX_AGENT_BLOCKS
from letta_grpc.domain.errors import AgentNotFound, BlockNotFound, InvalidRequest, NameTaken
from letta_grpc.domain.ids import new_agent_id, new_block_id
from letta_grpc.testing.stores.world import World


class MemoryStoreContract:
    """What a MemoryStore promises. A subclass gives the fixture `world`."""

    async def test_a_block_is_attached_behind_the_others(self, world: World) -> None:
        """The order is that of attachment, not of creation, and the answer is the agent as it now is."""
        first, second = await world.block("first"), await world.block("second")
        agent = await world.agent(world.new_block("own"))
        await world.memory.attach(agent.id, second.id)
        attached = await world.memory.attach(agent.id, first.id)
        assert [block.label for block in attached.memory_blocks] == ["own", "second", "first"]
        assert await world.agents.get(agent.id) == attached

    async def test_attaching_again_changes_nothing(self, world: World) -> None:
        """Not even the order."""
        agent = await world.agent(world.new_block("a"), world.new_block("b"))
        assert await world.memory.attach(agent.id, agent.memory_blocks[0].id) == agent

    async def test_a_label_in_use_is_taken(self, world: World) -> None:
        """The agent keeps the block that it has."""
        agent, other = await world.agent(world.new_block("human")), await world.block("human")
        with pytest.raises(NameTaken) as caught:
            await world.memory.attach(agent.id, other.id)
        assert caught.value.metadata == {"name": "human"}
        assert await world.agents.get(agent.id) == agent

    async def test_the_limits_of_an_agents_blocks_are_bounded_together(self, world: World) -> None:
        """On creation, on attachment and when a limit is raised; what is refused changes nothing."""
        large, small = await world.block("large", limit=MAX_AGENT_BLOCK_LIMITS - 1), await world.block("small", limit=1)
        extra = await world.block("extra", limit=2)
        agent = await world.agent(large)
        assert (await world.memory.attach(agent.id, small.id)).memory_blocks == (large, small)
        for path, beyond, refused in (
            ("agent.memory_blocks", 1, world.agent(large, extra)),
            ("block_id", 2, world.memory.attach(agent.id, extra.id)),
            ("block.limit", 1, world.blocks.update(small.id, {"limit": 2}, world.time())),
        ):
            with pytest.raises(InvalidRequest, match=f"{path}: .* {MAX_AGENT_BLOCK_LIMITS + beyond}$"):
                await refused
        assert await world.agents.get(agent.id) == replace(agent, memory_blocks=(large, small))
        smaller = await world.blocks.update(large.id, {"limit": 1}, world.time())
        raised = await world.blocks.update(small.id, {"limit": 2}, world.time())
        assert (await world.memory.attach(agent.id, extra.id)).memory_blocks == (smaller, raised, extra)

    async def test_an_agent_has_only_so_many_blocks(self, world: World) -> None:
        """However small they are."""
        agent = await world.agent(*(world.new_block(f"b{n}", limit=1) for n in range(MAX_AGENT_BLOCKS)))
        one_more = await world.block("more", limit=1)
        with pytest.raises(InvalidRequest, match=f"{MAX_AGENT_BLOCKS + 1}"):
            await world.memory.attach(agent.id, one_more.id)
        with pytest.raises(InvalidRequest, match=f"{MAX_AGENT_BLOCKS + 1}"):
            await world.agent(*agent.memory_blocks, one_more)
        assert await world.agents.get(agent.id) == agent

    async def test_a_detached_block_stays(self, world: World) -> None:
        """With the store and with other agents; its label is free again."""
        block = await world.block("human")
        agent, other = await world.agent(block, world.new_block("persona")), await world.agent(block)
        detached = await world.memory.detach(agent.id, block.id)
        assert [b.label for b in detached.memory_blocks] == ["persona"]
        assert await world.memory.detach(agent.id, block.id) == detached
        assert await world.blocks.get(block.id) == block
        assert (await world.agents.get(other.id)).memory_blocks == (block,)
        await world.memory.attach(agent.id, (await world.block("human")).id)

    async def test_a_block_is_got_by_its_label(self, world: World) -> None:
        """Each agent has its own names."""
        agent = await world.agent(world.new_block("human", "Chad"))
        other = await world.agent(world.new_block("human", "Eve"))
        assert (await world.memory.get(agent.id, "human")).value == "Chad"
        assert (await world.memory.get(other.id, "human")).value == "Eve"

    async def test_what_is_unknown_is_not_found(self, world: World) -> None:
        """The agent is looked for first."""
        agent, block = await world.agent(), await world.block("human")
        stranger = new_agent_id()
        for asked in (
            world.memory.attach(stranger, new_block_id()),
            world.memory.detach(stranger, block.id),
            world.memory.get(stranger, "human"),
        ):
            with pytest.raises(AgentNotFound):
                await asked
        for asked_for_block in (
            world.memory.attach(agent.id, new_block_id()),
            world.memory.detach(agent.id, new_block_id()),
            world.memory.get(agent.id, "human"),
        ):
            with pytest.raises(BlockNotFound):
                await asked_for_block
