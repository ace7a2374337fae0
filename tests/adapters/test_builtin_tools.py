import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import NoReturn

import pytest

from letta_grpc.adapters.builtin_tools.recall import EXCERPT_CHARACTERS
from letta_grpc.adapters.builtin_tools.registry import BuiltinTools
from letta_grpc.adapters.memory.agents import MemoryAgentStore
from letta_grpc.adapters.memory.blocks import MemoryBlockStore, MemoryMemoryStore
from letta_grpc.adapters.memory.history import MemoryHistoryStore
from letta_grpc.adapters.memory.message_search import MemoryMessageSearch
from letta_grpc.adapters.memory.passages import MemoryPassageStore
from letta_grpc.adapters.memory.runs import MemoryRunStore
from letta_grpc.adapters.memory.state import MemoryState, StoredRun
from letta_grpc.domain.agents import Agent, Conversation
from letta_grpc.domain.blocks import Block
from letta_grpc.domain.errors import StoreUnavailable
from letta_grpc.domain.ids import AgentId, BlockId, MessageId, PassageId, RunId
from letta_grpc.domain.messages import Message, Role, TextPart, ToolCall, ToolReturnStatus
from letta_grpc.domain.passages import Passage
from letta_grpc.domain.runs import Run
from letta_grpc.ports.journal import AddPassage, EditBlock
from letta_grpc.ports.search import PassageSearch
from letta_grpc.ports.tools import ToolContext, ToolResult, Tools
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.tools import ToolsContract, assert_refused, unheard
from tests.support.values import AGENT_ID, CONVERSATION_ID, NOW, RUN_ID, run, spec

CONTEXT = ToolContext(agent_id=AGENT_ID, conversation_id=CONVERSATION_ID, run_id=RUN_ID)
EARLIER_RUN = RunId("run-earlier")


def block(label: str, value: str = "", *, limit: int = 100, read_only: bool = False) -> Block:
    return Block(
        id=BlockId(f"block-{label}"),
        label=label,
        value=value,
        limit=limit,
        read_only=read_only,
        version=7,
        create_time=NOW,
        update_time=NOW,
    )


class Desk:
    """The tools over in-memory stores with one agent."""

    def __init__(self) -> None:
        self.state = MemoryState()
        agent = Agent(id=AGENT_ID, name="ada", system="", model="scripted/echo", create_time=NOW, update_time=NOW)
        self.state.agents.add(AGENT_ID, agent)
        self.state.attachments[AGENT_ID] = []
        conversation = Conversation(id=CONVERSATION_ID, agent_id=AGENT_ID, is_default=True, create_time=NOW, update_time=NOW)
        self.state.add_conversation(conversation)
        self.work_on(run())
        self.clock = FakeClock(NOW)
        self.tools = self.tools_over(MemoryPassageStore(self.state))

    def tools_over(self, passages: PassageSearch) -> BuiltinTools:
        return BuiltinTools(
            memory=MemoryMemoryStore(self.state),
            runs=MemoryRunStore(self.state),
            history=MemoryHistoryStore(self.state),
            messages=MemoryMessageSearch(self.state),
            passages=passages,
            agents=MemoryAgentStore(self.state),
            clock=self.clock,
        )

    def work_on(self, begun: Run) -> None:
        self.state.runs.add(begun.id, StoredRun(run=begun, spec=spec(), fingerprint="", traceparent=None))

    def remember(self, *blocks: Block) -> None:
        for added in blocks:
            self.state.blocks.add(added.id, added)
            self.state.attach(AGENT_ID, added)

    def say(self, words: str, *, by: RunId = EARLIER_RUN, role: Role = Role.USER) -> None:
        messages = self.state.messages[CONVERSATION_ID]
        number = len(list(messages))
        message = Message(
            id=MessageId(f"message-{number}"),
            role=role,
            content=(TextPart(words),),
            run_id=by,
            create_time=NOW + timedelta(minutes=number),
        )
        messages.add(message.id, message)

    def note(self, text: str, *tags: str, of: AgentId = AGENT_ID) -> None:
        number = len(list(self.state.passages))
        note = Passage(id=PassageId(f"passage-{number}"), agent_id=of, text=text, tags=tags, create_time=NOW, update_time=NOW)
        self.state.passages.add(note.id, note)

    async def use(self, tool: str, /, **arguments: object) -> ToolResult:
        return await self.tools.run(ToolCall(id="call", name=tool, arguments=json.dumps(arguments)), CONTEXT, unheard)

    async def value_after(self, tool: str, /, **arguments: object) -> str:
        result = await self.use(tool, **arguments)
        assert result.status is ToolReturnStatus.SUCCESS, result.text
        (change,) = result.changes
        assert isinstance(change, EditBlock)
        return change.value

    async def found(self, tool: str, /, **arguments: object) -> list[dict[str, object]]:
        result = await self.use(tool, **arguments)
        assert result.status is ToolReturnStatus.SUCCESS, result.text
        return [json.loads(line) for line in result.text.splitlines()]


