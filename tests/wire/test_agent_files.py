"""Agents that leave a server as files and come to another, over every wire."""

import json

import pytest
from google.protobuf import json_format

from letta_grpc.v1 import (
    agent_files_pb2,
    agents_pb2,
    archive_service_pb2,
    blocks_pb2,
    conversation_service_pb2,
    conversations_pb2,
    messages_pb2,
    passages_pb2,
    run_service_pb2,
    runs_pb2,
    tools_pb2,
)
from letta_grpc.v1 import agent_service_pb2 as pb
from tests.requirements.registry import requirement
from tests.support.houses import Talk, Wire, run_of, said, talk
from tests.support.wires import failure_of, fields_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


async def exported(one: Talk, **omit: bool) -> agent_files_pb2.AgentFile:
    return (await one.wire.agents.ExportAgent(pb.ExportAgentRequest(agent_id=one.agent_id, **omit))).file


async def imported(wire: Wire, file: agent_files_pb2.AgentFile, **more: str) -> Talk:
    agent = (await wire.agents.ImportAgent(pb.ImportAgentRequest(file=file, **more))).agent  # type: ignore[arg-type]  # by name
    return Talk(wire, agent.id)


async def shown(one: Talk) -> pb.Context:
    """What the model would be shown, without what is another one in each agent."""
    context = (await one.wire.agents.GetContext(pb.GetContextRequest(agent_id=one.agent_id))).context
    context.ClearField("reported_tokens")
    for message in context.messages:
        for field in ("id", "run_id", "step_id"):
            message.ClearField(field)
    return context


async def seasoned(wire: Wire) -> Talk:
    """An agent that has something of everything."""
    one = await talk(
        wire,
        model="scripted/script",
        tools=["memory_insert"],
        name="ada",
        system="Be brief.",
        memory_blocks=[blocks_pb2.Block(label="human", value="Sam", limit=100)],
        tool_rules=[agents_pb2.ToolRule(tool="memory_insert", max_count=agents_pb2.MaxCountRule(limit=3))],
        secrets={"TOKEN": "s3cret"},
        metadata={"k": "v"},
    )
    call = {"tool_call": {"name": "memory_insert", "id": "call_1", "arguments": {"label": "human", "new_str": "likes tea"}}}
    events = await one.ask(json.dumps([[{"reasoning": "Hm."}, {"text": "One moment."}, call], [{"text": "Done."}]]))
    assert run_of(events).state == runs_pb2.RUN_STATE_COMPLETED
    note = passages_pb2.Passage(text="Sam was in Vienna.", tags=["travel"])
    await wire.archive.CreatePassage(archive_service_pb2.CreatePassageRequest(agent_id=one.agent_id, passage=note))
    thread = conversations_pb2.Conversation(title="side", metadata={"a": "b"})
    await wire.conversations.CreateConversation(
        conversation_service_pb2.CreateConversationRequest(agent_id=one.agent_id, conversation=thread)
    )
    return one


@requirement("export_import")
async def test_an_imported_agent_is_shown_and_answers_what_the_exported_one_does(wire: Wire) -> None:
    one = await seasoned(wire)
    two = await imported(wire, await exported(one), name="eve")
    assert two.agent_id != one.agent_id
    assert await shown(two) == await shown(one)
    assert said(await two.history()) == said(await one.history())
    assert not {m.id for m in await two.history()} & {m.id for m in await one.history()}
    script = json.dumps([[{"text": "Same."}]])
    assert said(await _answers(two, script)) == said(await _answers(one, script))


async def _answers(one: Talk, script: str) -> list[messages_pb2.Message]:
    await one.ask(script)
    return await one.history()


@requirement("export_import")
async def test_a_file_that_is_exported_again_says_the_same_but_for_ids_and_times(wire: Wire) -> None:
    one = await seasoned(wire)
    first = await exported(one)
    again = await exported(await imported(wire, first))
    assert _lasting(again) == _lasting(first)
    assert [passage.text for passage in again.passages] == ["Sam was in Vienna."]
    assert [each.conversation.title for each in again.conversations] == ["", "side"]


