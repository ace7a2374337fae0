"""The journal remembers agents between starts: what a start is given is what is stored, whoever changed it last."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from letta_grpc.domain.agents import Agent, Conversation
from letta_grpc.domain.errors import AgentNotFound
from letta_grpc.ports.journal import EditBlock
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.stores.world import World
from tests.support.sqlite_worlds import opened


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path / "known.db", FakeClock()) as it:
        yield it.world


async def seen_by_a_start(world: World, agent: Agent, conversation: Conversation | None = None) -> Agent:
    """The agent as the next start is given it, in its default conversation if no other is named."""
    claim = await world.start(conversation or await world.conversations.get(agent.id, None), "hello")
    assert claim.lease is not None
    assert claim.context is not None
    await world.finish(claim)
    return claim.context.agent


async def test_a_start_sees_every_change_of_its_agent(world: World) -> None:
    agent = await world.agent()
    assert await seen_by_a_start(world, agent) == agent
    assert await seen_by_a_start(world, agent) == agent
    changed = await world.agents.update(agent.id, {"system": "Be brief."}, world.time())
    assert await seen_by_a_start(world, agent) == changed


async def test_a_new_conversation_changes_nothing_of_what_is_known(world: World) -> None:
    agent = await world.agent(await world.block("notes", "a"))
    known = await seen_by_a_start(world, agent)
    # As most products do it: one conversation for each visitor, and a run in it.
    conversation = await world.conversation(agent)
    assert await seen_by_a_start(world, agent, conversation) is known
    await world.conversations.update(conversation.id, {"title": "Ada"}, world.time())
    assert await seen_by_a_start(world, agent) is known
    await world.conversations.delete(conversation.id)
    assert await seen_by_a_start(world, agent) is known


async def test_large_agents_are_not_held_on_to(world: World) -> None:
    small = await world.agent(await world.block("notes", "a" * 60_000))
    large = await world.agent(await world.block("notes", "a" * 40_000), await world.block("more", "a" * 40_000))
    assert await seen_by_a_start(world, small) is await seen_by_a_start(world, small)
    seen = await seen_by_a_start(world, large)
    again = await seen_by_a_start(world, large)
    assert seen == again == large
    assert seen is not again


async def test_a_start_sees_an_edit_that_another_run_made_of_a_block(world: World) -> None:
    block = await world.block("notes", "a")
    agent = await world.agent(block)
    other = await world.agent()
    assert [b.value for b in (await seen_by_a_start(world, agent)).memory_blocks] == ["a"]
    claim = await world.start(await world.conversations.get(other.id, None), "edit")
    assert claim.lease is not None
    await world.journal.append(claim.lease, [], [EditBlock(block.id, block.version, "b")])
    assert [b.value for b in (await seen_by_a_start(world, agent)).memory_blocks] == ["b"]


async def test_a_start_sees_what_was_done_to_a_block_that_others_share(world: World) -> None:
    block = await world.block("notes", "a")
    agent, other = await world.agent(block), await world.agent(block)
    assert await seen_by_a_start(world, agent) == agent
    changed = await world.blocks.update(block.id, {"value": "b", "read_only": True}, world.time())
    assert (await seen_by_a_start(world, agent)).memory_blocks == (changed,)
    claim = await world.start(await world.conversations.get(other.id, None), "edit")
    assert claim.lease is not None
    await world.journal.append(claim.lease, [], [EditBlock(block.id, changed.version, "c")])
    assert [b.value for b in (await seen_by_a_start(world, agent)).memory_blocks] == ["c"]
    await world.memory.detach(agent.id, block.id)
    assert (await seen_by_a_start(world, agent)).memory_blocks == ()
    taken = await world.agents.update(agent.id, {"memory_blocks": (block.id,)}, world.time())
    assert await seen_by_a_start(world, agent) == taken
    await world.blocks.delete(block.id)
    await world.finish(claim)
    assert (await seen_by_a_start(world, other)).memory_blocks == ()


async def test_a_start_of_an_agent_that_was_deleted_is_refused(world: World) -> None:
    agent = await world.agent()
    conversation = await world.conversations.get(agent.id, None)
    await seen_by_a_start(world, agent)
    await world.agents.delete(agent.id)
    with pytest.raises(AgentNotFound):
        await world.start(conversation, "hello")