@pytest.fixture
def desk() -> Desk:
    return Desk()


class TestBuiltinTools(ToolsContract):
    @pytest.fixture
    def tools(self, desk: Desk) -> Tools:
        return desk.tools

    @pytest.fixture
    def context(self) -> ToolContext:
        return CONTEXT


def test_a_new_agent_gets_the_tools_for_memory_conversation_and_archive(desk: Desk) -> None:
    assert desk.tools.base_tools() == (
        "memory_insert",
        "memory_replace",
        "memory_rethink",
        "conversation_search",
        "archival_memory_insert",
        "archival_memory_search",
    )


async def test_every_tool_may_run_again_after_a_takeover(desk: Desk) -> None:
    definitions = await desk.tools.load(desk.tools.base_tools())
    assert all(definition.idempotent for definition in definitions.values())


@pytest.mark.parametrize(
    ("value", "line", "expected"),
    [
        ("", -1, "new"),
        ("", 0, "new"),
        ("a\nb", -1, "a\nb\nnew"),
        ("a\nb", 0, "new\na\nb"),
        ("a\nb", 1, "a\nnew\nb"),
        ("a\nb", 2, "a\nb\nnew"),
        ("a\n", -1, "a\nnew\n"),
        ("a\n\nb", 2, "a\n\nnew\nb"),
        ("\n", -1, "\nnew\n"),
    ],
)
async def test_inserted_text_becomes_a_line_of_its_own(desk: Desk, value: str, line: int, expected: str) -> None:
    desk.remember(block("human", value))
    assert await desk.value_after("memory_insert", label="human", text="new", line=line) == expected


async def test_inserting_behind_the_last_line_is_refused_with_the_lines_there_are(desk: Desk) -> None:
    desk.remember(block("human", "a\nb"))
    result = await desk.use("memory_insert", label="human", text="new", line=3)
    assert_refused(result)
    assert "has 2 lines" in result.text


async def test_an_optional_argument_may_be_null(desk: Desk) -> None:
    desk.remember(block("human", "a"))
    assert await desk.value_after("memory_insert", label="human", text="new", line=None) == "a\nnew"


async def test_the_text_that_occurs_once_is_replaced(desk: Desk) -> None:
    desk.remember(block("human", "likes tea.\nlives in Rome."))
    assert await desk.value_after("memory_replace", label="human", old_text="tea", new_text="mate") == (
        "likes mate.\nlives in Rome."
    )
    assert await desk.value_after("memory_replace", label="human", old_text="likes tea.\n", new_text="") == "lives in Rome."


async def test_text_that_does_not_occur_is_refused(desk: Desk) -> None:
    desk.remember(block("human", "likes Tea"))
    result = await desk.use("memory_replace", label="human", old_text="tea", new_text="mate")
    assert_refused(result)
    assert "does not occur" in result.text


@pytest.mark.parametrize(("value", "lines"), [("tea\nno\ntea", "1, 3"), ("teatea", "1, 1")])
async def test_text_that_occurs_several_times_is_refused_with_the_places(desk: Desk, value: str, lines: str) -> None:
    desk.remember(block("human", value))
    result = await desk.use("memory_replace", label="human", old_text="tea", new_text="mate")
    assert_refused(result)
    assert f"2 times in the block 'human', on lines {lines}." in result.text


async def test_text_that_overlaps_itself_occurs_several_times(desk: Desk) -> None:
    desk.remember(block("human", "aaa"))
    assert_refused(await desk.use("memory_replace", label="human", old_text="aa", new_text="b"))


async def test_a_block_can_be_rewritten_and_emptied(desk: Desk) -> None:
    desk.remember(block("human", "likes tea"))
    assert await desk.value_after("memory_rethink", label="human", new_value="likes mate") == "likes mate"
    assert await desk.value_after("memory_rethink", label="human", new_value="") == ""


