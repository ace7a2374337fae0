"""What a ConversationStore promises."""
# ruff: noqa: S101 - assert is what a contract does

from dataclasses import replace

import pytest

from letta_grpc.domain.agents import Conversation
from letta_grpc.domain.errors import AgentNotFound, ConversationNotFound, ResourceInUse, RunNotFound
from letta_grpc.domain.ids import new_agent_id, new_conversation_id
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import ConflictPolicy
from letta_grpc.testing.stores.paging import check_pages, check_pages_by_id, check_pages_while_items_are_added
from letta_grpc.testing.stores.world import World

_ALL = PageRequest(size=1000)


class ConversationStoreContract:
    """What a ConversationStore promises. A subclass gives the fixture `world`."""

    async def test_a_conversation_is_read_as_it_was_stored(self, world: World) -> None:
        """Every field comes back, with its agent and without."""
        agent = await world.agent()
        thread = world.new_conversation(agent, title="plans", model="m/other", metadata={"k": "v"})
        assert await world.conversations.create(thread) == thread
        assert await world.conversations.get(None, thread.id) == thread
        assert await world.conversations.get(agent.id, thread.id) == thread

    async def test_the_default_conversation_needs_no_id(self, world: World) -> None:
        """It is never one that was opened later."""
        agent = await world.agent()
        await world.conversation(agent)
        default = await world.conversations.get(agent.id, None)
        assert default.is_default
        assert default.agent_id == agent.id

    async def test_an_unknown_agent_has_no_conversations(self, world: World) -> None:
        """That it is not found comes before anything else."""
        known = await world.default(await world.agent())
        stranger = world.new_agent()
        for asked in (
            world.conversations.create(world.new_conversation(stranger)),
            world.conversations.get(stranger.id, None),
            world.conversations.get(stranger.id, known.id),
            world.conversations.list(stranger.id, _ALL),
        ):
            with pytest.raises(AgentNotFound):
                await asked

    async def test_an_unknown_conversation_is_not_found(self, world: World) -> None:
        """Whatever is asked of it."""
        agent, unknown = await world.agent(), new_conversation_id()
        for asked in (
            world.conversations.get(None, unknown),
            world.conversations.get(agent.id, unknown),
            world.conversations.update(unknown, {"title": "x"}, world.time()),
            world.conversations.delete(unknown),
        ):
            with pytest.raises(ConversationNotFound) as caught:
                await asked
            assert caught.value.metadata["conversation_id"] == unknown

    async def test_another_agents_conversation_is_not_found(self, world: World) -> None:
        """An id alone does not open it."""
        agent, other = await world.agent(), await world.agent()
        with pytest.raises(ConversationNotFound):
            await world.conversations.get(agent.id, (await world.default(other)).id)

    async def test_the_default_conversation_is_the_oldest(self, world: World) -> None:
        """Then come the others as they were opened, those of this agent alone."""
        agent, other = await world.agent(), await world.agent()
        threads = []
        for n in range(5):
            threads.append(await world.conversation(agent, title=str(n)))
            await world.conversation(other)
        expected = [await world.default(agent), *threads]
        await check_pages(lambda page: world.conversations.list(agent.id, page), expected)
        await check_pages_by_id(lambda page: world.conversations.list(agent.id, page), expected)

    async def test_pages_miss_nothing_while_conversations_are_added(self, world: World) -> None:
        """Nor is any given twice."""
        agent = await world.agent()
        there_from_the_start = [await world.default(agent)]

        async def add() -> Conversation:
            return there_from_the_start.pop() if there_from_the_start else await world.conversation(agent)

        await check_pages_while_items_are_added(lambda page: world.conversations.list(agent.id, page), add)

    async def test_update_sets_what_is_named_and_nothing_else(self, world: World) -> None:
        """The default conversation can be changed too."""
        agent = await world.agent()
        default, now = await world.default(agent), world.time()
        changed = await world.conversations.update(default.id, {"title": "new", "metadata": {"a": "b"}}, now)
        assert changed == replace(default, title="new", metadata={"a": "b"}, update_time=now)
        assert await world.default(agent) == changed

    async def test_delete_removes_messages_runs_and_events(self, world: World) -> None:
        """The agent's other conversations stay as they are."""
        agent = await world.agent()
        thread, default = await world.conversation(agent), await world.default(agent)
        run, kept = await world.turn(thread, "hi", "hello"), await world.turn(default, "hi", "hello")
        await world.conversations.delete(thread.id)
        with pytest.raises(ConversationNotFound):
            await world.history.load(thread.id)
        for asked in (world.runs.get(run.id), world.log.read(run.id, 0, 1), world.runs.list_steps(run.id, _ALL)):
            with pytest.raises(RunNotFound):
                await asked
        assert (await world.history.list(thread.id, _ALL)).items == ()
        assert (await world.conversations.list(agent.id, _ALL)).items == (default,)
        assert len(await world.history.of_run(kept.id)) == 2  # noqa: PLR2004 - what was said and what was answered

    async def test_the_default_conversation_is_not_deleted(self, world: World) -> None:
        """An agent always has one."""
        agent = await world.agent()
        default = await world.default(agent)
        with pytest.raises(ResourceInUse):
            await world.conversations.delete(default.id)
        assert await world.default(agent) == default

    async def test_a_conversation_at_work_is_not_deleted(self, world: World) -> None:
        """Neither while a run is active, nor while one only waits."""
        thread = await world.conversation(await world.agent())
        active = await world.start(thread, "hi")
        waiting = await world.start(thread, "and?", conflict_policy=ConflictPolicy.ENQUEUE)
        with pytest.raises(ResourceInUse):
            await world.conversations.delete(thread.id)
        await world.finish(active)
        with pytest.raises(ResourceInUse) as caught:
            await world.conversations.delete(thread.id)
        assert caught.value.metadata["active_run_id"] == waiting.run.id
        await world.journal.request_cancel(waiting.run.id)
        await world.conversations.delete(thread.id)

    async def test_a_conversation_of_nobody_is_not_stored(self, world: World) -> None:
        """A refused creation leaves nothing behind."""
        orphan = replace(world.new_conversation(world.new_agent()), agent_id=new_agent_id())
        with pytest.raises(AgentNotFound):
            await world.conversations.create(orphan)
        with pytest.raises(ConversationNotFound):
            await world.conversations.get(None, orphan.id)
