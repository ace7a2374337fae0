"""What an AgentStore promises."""
# ruff: noqa: S101 - assert is what a contract does

from dataclasses import replace

import pytest

from letta_grpc.domain.agents import MAX_SECRETS_BYTES, AgentKind, ModelSettings, Sleeptime
from letta_grpc.domain.blocks import MAX_AGENT_BLOCK_LIMITS
from letta_grpc.domain.errors import (
    AgentNotFound,
    BlockNotFound,
    ConversationNotFound,
    InvalidRequest,
    LettaError,
    NameTaken,
    ResourceInUse,
    RunNotFound,
)
from letta_grpc.domain.ids import BlockId, new_agent_id, new_block_id
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import RunState
from letta_grpc.domain.tool_rules import ConstrainChild, MaxCount
from letta_grpc.ports.stores import RunFilter
from letta_grpc.testing.stores.paging import check_pages, check_pages_by_id, check_pages_while_items_are_added
from letta_grpc.testing.stores.world import World

_ALL = PageRequest(size=1000)


class AgentStoreContract:
    """What an AgentStore promises. A subclass gives the fixture `world`."""

    async def test_an_agent_is_read_as_it_was_stored(self, world: World) -> None:
        """Every field comes back, its new blocks too."""
        agent = world.new_agent(
            world.new_block("persona", "I am Ada.", description="who you are", limit=100, metadata={"k": "v"}),
            world.new_block("human", read_only=True),
            description="a friend",
            model_settings=ModelSettings(
                temperature=0.1, max_output_tokens=7, parallel_tool_calls=False, reasoning_effort="low"
            ),
            kind=AgentKind.MEMGPT,
            tools=("b", "a"),
            tool_rules=(ConstrainChild(tool="b", children=("a",), arguments={"a": "{}"}), MaxCount(tool="a", limit=2)),
            tool_approvals={"a": True, "b": False},
            secrets={"KEY": "s3cret"},
            sleeptime=Sleeptime(agent_ids=(new_agent_id(),), every_turns=3),
            tags=("y", "x"),
            metadata={"team": "blue"},
            context_window=4096,
            timezone="Europe/Rome",
        )
        created = await world.agents.create(agent, world.new_conversation(agent, is_default=True))
        assert created == agent
        assert await world.agents.get(agent.id) == agent
        assert [await world.blocks.get(block.id) for block in agent.memory_blocks] == list(agent.memory_blocks)

    async def test_an_agent_comes_with_its_default_conversation(self, world: World) -> None:
        """The conversation given on creation is the default one."""
        agent = world.new_agent()
        conversation = world.new_conversation(agent, is_default=True)
        await world.agents.create(agent, conversation)
        assert await world.conversations.get(agent.id, None) == conversation

    async def test_a_stored_block_is_attached_as_it_is_stored(self, world: World) -> None:
        """The stored value wins over the one that creation names, and the order is the one given."""
        shared = await world.block("shared", "stored")
        own = world.new_block("own", "new")
        agent = await world.agent(own, replace(shared, value="claimed"))
        assert agent.memory_blocks == (own, shared)

    async def test_two_blocks_of_one_label_refuse_the_agent(self, world: World) -> None:
        """Nothing of the agent is stored then, no block either."""
        stored, fresh = await world.block("human"), world.new_block("human")
        with pytest.raises(NameTaken) as caught:
            await world.agent(stored, fresh)
        assert caught.value.metadata == {"name": "human"}
        assert (await world.agents.list(_ALL)).items == ()
        assert (await world.blocks.list(_ALL)).items == (stored,)

    async def test_an_unknown_agent_is_not_found(self, world: World) -> None:
        """Whatever is asked of it."""
        unknown = new_agent_id()
        for asked in (
            world.agents.get(unknown),
            world.agents.update(unknown, {"name": "x"}, world.time()),
            world.agents.delete(unknown),
        ):
            with pytest.raises(AgentNotFound) as caught:
                await asked
            assert caught.value.metadata == {"agent_id": unknown}

    async def test_agents_are_listed_by_name_and_tags(self, world: World) -> None:
        """The name as a whole, all of the tags; both narrow together."""
        ada = await world.agent(name="ada", tags=("red", "big"))
        bob = await world.agent(name="bob", tags=("red",))
        other_ada = await world.agent(name="ada")
        assert (await world.agents.list(_ALL)).items == (ada, bob, other_ada)
        assert (await world.agents.list(_ALL, name="ada")).items == (ada, other_ada)
        assert (await world.agents.list(_ALL, name="ad")).items == ()
        assert (await world.agents.list(_ALL, tags=["red"])).items == (ada, bob)
        assert (await world.agents.list(_ALL, tags=["big", "red", "red"])).items == (ada,)
        assert (await world.agents.list(_ALL, name="bob", tags=["red", "big"])).items == ()

    async def test_a_list_is_read_page_by_page(self, world: World) -> None:
        """Both ways, with and without a filter, each agent with its blocks."""
        shared = await world.block("shared")
        agents = [await world.agent(world.new_block("own"), shared, tags=("t",) * (n % 2)) for n in range(7)]
        await check_pages(world.agents.list, agents)
        await check_pages_by_id(world.agents.list, agents)
        await check_pages(lambda page: world.agents.list(page, tags=["t"]), agents[1::2])

    async def test_pages_miss_nothing_while_agents_are_added(self, world: World) -> None:
        """Nor is any agent given twice."""
        await check_pages_while_items_are_added(world.agents.list, world.agent)

    async def test_a_page_goes_on_behind_an_agent_that_is_gone(self, world: World) -> None:
        """A page's end is a place, not an agent, and no later agent takes that place."""
        first, second = await world.agent(), await world.agent()
        page = await world.agents.list(PageRequest(size=1))
        await world.agents.delete(first.id)
        assert page.next is not None
        await world.agents.delete(second.id)
        third = await world.agent()
        assert (await world.agents.list(PageRequest(after=page.next))).items == (third,)

    async def test_update_sets_what_is_named_and_nothing_else(self, world: World) -> None:
        """Filters see the new values."""
        agent = await world.agent(world.new_block("human"), name="ada", tags=("old",), tools=("t",), metadata={"a": "1"})
        now = world.time()
        changes = {"name": "eve", "tags": ("new", "tags"), "metadata": {}, "model_settings": ModelSettings(temperature=2.0)}
        changed = await world.agents.update(agent.id, changes, now)
        assert changed == replace(
            agent,
            name="eve",
            tags=("new", "tags"),
            metadata={},
            model_settings=ModelSettings(temperature=2.0),
            update_time=now,
        )
        assert await world.agents.get(agent.id) == changed
        assert (await world.agents.list(_ALL, name="eve", tags=["new"])).items == (changed,)
        assert (await world.agents.list(_ALL, tags=["old"])).items == ()

    async def test_a_secret_that_comes_without_a_value_keeps_the_one_that_is_stored(self, world: World) -> None:
        """Nobody who writes an agent back as it was read has seen any. One that is not named is gone."""
        agent = await world.agent(secrets={"KEY": "s3cret", "OLD": "x", "GONE": "y"})
        changed = await world.agents.update(agent.id, {"secrets": {"KEY": "", "OLD": "new", "MORE": ""}}, world.time())
        assert changed.secrets == {"KEY": "s3cret", "OLD": "new", "MORE": ""}
        assert await world.agents.get(agent.id) == changed
        too_much = {"KEY": "", "MORE": "x" * MAX_SECRETS_BYTES}
        with pytest.raises(InvalidRequest, match="with the values that stay"):
            await world.agents.update(agent.id, {"name": "eve", "secrets": too_much}, world.time())
        assert await world.agents.get(agent.id) == changed

    async def test_update_exchanges_the_blocks_that_an_agent_has(self, world: World) -> None:
        """By their ids, in the order given, each once. What is not named is detached and stays."""
        kept, left, new = [await world.block(label) for label in ("kept", "left", "new")]
        agent, other = await world.agent(left, kept), await world.agent(left)
        ids = (new.id, kept.id, new.id)
        changed = await world.agents.update(agent.id, {"name": "eve", "memory_blocks": ids}, world.time())
        assert (changed.name, changed.memory_blocks) == ("eve", (new, kept))
        assert await world.agents.get(agent.id) == changed
        assert (await world.agents.get(other.id)).memory_blocks == (left,)
        again = await world.block("left")
        swapped = await world.agents.update(other.id, {"memory_blocks": (again.id,)}, world.time())
        assert swapped.memory_blocks == (again,)
        assert (await world.agents.update(agent.id, {"memory_blocks": ()}, world.time())).memory_blocks == ()
        assert (await world.agents.get(agent.id)).memory_blocks == ()

    async def test_an_update_with_blocks_that_cannot_be_changes_nothing(self, world: World) -> None:
        """An unknown one, two of one label, or limits beyond what an agent may hold: the agent stays as it was."""
        agent = await world.agent(await world.block("human"), await world.block("persona"), name="ada")
        same, larger = await world.block("human"), await world.block("larger", limit=MAX_AGENT_BLOCK_LIMITS)
        refusals: tuple[tuple[type[LettaError], tuple[BlockId, ...]], ...] = (
            (BlockNotFound, (same.id, new_block_id())),
            (NameTaken, (same.id, agent.memory_blocks[0].id)),
            (InvalidRequest, (same.id, larger.id)),
        )
        for refusal, ids in refusals:
            with pytest.raises(refusal):
                await world.agents.update(agent.id, {"name": "eve", "memory_blocks": ids}, world.time())
        assert await world.agents.get(agent.id) == agent

    async def test_delete_removes_all_that_is_the_agents_own(self, world: World) -> None:
        """Conversations, messages, runs, events and notes go. Blocks stay, and all that is another agent's."""
        block = await world.block("shared")
        agent, other = await world.agent(block), await world.agent(block)
        thread = await world.conversation(agent)
        run = await world.turn(thread, "hi", "hello")
        await world.note(agent, "a note")
        kept_run, kept_note = await world.turn(await world.default(other), "hi", "hello"), await world.note(other, "a note")

        await world.agents.delete(agent.id)

        with pytest.raises(AgentNotFound):
            await world.agents.get(agent.id)
        with pytest.raises(ConversationNotFound):
            await world.conversations.get(None, thread.id)
        with pytest.raises(RunNotFound):
            await world.runs.get(run.id)
        with pytest.raises(RunNotFound):
            await world.log.read(run.id, 0, 1)
        assert (await world.history.list(thread.id, _ALL)).items == ()
        assert await world.history.of_run(run.id) == ()
        assert await world.notes.search(agent.id, "", (), 10) == ()
        assert (await world.agents.list(_ALL)).items == (other,)
        assert (await world.agents.get(other.id)).memory_blocks == (block,)
        assert (await world.runs.get(kept_run.id)).state is RunState.COMPLETED
        assert await world.notes.search(other.id, "", (), 10) == (kept_note,)

    async def test_an_agent_at_work_is_not_deleted(self, world: World) -> None:
        """Nothing of it is removed then."""
        agent = await world.agent()
        thread = await world.conversation(agent)
        await world.turn(await world.default(agent), "hi", "hello")
        claim = await world.start(thread, "hi")
        with pytest.raises(ResourceInUse) as caught:
            await world.agents.delete(agent.id)
        assert caught.value.metadata["active_run_id"] == claim.run.id
        assert await world.agents.get(agent.id) == agent
        assert len((await world.runs.list(_ALL, RunFilter(agent_id=agent.id))).items) == 2  # noqa: PLR2004 - the two above
        await world.finish(claim)
        await world.agents.delete(agent.id)

    async def test_blocks_outlive_their_agent(self, world: World) -> None:
        """Also those that were made with it."""
        agent = await world.agent(world.new_block("own"))
        await world.agents.delete(agent.id)
        assert await world.blocks.get(agent.memory_blocks[0].id) == agent.memory_blocks[0]
        await world.blocks.delete(agent.memory_blocks[0].id)
        with pytest.raises(BlockNotFound):
            await world.blocks.get(agent.memory_blocks[0].id)