def _lasting(file: agent_files_pb2.AgentFile) -> object:
    """What a file says as JSON, without ids, times and secrets."""
    passing = {"id", "runId", "stepId", "agentId", "createTime", "updateTime", "secrets", "version"}

    def plain(value: object) -> object:
        match value:
            case dict():
                return {key: plain(inner) for key, inner in value.items() if key not in passing}
            case list():
                return [plain(inner) for inner in value]
            case _:
                return value

    return plain(json_format.MessageToDict(file))


@requirement("export_import")
async def test_a_compacted_context_stays_compacted(wire: Wire) -> None:
    one = await talk(wire)
    for number in range(6):
        await one.ask(f"word {number} " * 20)
    run = (await wire.agents.CompactAgent(pb.CompactAgentRequest(agent_id=one.agent_id))).run
    async for _ in wire.runs.AttachRun(run_service_pb2.AttachRunRequest(run_id=run.id)):
        pass
    await one.ask("after")
    file = await exported(one)
    assert file.conversations[0].context_message_ids
    two = await imported(wire, file)
    assert await shown(two) == await shown(one)
    assert len(await two.history()) == len(await one.history())


def compacted(*context: str) -> agent_files_pb2.AgentFile:
    """A file whose one conversation has a summary, with messages before it and behind."""
    roles = {"old": messages_pb2.ROLE_USER, "kept": messages_pb2.ROLE_USER, "summary": messages_pb2.ROLE_SUMMARY}
    roles |= dict.fromkeys(("first", "second", "third"), messages_pb2.ROLE_USER)
    messages = [
        messages_pb2.Message(id=name, role=role, content=[messages_pb2.ContentPart(text=name)]) for name, role in roles.items()
    ]
    conversation = agent_files_pb2.ConversationFile(
        conversation=conversations_pb2.Conversation(is_default=True), messages=messages, context_message_ids=context
    )
    return agent_files_pb2.AgentFile(version=1, agent=agents_pb2.Agent(model="scripted/echo"), conversations=[conversation])


@pytest.mark.parametrize(
    "context",
    [("summary", "first", "second", "third"), ("summary", "kept", "first", "second", "third")],
    ids=" ".join,
)
async def test_what_a_file_says_is_shown_is_shown(wire: Wire, context: tuple[str, ...]) -> None:
    one = await imported(wire, compacted(*context))
    texts = ["".join(part.text for part in message.content) for message in (await shown(one)).messages]
    assert len(texts) == len(context)
    assert "summary" in texts[0]
    assert texts[1:] == list(context[1:])


@requirement("import_whole")
@pytest.mark.parametrize(
    "context",
    [
        ("summary",),
        ("summary", "second", "third"),
        ("summary", "first", "third"),
        ("summary", "first", "second"),
        ("summary", "first", "third", "second"),
        ("summary", "first", "second", "third", "third"),
        ("summary", "old", "first", "second", "third"),
    ],
    ids=" ".join,
)
async def test_a_context_with_a_gap_is_refused_for_it_would_be_shown_whole(wire: Wire, context: tuple[str, ...]) -> None:
    failure = await failure_of(wire.agents.ImportAgent(pb.ImportAgentRequest(file=compacted(*context))))
    assert set(fields_of(failure)) == {"file.conversations[0].context_message_ids"}


@requirement("export_secrets")
async def test_secrets_are_in_a_file_by_name_and_come_with_the_import(wire: Wire) -> None:
    one = await seasoned(wire)
    file = await exported(one)
    assert dict(file.agent.secrets) == {"TOKEN": ""}
    assert "s3cret" not in json_format.MessageToJson(file)
    request = pb.ImportAgentRequest(file=file, secrets={"OTHER": "x"})
    assert dict((await wire.agents.ImportAgent(request)).agent.secrets) == {"OTHER": ""}


async def test_messages_and_archive_can_be_left_out(wire: Wire) -> None:
    one = await seasoned(wire)
    file = await exported(one, omit_messages=True, omit_passages=True)
    assert not file.passages
    assert [len(each.messages) for each in file.conversations] == [0, 0]
    two = await imported(wire, file)
    assert await two.history() == []


