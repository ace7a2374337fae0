import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from letta_grpc.domain.agents import DEFAULT_CONTEXT_WINDOW, DEFAULT_SYSTEM, AgentKind
from letta_grpc.domain.blocks import DEFAULT_BLOCK_LIMIT
from letta_grpc.domain.context import estimate_tokens
from letta_grpc.domain.errors import AgentNotFound, BlockNotFound, ConversationNotFound, InvalidRequest, ModelUnknown
from letta_grpc.domain.ids import ConversationId, new_agent_id, new_block_id
from letta_grpc.domain.messages import ToolCall
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.tools import MAX_AGENT_TOOLS
from letta_grpc.engine.agents import NewAgent
from letta_grpc.engine.blocks import Blocks, NewBlock
from letta_grpc.engine.conversations import Conversations
from letta_grpc.engine.starts import StartRequest
from letta_grpc.ports.search import MessageQuery
from tests.support.engine import DirectedTools, Engine, engine, say
from tests.support.threads import threads_of
from tests.support.values import spec as plain_spec


@pytest.fixture
async def house() -> AsyncIterator[Engine]:
    async def echo(call: ToolCall) -> str:
        return call.arguments

    async with asyncio.timeout(10), engine(tools=DirectedTools({"echo": echo})) as running:
        yield running


@pytest.fixture
def blocks(house: Engine) -> Blocks:
    return Blocks(house.database.blocks, house.database.memory, house.clock)


@pytest.fixture
def conversations(house: Engine) -> Conversations:
    return threads_of(house)


async def test_a_new_agent_has_what_it_was_given_and_sensible_values_for_the_rest(house: Engine) -> None:
    agent = await house.agents.create(NewAgent(model="test/model", memory_blocks=(NewBlock(label="human", value="Ada"),)))
    assert agent.name == agent.id[:14]
    assert (agent.system, agent.tools) == (DEFAULT_SYSTEM, ("echo",))
    assert [(b.label, b.value, b.limit) for b in agent.memory_blocks] == [("human", "Ada", DEFAULT_BLOCK_LIMIT)]
    assert await house.agents.get(agent.id) == agent


async def test_an_agent_can_have_no_tools_and_a_block_that_exists(house: Engine, blocks: Blocks) -> None:
    shared = await blocks.create(NewBlock(label="team", value="us"))
    new = NewAgent(name="ada", system="Hi.", model="test/model", tools=(), memory_blocks=(NewBlock(id=shared.id),))
    agent = await house.agents.create(new)
    assert (agent.name, agent.system, agent.tools, agent.memory_blocks) == ("ada", "Hi.", (), (shared,))


async def test_base_tools_count_among_the_tools_that_an_agent_may_have() -> None:
    async def anything(call: ToolCall) -> str:
        return call.arguments

    names = [f"tool_{n}" for n in range(MAX_AGENT_TOOLS)]
    async with asyncio.timeout(10), engine(tools=DirectedTools(dict.fromkeys(names, anything))) as house:
        assert (await house.agents.create(NewAgent(model="test/model", tools=tuple(names)))).tools == tuple(names)
        with pytest.raises(InvalidRequest) as refused:
            await house.agents.create(
                NewAgent(model="test/model", kind=AgentKind.MEMGPT, tools=("send_message",), base_tools=True)
            )
    assert refused.value.fields == {"agent.tools": "must have at most 64, has 65 with the base tools"}


async def test_base_tools_come_behind_those_that_are_named_and_once(house: Engine) -> None:
    agent = await house.agents.create(
        NewAgent(model="test/model", kind=AgentKind.MEMGPT, tools=("send_message",), base_tools=True)
    )
    assert agent.tools == ("send_message", "echo")
    again = await house.agents.create(NewAgent(model="test/model", tools=("echo",), base_tools=True))
    assert again.tools == ("echo",)


