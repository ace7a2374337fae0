"""Agents that leave one server and come to another."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from letta_grpc.domain.agent_files import AgentFile, ConversationFile
from letta_grpc.domain.agents import Agent, Sleeptime
from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.domain.events import ContextCompacted
from letta_grpc.domain.forking import WholeConversation
from letta_grpc.domain.history import LOST_RETURN, UNANSWERED_RETURN
from letta_grpc.domain.ids import ConversationId, MessageId, new_agent_id, new_passage_id, new_run_id, new_tool_id
from letta_grpc.domain.messages import Message, Role, ToolCall
from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.domain.passages import Passage
from letta_grpc.domain.runs import CompactionMode, RunKind, RunSpec
from letta_grpc.domain.tools import PythonSource, Tool
from letta_grpc.engine.agent_files import AgentFiles, ImportRequest
from letta_grpc.engine.agents import NewAgent
from letta_grpc.engine.tools import NewTool
from letta_grpc.ports.stores import AgentContext, HistoryStore
from tests.support.aside import ReadAside
from tests.support.engine import DirectedTools, Engine, call, engine, of, say
from tests.support.toolsheds import toolshed

SOURCE = PythonSource(code="def echo() -> str: ...")
ECHO = NewTool(name="echo", description="Says it.", parameters="{}", source=SOURCE)


@pytest.fixture
async def house() -> AsyncIterator[Engine]:
    async def echo(call: ToolCall) -> str:
        return call.arguments

    tools = DirectedTools({"echo": echo, "risky": echo}, guarded={"risky"})
    async with asyncio.timeout(10), engine(tools=tools) as running:
        yield running


@pytest.fixture
def files(house: Engine) -> AgentFiles:
    database = house.database
    return AgentFiles(
        agents=house.agents,
        conversations=database.conversations,
        history=database.history,
        passages=database.passages,
        tools=database.tools,
        own_tools=toolshed(database, house.clock).own,
        importer=database.agent_importer,
        clock=house.clock,
    )


def import_of(file: AgentFile, **fields: object) -> ImportRequest:
    agent = file.agent
    plain = ImportRequest(
        agent=NewAgent(name=agent.name, model=agent.model, system=agent.system, tools=agent.tools, sleeptime=agent.sleeptime),
        conversations=file.conversations,
        passages=file.passages,
    )
    return replace(plain, **fields)  # type: ignore[arg-type]  # any field


async def shown(house: Engine, agent: Agent) -> Sequence[Message]:
    return (await house.agents.context(agent.id, None)).messages


async def store_echo(house: Engine) -> None:
    now = house.clock.now()
    tool = Tool(
        id=new_tool_id(), name="echo", description="Says it.", parameters="{}", source=SOURCE, create_time=now, update_time=now
    )
    await house.database.tools.create(tool)


async def test_an_agent_comes_with_all_that_is_its_own_under_new_ids(house: Engine, files: AgentFiles) -> None:
    await store_echo(house)
    await house.play(call("echo"), say("done"), words="hello")
    now = house.clock.now()
    note = Passage(id=new_passage_id(), agent_id=house.agent.id, text="tea", create_time=now, update_time=now)
    await house.database.passages.create(note)
    file = await files.export(house.agent.id)
    assert [tool.name for tool in file.tools] == ["echo"]
    agent = await files.import_(import_of(file, tools=(ECHO,), secrets={"KEY": "s"}))
    assert agent.id != house.agent.id
    assert (agent.secrets, agent.tools) == ({"KEY": "s"}, house.agent.tools)
    before, after = await shown(house, house.agent), await shown(house, agent)
    assert [(m.role, m.text, m.tool_calls, m.tool_returns) for m in after] == [
        (m.role, m.text, m.tool_calls, m.tool_returns) for m in before
    ]
    assert not {m.id for m in after} & {m.id for m in before}
    assert [each.text for each in (await house.database.passages.list(agent.id, PageRequest())).items] == ["tea"]


async def test_what_waited_or_was_at_work_when_it_left_has_a_return_where_it_comes(house: Engine, files: AgentFiles) -> None:
    await store_echo(house)
    await house.play(call("echo", "risky"), words="hello")
    file = await files.export(house.agent.id)
    (thread,) = file.conversations
    # As if it had been written while the first tool ran.
    messages = tuple(message for message in thread.messages if message.role is not Role.TOOL)
    file = replace(file, conversations=(replace(thread, messages=messages),))
    agent = await files.import_(import_of(file, tools=(ECHO,)))
    history = (await house.agents.list_messages(agent.id, None, PageRequest())).items
    returns = [each for message in history if message.role is Role.TOOL for each in message.tool_returns]
    texts = {"echo-0": LOST_RETURN, "risky-1": UNANSWERED_RETURN}
    assert {each.tool_call_id: each.text for each in returns} == texts
    assert len(returns) == 2
    assert [call.id for message in await shown(house, agent) for call in message.tool_calls] == list(texts)


async def test_a_return_that_is_added_has_an_id_of_its_own_whatever_ids_the_file_has(house: Engine, files: AgentFiles) -> None:
    common: Any = {"run_id": new_run_id(), "create_time": house.clock.now()}
    calls = (ToolCall(id="call-1", name="echo", arguments="{}"),)
    asked = Message(id=MessageId("a"), role=Role.ASSISTANT, tool_calls=calls, **common)
    others = [Message(id=MessageId(f"a-{word}"), role=Role.USER, **common) for word in ("return", "returns")]
    thread = (await files.export(house.agent.id)).conversations[0]
    file = AgentFile(agent=house.agent, conversations=(replace(thread, messages=(asked, *others)),))
    agent = await files.import_(import_of(file))
    messages = (await house.agents.list_messages(agent.id, None, PageRequest())).items
    assert [message.role for message in messages] == [Role.ASSISTANT, Role.TOOL, Role.USER, Role.USER]
    assert len({message.id for message in messages}) == len(messages)


async def test_a_context_that_was_compacted_stays_so(house: Engine, files: AgentFiles) -> None:
    for number in range(3):
        await house.play(say(f"answer {number}"), words=f"question {number}")
    house.model.turns += [say("They talked.")]
    spec = RunSpec(messages=(), kind=RunKind.COMPACTION, compaction=CompactionMode.ALL)
    events = await house.events((await house.begin(spec)).id)
    assert of(ContextCompacted, events)
    await house.play(say("hi"), words="later")
    agent = await files.import_(import_of(await files.export(house.agent.id)))
    assert [m.text for m in await shown(house, agent)] == [m.text for m in await shown(house, house.agent)]
    assert len((await house.agents.list_messages(agent.id, None, PageRequest())).items) > len(await shown(house, agent))


async def test_a_conversation_that_is_compacted_while_it_is_exported_comes_whole(house: Engine, files: AgentFiles) -> None:
    history = house.database.history

    async def compact() -> None:
        house.model.turns += [say("They talked.")]
        spec = RunSpec(messages=(), kind=RunKind.COMPACTION, compaction=CompactionMode.SLIDING_WINDOW)
        assert of(ContextCompacted, await house.events((await house.begin(spec)).id))

    class Overtaken:
        async def list(self, conversation_id: ConversationId, page: PageRequest) -> Page[Message]:
            found = await history.list(conversation_id, page)
            await compact()
            return found

        async def whole(self, conversation_id: ConversationId) -> WholeConversation:
            found = await history.whole(conversation_id)
            await compact()
            return found

        async def load(self, conversation_id: ConversationId) -> AgentContext:
            return await history.load(conversation_id)

    for number in range(3):
        await house.play(say(f"answer {number}"), words=f"question {number}")
    files._history = cast("HistoryStore", Overtaken())  # noqa: SLF001 - in place of the one that the fixture has given
    (thread,) = (await files.export(house.agent.id)).conversations
    roles = {message.id: message.role for message in thread.messages}
    assert len(roles) == 6
    assert [roles[id_] for id_ in thread.context_ids[:1]] in ([], [Role.SUMMARY])


async def test_what_is_left_out_is_not_there(house: Engine, files: AgentFiles) -> None:
    await house.play(say("hi"), words="hello")
    file = await files.export(house.agent.id, messages=False, passages=False)
    assert (file.conversations[0].messages, file.passages) == ((), ())
    assert await shown(house, await files.import_(import_of(file))) == ()
    assert await shown(house, await files.import_(import_of(file, conversations=()))) == ()


async def test_a_long_conversation_and_all_pages_of_notes_are_exported(
    house: Engine, files: AgentFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("letta_grpc.engine.pages.MAX_PAGE_SIZE", 2)
    now = house.clock.now()
    for number in range(3):
        await house.play(say(f"answer {number}"), words=f"question {number}")
        await house.database.passages.create(
            Passage(id=new_passage_id(), agent_id=house.agent.id, text=f"note {number}", create_time=now, update_time=now)
        )
    file = await files.export(house.agent.id)
    (thread,) = file.conversations
    assert isinstance(thread, ConversationFile)
    assert [m.text for m in thread.messages] == [f"{word} {n}" for n in range(3) for word in ("question", "answer")]
    assert [note.text for note in file.passages] == [f"note {n}" for n in range(3)]


async def test_a_tool_is_made_unless_it_is_here_and_refused_if_it_is_another_one_here(
    house: Engine, files: AgentFiles
) -> None:
    file = await files.export(house.agent.id)
    fresh = replace(ECHO, name="fresh")
    agent = await files.import_(import_of(file, tools=(fresh,)))
    assert [tool.name for tool in await house.database.tools.find(["fresh"])] == ["fresh"]
    again = await files.import_(import_of(file, tools=(fresh,)))
    assert again.id != agent.id
    others = (replace(fresh, description="Does something else."), replace(ECHO, name="archival_memory_search"))
    with pytest.raises(InvalidRequest) as refused:
        await files.import_(import_of(file, tools=others))
    assert set(refused.value.fields) == {"file.tools[0].name", "file.tools[1].name"}


async def test_of_the_agents_that_worked_in_the_background_those_that_are_here_do_so_again(
    house: Engine, files: AgentFiles
) -> None:
    helper = await house.agents.create(NewAgent(model="test/model"))
    file = await files.export(house.agent.id)
    for ids, left in (((helper.id, new_agent_id()), (helper.id,)), ((new_agent_id(),), None)):
        agent = replace(file.agent, sleeptime=Sleeptime(agent_ids=ids, every_turns=2))
        made = await files.import_(import_of(replace(file, agent=agent)))
        assert (made.sleeptime and made.sleeptime.agent_ids) == left


async def test_the_server_goes_on_while_messages_are_made_out(house: Engine, files: AgentFiles) -> None:
    await house.play(say("hi"), words="hello")
    file = await files.export(house.agent.id)
    (given,) = file.conversations
    request = replace(import_of(file), conversations=(replace(given, messages=ReadAside(given.messages)),))
    assert [message.text for message in await shown(house, await files.import_(request))] == ["hello", "hi"]
