"""What an AgentImporter promises."""
# ruff: noqa: S101 - assert is what a contract does

from dataclasses import replace

import pytest

from letta_grpc.domain.agent_files import ConversationFile, Import, imported_conversation, new_passages
from letta_grpc.domain.agents import Agent, Conversation
from letta_grpc.domain.errors import AgentNotFound, EventsExpired, NameTaken
from letta_grpc.domain.ids import RunId, new_message_id
from letta_grpc.domain.messages import Message, Role, TextPart
from letta_grpc.domain.paging import PageRequest
from letta_grpc.testing.stores.world import World


def message(world: World, role: Role, text: str) -> Message:
    """Return a message as a file has it."""
    run_id = RunId("a run of another server's")
    return Message(id=new_message_id(), role=role, content=(TextPart(text),), run_id=run_id, create_time=world.time())


def imported(world: World, *said: tuple[Role, str], context: tuple[int, ...] = ()) -> Import:
    """Return an agent whose default conversation has these messages, shown those at these places."""
    agent = world.new_agent(world.new_block("human", "Sam"))
    messages = tuple(message(world, role, text) for role, text in said)
    default = world.new_conversation(agent, is_default=True, title="main")
    file = ConversationFile(
        conversation=default, messages=messages, context_ids=tuple(messages[index].id for index in context)
    )
    side = ConversationFile(conversation=world.new_conversation(agent, title="side"))
    notes = new_passages([world.new_note(agent, "a note", "tag")], agent.id)
    conversations = tuple(imported_conversation(each, agent, world.time()) for each in (file, side))
    return Import(agent=agent, tools=(world.new_tool("of_a_file"),), conversations=conversations, passages=notes)


TURN = ((Role.USER, "hi"), (Role.ASSISTANT, "hello"))


class AgentImporterContract:
    """What an AgentImporter promises. A subclass gives the fixture `world`."""

    async def test_all_that_is_imported_is_there(self, world: World) -> None:
        """The agent, its blocks, tools, conversations, messages and notes."""
        given = imported(world, *TURN)
        agent = await world.importer.put(given)
        assert agent == given.agent == await world.agents.get(agent.id)
        threads = (await world.conversations.list(agent.id, PageRequest())).items
        assert [thread.title for thread in threads] == ["main", "side"]
        assert await _texts(world, threads[0]) == ["hi", "hello"]
        assert await _shown(world, threads[0]) == ["hi", "hello"]
        assert await _shown(world, threads[1]) == []
        assert [note.text for note in (await world.passages.list(agent.id, PageRequest())).items] == ["a note"]
        assert [tool.name for tool in await world.named_tools.find(["of_a_file"])] == ["of_a_file"]

    async def test_a_compacted_context_is_shown_as_it_was(self, world: World) -> None:
        """The summary first, then what was kept, then what came after."""
        said = ((Role.USER, "old"), (Role.USER, "kept"), (Role.SUMMARY, "summary"), (Role.USER, "new"))
        agent = await world.importer.put(imported(world, *said, context=(2, 1, 3)))
        default = await world.default(agent)
        assert await _texts(world, default) == ["old", "kept", "summary", "new"]
        assert await _shown(world, default) == ["summary", "kept", "new"]

    async def test_a_context_of_a_summary_alone_is_shown_alone(self, world: World) -> None:
        """With what comes after it."""
        agent = await world.importer.put(imported(world, (Role.USER, "old"), (Role.SUMMARY, "summary"), context=(1,)))
        default = await world.default(agent)
        assert await _shown(world, default) == ["summary"]
        await world.turn(default, "hi", "hello")
        assert await _shown(world, default) == ["summary", "hi", "hello"]

    async def test_the_messages_belong_to_a_run_that_has_ended_and_whose_events_are_gone(self, world: World) -> None:
        """So that whoever attaches to it is told."""
        given = imported(world, *TURN)
        await world.importer.put(given)
        run = given.conversations[0].run
        assert run is not None
        assert replace(await world.runs.get(run.id), last_sequence_number=None) == run
        assert [said.text for said in await world.history.of_run(run.id)] == ["hi", "hello"]
        with pytest.raises(EventsExpired):
            await world.log.read(run.id, 0, 1000)

    async def test_a_conversation_goes_on_behind_what_was_imported(self, world: World) -> None:
        """As behind any other turn."""
        agent = await world.importer.put(imported(world, *TURN))
        default = await world.default(agent)
        await world.turn(default, "and?", "well")
        assert await _shown(world, default) == ["hi", "hello", "and?", "well"]

    async def test_what_cannot_be_stored_whole_is_not_stored_at_all(self, world: World) -> None:
        """Neither agent nor tools nor blocks."""
        await world.tool("of_a_file")
        given = imported(world, *TURN)
        with pytest.raises(NameTaken):
            await world.importer.put(replace(given, tools=(world.new_tool("another"), *given.tools)))
        with pytest.raises(AgentNotFound):
            await world.agents.get(given.agent.id)
        assert await world.named_tools.find(["another"]) == ()
        assert (await world.blocks.list(PageRequest())).items == ()

    async def test_blocks_that_may_not_stand_together_make_nothing(self, world: World) -> None:
        """Two of one label."""
        given = imported(world, *TURN)
        doubled: Agent = replace(given.agent, memory_blocks=(world.new_block("human"), world.new_block("human")))
        with pytest.raises(NameTaken):
            await world.importer.put(replace(given, agent=doubled))
        assert await world.named_tools.find(["of_a_file"]) == ()

    async def test_an_imported_agent_can_be_deleted(self, world: World) -> None:
        """With all that came with it."""
        agent = await world.importer.put(imported(world, *TURN))
        await world.agents.delete(agent.id)
        with pytest.raises(AgentNotFound):
            await world.agents.get(agent.id)


async def _texts(world: World, thread: Conversation) -> list[str]:
    return [said.text for said in (await world.history.list(thread.id, PageRequest())).items]


async def _shown(world: World, thread: Conversation) -> list[str]:
    return [said.text for said in (await world.history.load(thread.id)).messages]
