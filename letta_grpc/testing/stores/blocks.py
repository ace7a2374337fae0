"""What a BlockStore promises."""
# ruff: noqa: S101 - assert is what a contract does

from dataclasses import replace

import pytest

from letta_grpc.domain.errors import BlockNotFound, ConcurrentChange, InvalidRequest, NameTaken
from letta_grpc.domain.ids import new_agent_id, new_block_id
from letta_grpc.domain.paging import PageRequest
from letta_grpc.ports.journal import EditBlock
from letta_grpc.testing.stores.paging import check_pages, check_pages_by_id, check_pages_while_items_are_added
from letta_grpc.testing.stores.world import World

_ALL = PageRequest(size=1000)


class BlockStoreContract:
    """What a BlockStore promises. A subclass gives the fixture `world`."""

    async def test_a_block_is_read_as_it_was_stored(self, world: World) -> None:
        """Every field comes back."""
        block = world.new_block("human", "Chad", description="who", limit=9, read_only=True, metadata={"k": "v"})
        assert await world.blocks.create(block) == block
        assert await world.blocks.get(block.id) == block

    async def test_an_unknown_block_is_not_found(self, world: World) -> None:
        """Whatever is asked of it."""
        unknown = new_block_id()
        for asked in (
            world.blocks.get(unknown),
            world.blocks.update(unknown, {"value": "x"}, world.time()),
            world.blocks.delete(unknown),
        ):
            with pytest.raises(BlockNotFound) as caught:
                await asked
            assert caught.value.metadata == {"block_id": unknown}

    async def test_blocks_are_listed_by_label_and_agent(self, world: World) -> None:
        """Both narrow together. An agent that does not exist has none."""
        human, persona = await world.block("human"), await world.block("persona")
        loose = await world.block("human")
        agent = await world.agent(persona, human)
        assert (await world.blocks.list(_ALL, label="human")).items == (human, loose)
        assert (await world.blocks.list(_ALL, agent_id=agent.id)).items == (human, persona)
        assert (await world.blocks.list(_ALL, label="human", agent_id=agent.id)).items == (human,)
        assert (await world.blocks.list(_ALL, agent_id=new_agent_id())).items == ()

    async def test_blocks_that_no_agent_has_are_listed(self, world: World) -> None:
        """Never attached, detached, or left by an agent that is deleted."""
        loose, detached, left, shared = [await world.block(label) for label in ("loose", "detached", "left", "shared")]
        deleted, stays = await world.agent(left, shared), await world.agent(detached, shared)
        assert (await world.blocks.list(_ALL, unattached=True)).items == (loose,)
        await world.agents.delete(deleted.id)
        await world.memory.detach(stays.id, detached.id)
        assert (await world.blocks.list(_ALL, unattached=True)).items == (loose, detached, left)
        assert (await world.blocks.list(_ALL, unattached=True, label="left")).items == (left,)
        assert (await world.blocks.list(PageRequest(size=1), unattached=True)).items == (loose,)

    async def test_a_list_is_read_page_by_page(self, world: World) -> None:
        """Both ways, with and without filters; an agent's blocks too go by creation."""
        blocks = [await world.block(f"b{n}") for n in range(7)]
        agent = await world.agent(*reversed(blocks[2:]))
        await check_pages(world.blocks.list, blocks)
        await check_pages_by_id(world.blocks.list, blocks)
        await check_pages(lambda page: world.blocks.list(page, agent_id=agent.id), blocks[2:])
        await check_pages(lambda page: world.blocks.list(page, label="b3"), blocks[3:4])

    async def test_pages_miss_nothing_while_blocks_are_added(self, world: World) -> None:
        """Nor is any given twice."""
        await check_pages_while_items_are_added(world.blocks.list, lambda: world.block("label"))

    async def test_update_sets_what_is_named_and_raises_the_version(self, world: World) -> None:
        """Each change is a version, whatever it changes."""
        block, now = await world.block("human", "Chad", metadata={"a": "b"}), world.time()
        changed = await world.blocks.update(block.id, {"value": "Eve", "read_only": True}, now)
        assert changed == replace(block, value="Eve", read_only=True, version=block.version + 1, update_time=now)
        described = await world.blocks.update(block.id, {"description": "who"}, now)
        assert described.version == block.version + 2
        assert await world.blocks.get(block.id) == described

    async def test_a_change_that_names_a_version_wants_just_that_one(self, world: World) -> None:
        """Otherwise nothing is changed."""
        block, now = await world.block("human", "Chad"), world.time()
        changed = await world.blocks.update(block.id, {"value": "Eve"}, now, block.version)
        with pytest.raises(ConcurrentChange) as caught:
            await world.blocks.update(block.id, {"value": "Bob"}, now, block.version)
        assert caught.value.metadata == {"block_id": block.id}
        assert await world.blocks.get(block.id) == changed
        with pytest.raises(BlockNotFound):
            await world.blocks.update(new_block_id(), {"value": "Eve"}, now, 1)

    async def test_a_value_fits_the_limit_as_both_will_be(self, world: World) -> None:
        """Limit and value count as they are after the change; a refused change leaves the block as it was."""
        block = await world.block("human", "12345", limit=5)
        for changes in ({"value": "123456"}, {"limit": 4}, {"value": "123", "limit": 2}):
            with pytest.raises(InvalidRequest):
                await world.blocks.update(block.id, changes, world.time())
        assert await world.blocks.get(block.id) == block
        grown = await world.blocks.update(block.id, {"value": "123456", "limit": 6}, world.time())
        shrunk = await world.blocks.update(block.id, {"value": "1", "limit": 1}, world.time())
        assert (len(grown.value), shrunk.limit) == (6, 1)

    async def test_the_limit_counts_characters(self, world: World) -> None:
        """Not bytes."""
        block = await world.block("human", limit=3)
        assert (await world.blocks.update(block.id, {"value": "äß𝄞"}, world.time())).value == "äß𝄞"

    async def test_a_label_is_unique_within_each_agent(self, world: World) -> None:
        """Every agent that has the block counts; its own label and those of strangers' blocks do not."""
        human, persona = await world.block("human"), await world.block("persona")
        loose = await world.block("loose")
        await world.agent(human)
        await world.agent(human, persona)
        with pytest.raises(NameTaken) as caught:
            await world.blocks.update(human.id, {"label": "persona"}, world.time())
        assert caught.value.metadata == {"name": "persona"}
        assert await world.blocks.get(human.id) == human
        assert (await world.blocks.update(human.id, {"label": "human"}, world.time())).label == "human"
        assert (await world.blocks.update(human.id, {"label": loose.label}, world.time())).label == "loose"

    async def test_a_shared_block_changes_for_all(self, world: World) -> None:
        """Both agents see the one value."""
        block = await world.block("shared", "old")
        agents = [await world.agent(block), await world.agent(block)]
        changed = await world.blocks.update(block.id, {"value": "new"}, world.time())
        assert [(await world.agents.get(agent.id)).memory_blocks for agent in agents] == [(changed,), (changed,)]

    async def test_an_edit_of_a_run_sees_a_change_from_outside(self, world: World) -> None:
        """The version tells: a run's edit of what has changed meanwhile is refused, one of the newest version taken."""
        block = await world.block("human", "old")
        claim = await world.start(await world.default(await world.agent(block)), "hi")
        newer = await world.blocks.update(block.id, {"value": "newer"}, world.time())
        with pytest.raises(ConcurrentChange):
            await world.answer(claim, changes=[EditBlock(block.id, block.version, "mine")])
        await world.answer(claim, changes=[EditBlock(block.id, newer.version, "mine")])
        edited = await world.blocks.get(block.id)
        assert (edited.value, edited.version) == ("mine", newer.version + 1)

    async def test_a_deleted_block_leaves_all_agents(self, world: World) -> None:
        """Their other blocks stay, in order."""
        blocks = [await world.block(label) for label in ("a", "b", "c")]
        agents = [await world.agent(*blocks), await world.agent(blocks[1])]
        await world.blocks.delete(blocks[1].id)
        with pytest.raises(BlockNotFound):
            await world.blocks.get(blocks[1].id)
        assert (await world.agents.get(agents[0].id)).memory_blocks == (blocks[0], blocks[2])
        assert (await world.agents.get(agents[1].id)).memory_blocks == ()