@pytest.mark.parametrize(
    ("new", "path"),
    [
        (NewAgent(model="test/model", tools=("echo", "fly")), "agent.tools[1]"),
        (
            NewAgent(model="test/model", memory_blocks=(NewBlock(label="a", value="xx", limit=1),)),
            "agent.memory_blocks[0].value",
        ),
        (
            NewAgent(model="test/model", memory_blocks=(NewBlock(label="a"), NewBlock(label="a"))),
            "agent.memory_blocks[1].label",
        ),
    ],
)
async def test_an_agent_that_cannot_be_made_is_refused_by_its_field(house: Engine, new: NewAgent, path: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        await house.agents.create(new)
    assert path in refusal.value.fields
    assert len((await house.agents.list(PageRequest())).items) == 1


async def test_models_and_blocks_that_are_not_there_are_refused(house: Engine) -> None:
    with pytest.raises(ModelUnknown) as unknown:
        await house.agents.create(NewAgent(model="nobody/nothing"))
    assert list(unknown.value.fields) == ["agent.model"]
    with pytest.raises(BlockNotFound):
        await house.agents.create(NewAgent(model="test/model", memory_blocks=(NewBlock(id=new_block_id()),)))


async def test_a_change_is_checked_as_a_new_agent_is(house: Engine) -> None:
    changed = await house.agents.update(house.agent.id, {"name": "b", "model": "test/other", "tools": ()})
    assert (changed.name, changed.model, changed.tools) == ("b", "test/other", ())
    with pytest.raises(ModelUnknown) as unknown:
        await house.agents.update(house.agent.id, {"model": "nobody/nothing"})
    assert list(unknown.value.fields) == ["agent.model"]
    with pytest.raises(InvalidRequest):
        await house.agents.update(house.agent.id, {"tools": ("fly",)})
    assert (await house.agents.update(house.agent.id, {"description": "x"})).description == "x"


async def test_agents_are_listed_by_name_and_deleted(house: Engine) -> None:
    other = await house.agents.create(NewAgent(name="other", model="test/model"))
    assert (await house.agents.list(PageRequest(), name="other")).items == (other,)
    await house.agents.delete(other.id)
    with pytest.raises(AgentNotFound):
        await house.agents.get(other.id)


async def test_a_block_is_found_and_changed_by_its_agent_and_label(house: Engine) -> None:
    agent = await house.agents.create(NewAgent(model="test/model", memory_blocks=(NewBlock(label="human"),)))
    changed = await house.agents.update_block(agent.id, "human", {"value": "Ada"})
    assert changed == await house.agents.get_block(agent.id, "human")
    assert changed.value == "Ada"
    with pytest.raises(BlockNotFound):
        await house.agents.get_block(agent.id, "nothing")


async def test_blocks_live_by_themselves_too(house: Engine, blocks: Blocks) -> None:
    block = await blocks.create(NewBlock(label="team", value="us"))
    assert await blocks.get(block.id) == block
    assert (await blocks.attach(house.agent.id, block.id)).memory_blocks == (block,)
    assert (await blocks.list(PageRequest(), agent_id=house.agent.id)).items == (block,)
    assert (await blocks.detach(house.agent.id, block.id)).memory_blocks == ()
    assert (await blocks.update(block.id, {"value": "all"})).value == "all"
    await blocks.delete(block.id)
    with pytest.raises(BlockNotFound):
        await blocks.get(block.id)


async def test_the_next_context_is_shown_with_the_cost_of_each_part(house: Engine) -> None:
    await house.play(say("hello back"))
    await house.agents.update(house.agent.id, {"system": "Be kind."})
    context = await house.agents.context(house.agent.id, None)
    assert context.system == "Be kind."
    assert [message.text for message in context.messages] == ["hello", "hello back"]
    costs = {part.name: part.estimated_tokens for part in context.parts}
    assert costs["instructions"] == estimate_tokens("Be kind.")
    assert (costs["memory"], costs["messages"]) == (0, 4 + estimate_tokens("hello") + 4 + estimate_tokens("hello back"))
    assert context.estimated_tokens == sum(costs.values())


async def test_the_window_is_the_agents_else_the_models_else_a_default(house: Engine) -> None:
    assert (await house.agents.context(house.agent.id, None)).context_window == DEFAULT_CONTEXT_WINDOW
    await house.agents.update(house.agent.id, {"model": "test/known"})
    assert (await house.agents.context(house.agent.id, None)).context_window == 1000
    await house.agents.update(house.agent.id, {"context_window": 10})
    assert (await house.agents.context(house.agent.id, None)).context_window == 10


async def test_threads_are_opened_changed_listed_and_closed(house: Engine, conversations: Conversations) -> None:
    thread = await conversations.create(house.agent.id, title="a", model="", metadata={"k": "v"})
    other = await conversations.create(house.agent.id, title="b", model="test/other", metadata={})
    assert await conversations.get(thread.id) == thread
    assert [each.title for each in (await conversations.list(house.agent.id, PageRequest())).items] == ["", "a", "b"]
    assert (await conversations.update(thread.id, {"title": "c", "model": ""})).title == "c"
    assert (await conversations.update(thread.id, {"model": "test/other"})).model == "test/other"
    await conversations.delete(other.id)
    with pytest.raises(ConversationNotFound):
        await conversations.get(other.id)


async def test_a_thread_cannot_have_an_unknown_model(house: Engine, conversations: Conversations) -> None:
    with pytest.raises(ModelUnknown) as unknown:
        await conversations.create(house.agent.id, title="", model="nobody/nothing", metadata={})
    assert list(unknown.value.fields) == ["conversation.model"]
    thread = await conversations.create(house.agent.id, title="", model="", metadata={})
    with pytest.raises(ModelUnknown):
        await conversations.update(thread.id, {"model": "nobody/nothing"})


async def tea_here_and_there(house: Engine, conversations: Conversations) -> ConversationId:
    """Have a turn in the default conversation and one in another; return the other's id."""
    thread = await conversations.create(house.agent.id, title="a", model="", metadata={})
    await house.play(say("tea here"), words="drink")
    house.model.turns += [say("tea there")]
    spec = plain_spec("drink")
    start = StartRequest(agent_id=house.agent.id, conversation_id=thread.id, request_id=None, spec=spec)
    await house.events((await house.runs.start(start)).id)
    return thread.id


async def test_messages_are_searched_in_one_conversation_in_the_default_one_or_in_all(
    house: Engine, conversations: Conversations
) -> None:
    thread_id = await tea_here_and_there(house, conversations)
    query = MessageQuery(agent_id=house.agent.id, text="tea")

    async def texts(query: MessageQuery, *, in_default: bool = False) -> set[str]:
        return {found.message.text for found in await house.agents.search_messages(query, in_default)}

    assert await texts(query) == {"tea here", "tea there"}
    assert await texts(query, in_default=True) == {"tea here"}
    assert await texts(replace(query, agent_id=None)) == {"tea here", "tea there"}
    assert await texts(replace(query, conversation_id=thread_id)) == {"tea there"}
    with pytest.raises(AgentNotFound):
        await house.agents.search_messages(MessageQuery(agent_id=new_agent_id(), text="tea"))


async def test_messages_of_all_conversations_are_listed(house: Engine, conversations: Conversations) -> None:
    await tea_here_and_there(house, conversations)
    listed = await house.agents.list_all_messages(house.agent.id, PageRequest())
    assert [message.text for message in listed.items] == ["drink", "tea here", "drink", "tea there"]
    with pytest.raises(AgentNotFound):
        await house.agents.list_all_messages(new_agent_id(), PageRequest())


async def test_a_conversation_can_be_emptied(house: Engine) -> None:
    await house.play(say("hi"), words="hello")
    await house.agents.reset_messages(house.agent.id, None)
    assert (await house.agents.list_messages(house.agent.id, None, PageRequest())).items == ()