async def test_an_edit_names_the_version_that_it_read_and_changes_nothing_itself(desk: Desk) -> None:
    desk.remember(block("human", "likes tea"))
    edit = EditBlock(BlockId("block-human"), 7, "likes mate")
    for _ in range(2):
        result = await desk.use("memory_rethink", label="human", new_value="likes mate")
        assert result.changes == (edit,)
        assert result.text == "The block 'human' was changed and has 10 of 100 characters now."


async def test_an_edit_that_was_too_late_sees_the_new_value_when_it_runs_again(desk: Desk) -> None:
    desk.remember(block("human", "a"))
    await desk.use("memory_insert", label="human", text="mine")
    await MemoryBlockStore(desk.state).update(BlockId("block-human"), {"value": "a\nother"}, NOW)
    result = await desk.use("memory_insert", label="human", text="mine")
    assert result.changes == (EditBlock(BlockId("block-human"), 8, "a\nother\nmine"),)


async def test_an_edit_that_changes_nothing_is_no_change(desk: Desk) -> None:
    desk.remember(block("human", "likes tea"))
    result = await desk.use("memory_rethink", label="human", new_value="likes tea")
    assert result.status is ToolReturnStatus.SUCCESS
    assert result.changes == ()


async def test_a_value_at_the_limit_is_taken_and_one_above_is_refused_with_the_excess(desk: Desk) -> None:
    desk.remember(block("human", limit=10))
    assert await desk.value_after("memory_rethink", label="human", new_value="ä" * 10) == "ä" * 10
    result = await desk.use("memory_rethink", label="human", new_value="ä" * 13)
    assert_refused(result)
    assert "13 characters, 3 more than its limit of 10" in result.text


EDITS: Sequence[tuple[str, dict[str, object]]] = [
    ("memory_insert", {"text": "x"}),
    ("memory_replace", {"old_text": "tea", "new_text": "x"}),
    ("memory_rethink", {"new_value": "x"}),
]


@pytest.mark.parametrize(("tool", "arguments"), EDITS)
async def test_an_unknown_label_is_refused_with_the_labels_there_are(
    desk: Desk, tool: str, arguments: dict[str, object]
) -> None:
    desk.remember(block("human"), block("persona"))
    result = await desk.use(tool, label="humans", **arguments)
    assert_refused(result)
    assert result.text == "Error: There is no memory block 'humans'. The blocks are: human, persona."


@pytest.mark.parametrize(("tool", "arguments"), EDITS)
async def test_a_read_only_block_is_refused_with_the_blocks_that_can_be_edited(
    desk: Desk, tool: str, arguments: dict[str, object]
) -> None:
    desk.remember(block("rules", "tea", read_only=True), block("human"))
    result = await desk.use(tool, label="rules", **arguments)
    assert_refused(result)
    assert result.text == "Error: The block 'rules' is read-only. Blocks that you can edit: human."


async def test_an_agent_without_blocks_is_told_so(desk: Desk) -> None:
    result = await desk.use("memory_insert", label="x" * 10_000, text="x")
    assert_refused(result)
    assert result.text.endswith("The blocks are: none.")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ('{"text": "x"}', "'label' is missing. memory_insert takes a JSON object with: label, text, line (optional)."),
        ('{"label": "human", "text": "x", "row": 1}', "'row' is not an argument of this tool."),
        ('{"label": "human", "text": ""}', "'text': string should have at least 1 character."),
        ('{"label": "human", "text": "x", "line": -2}', "'line': input should be greater than or equal to -1."),
        ('{"label": "human", "text": null}', "'text': input should be a valid string."),
        ("[]", "The arguments are not a JSON object."),
        ('{"label": "human",', "The arguments are not valid JSON (EOF while parsing"),
        ('{"label": "human", "text": "\ud800"}', "The arguments are not Unicode text."),
    ],
)
async def test_wrong_arguments_are_told_in_one_short_sentence(desk: Desk, arguments: str, complaint: str) -> None:
    desk.remember(block("human"))
    result = await desk.tools.run(ToolCall(id="call", name="memory_insert", arguments=arguments), CONTEXT, unheard)
    assert_refused(result)
    assert complaint in result.text


async def test_messages_are_found_best_first_with_time_role_and_text(desk: Desk) -> None:
    desk.say("I like green tea")
    desk.say("Noted: GREEN and TEA", role=Role.ASSISTANT)
    desk.say("coffee")
    assert await desk.found("conversation_search", query="tea green") == [
        {"time": "2030-01-01T12:01:00+00:00", "role": "assistant", "text": "Noted: GREEN and TEA"},
        {"time": "2030-01-01T12:00:00+00:00", "role": "user", "text": "I like green tea"},
    ]