@requirement("import_whole")
async def test_a_file_with_anything_wrong_makes_nothing_and_names_it_all(wire: Wire) -> None:
    file = agent_files_pb2.AgentFile(
        version=7,
        agent=agents_pb2.Agent(name="broken-file", model="scripted/echo", timezone="Nowhere/Else"),
        tools=[tools_pb2.Tool(python=tools_pb2.PythonSource(code="def f(): ..."))],
        conversations=[
            agent_files_pb2.ConversationFile(
                messages=[messages_pb2.Message(id="m"), messages_pb2.Message(id="m", role=messages_pb2.ROLE_USER)],
                context_message_ids=["gone"],
            )
        ],
        passages=[passages_pb2.Passage()],
    )
    failure = await failure_of(wire.agents.ImportAgent(pb.ImportAgentRequest(file=file)))
    first = "file.conversations[0]"
    assert set(fields_of(failure)) >= {
        "file.version",
        "file.agent.timezone",
        "file.tools[0]",
        "file.conversations",
        f"{first}.messages[0].role",
        f"{first}.messages[1].id",
        f"{first}.context_message_ids",
        "file.passages[0].text",
    }
    assert not (await wire.agents.ListAgents(pb.ListAgentsRequest(name="broken-file"))).agents


@requirement("import_whole")
async def test_a_picture_that_no_message_could_bring_is_none_of_a_files_either(wire: Wire) -> None:
    png = messages_pb2.Image(data=b"png", media_type="image/png")
    pictures = [
        messages_pb2.Image(url="http://127.0.0.1:1/x", media_type="image/png"),
        messages_pb2.Image(data=b"x", media_type="text/html"),
        messages_pb2.Image(),
        png,
    ]
    content = messages_pb2.Content(parts=[messages_pb2.ContentPart(image=pictures[1])])
    returned = messages_pb2.ToolReturn(tool_call_id="a", status=messages_pb2.TOOL_RETURN_STATUS_SUCCESS, content=content)
    messages = [
        messages_pb2.Message(
            id="one", role=messages_pb2.ROLE_USER, content=[messages_pb2.ContentPart(image=picture) for picture in pictures]
        ),
        messages_pb2.Message(id="two", role=messages_pb2.ROLE_TOOL, tool_returns=[returned]),
    ]
    file = agent_files_pb2.AgentFile(
        version=1,
        agent=agents_pb2.Agent(model="scripted/echo"),
        conversations=[
            agent_files_pb2.ConversationFile(conversation=conversations_pb2.Conversation(is_default=True), messages=messages)
        ],
    )
    broken = fields_of(await failure_of(wire.agents.ImportAgent(pb.ImportAgentRequest(file=file))))
    path = "file.conversations[0].messages"
    assert {field for field in broken if "image" in field} == {
        *(f"{path}[0].content[{index}].image" for index in range(3)),
        f"{path}[1].tool_returns[0].content.parts[0].image",
    }


@requirement("import_whole")
async def test_a_tool_that_is_another_one_here_makes_nothing(wire: Wire) -> None:
    tool = tools_pb2.Tool(name="archival_memory_search", parameters="{}", python=tools_pb2.PythonSource(code="def f(): ..."))
    agent = agents_pb2.Agent(name="shadowing-file", model="scripted/echo")
    file = agent_files_pb2.AgentFile(version=1, agent=agent, tools=[tool])
    failure = await failure_of(wire.agents.ImportAgent(pb.ImportAgentRequest(file=file)))
    assert set(fields_of(failure)) == {"file.tools[0].name"}
    assert not (await wire.agents.ListAgents(pb.ListAgentsRequest(name="shadowing-file"))).agents


async def test_a_file_of_an_agent_alone_is_enough(wire: Wire) -> None:
    agent = agents_pb2.Agent(name="bare", model="scripted/echo", tools=["of_this_file"])
    tool = tools_pb2.Tool(name="of_this_file", parameters="{}", python=tools_pb2.PythonSource(code="def of_this_file(): ..."))
    one = await imported(wire, agent_files_pb2.AgentFile(version=1, agent=agent, tools=[tool]))
    assert said(await one.history()) == []
    assert [each.name for each in (await exported(one)).tools] == ["of_this_file"]
    again = await imported(wire, await exported(one))
    assert [each.name for each in (await exported(again)).tools] == ["of_this_file"]