async def test_the_present_question_does_not_crowd_out_what_it_asks_for(desk: Desk) -> None:
    desk.say("my dog is Rex")
    desk.say("what is my dog called?", by=RUN_ID)
    (found,) = await desk.found("conversation_search", query="dog", limit=1)
    assert found["text"] == "my dog is Rex"


async def test_nor_does_it_when_the_call_was_approved_and_runs_on_behalf_of_the_answer(desk: Desk) -> None:
    for run_id, resumed in (("run-asking", None), ("run-partial", "run-asking"), (RUN_ID, "run-partial")):
        desk.work_on(run(id=run_id, resumes_run_id=resumed))
    desk.say("my dog is Rex")
    desk.say("the dog: which dog?", by=RunId("run-asking"))
    (found,) = await desk.found("conversation_search", query="dog", limit=1)
    assert found["text"] == "my dog is Rex"


async def test_no_more_is_found_than_asked_for(desk: Desk) -> None:
    for number in range(5):
        desk.say(f"tea {number}")
    assert [hit["text"] for hit in await desk.found("conversation_search", query="tea", limit=2)] == ["tea 4", "tea 3"]


async def test_a_long_message_is_shown_around_the_first_word_of_the_query(desk: Desk) -> None:
    desk.say("x" * 50_000 + " needle " + "y" * 50_000)
    (found,) = await desk.found("conversation_search", query="Needle")
    text = str(found["text"])
    assert " needle " in text
    assert text.startswith("…x")
    assert text.endswith("y…")
    assert len(text) == EXCERPT_CHARACTERS + 2


@pytest.mark.parametrize("tool", ["conversation_search", "archival_memory_search"])
async def test_finding_nothing_is_a_plain_answer(desk: Desk, tool: str) -> None:
    result = await desk.use(tool, query="tea")
    assert result.status is ToolReturnStatus.SUCCESS
    assert result.text.startswith("No ")


async def test_a_note_is_kept_by_its_change_alone(desk: Desk) -> None:
    desk.clock.advance(60)
    result = await desk.use("archival_memory_insert", text="Rex is a dog", tags=["pets", "dogs", "pets"])
    (change,) = result.changes
    assert isinstance(change, AddPassage)
    assert replace(change.passage, id=PassageId("")) == Passage(
        id=PassageId(""),
        agent_id=AGENT_ID,
        text="Rex is a dog",
        tags=("pets", "dogs"),
        create_time=NOW + timedelta(seconds=60),
        update_time=NOW + timedelta(seconds=60),
    )
    assert list(desk.state.passages) == []


async def test_notes_are_found_by_words_and_tags_of_this_agent_alone(desk: Desk) -> None:
    desk.note("Rex is a dog", "pets")
    desk.note("Rex is a king")
    desk.note("Rex of another", "pets", of=AgentId("agent-other"))
    assert await desk.found("archival_memory_search", query="rex", tags=["pets"]) == [
        {"time": "2030-01-01T12:00:00+00:00", "tags": ["pets"], "text": "Rex is a dog"}
    ]
    assert [hit["text"] for hit in await desk.found("archival_memory_search")] == ["Rex is a king", "Rex is a dog"]


class FailingPassages(MemoryPassageStore):
    async def search(self, agent_id: AgentId, query: str, tags: Sequence[str], limit: int) -> NoReturn:
        raise StoreUnavailable(f"secret path of {agent_id} {query} {tags} {limit}")


async def test_a_store_that_fails_is_a_neutral_error_and_the_log_has_the_rest(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.tools = desk.tools_over(FailingPassages(desk.state))
    result = await desk.use("archival_memory_search")
    assert_refused(result)
    assert "secret" not in result.text
    assert "secret path" in caplog.text


async def test_a_tool_that_is_cancelled_ends_at_once(desk: Desk) -> None:
    class Waiting(MemoryPassageStore):
        async def search(self, agent_id: AgentId, query: str, tags: Sequence[str], limit: int) -> NoReturn:  # noqa: ARG002 - the port's shape
            searching.set()
            await asyncio.Event().wait()
            raise AssertionError

    searching = asyncio.Event()
    desk.tools = desk.tools_over(Waiting(desk.state))
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(desk.use("archival_memory_search"))
        await searching.wait()
        running.cancel()
    assert running.cancelled()
