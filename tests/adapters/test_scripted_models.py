# ruff: noqa: ANN401 - vendors' JSON, and fields passed through by name

import asyncio
import json
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from letta_grpc.adapters.clock import SystemClock
from letta_grpc.adapters.scripted import ScriptedModel, ScriptedProvider
from letta_grpc.domain.blocks import Block
from letta_grpc.domain.completions import (
    FinishReason,
    ModelFinished,
    ModelRequest,
    ReasoningChunk,
    TextChunk,
    ToolCallChunk,
    ToolDefinition,
)
from letta_grpc.domain.context import compile_system
from letta_grpc.domain.errors import ContextWindowExceeded, ModelBadRequest, ModelOverloaded
from letta_grpc.domain.ids import BlockId, MessageId, RunId
from letta_grpc.domain.messages import Message, Role, ToolCall, ToolReturn, ToolReturnStatus
from letta_grpc.domain.usage import Usage
from letta_grpc.ports.models import ChatModel
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.models import open_stream, read_all, text_of, user_request

TIME = datetime(2030, 1, 1, tzinfo=UTC)
INSERT = ToolDefinition(
    name="memory_insert",
    description="",
    parameters='{"type": "object", "properties": {"label": {"type": "string"}, "text": {"type": "string"}}}',
)


def scripted(name: str) -> ChatModel:
    model = ScriptedProvider(SystemClock(), pace_seconds=0).find(name)
    assert model is not None
    return model


def assistant(*calls: ToolCall) -> Message:
    return Message(id=MessageId("a"), role=Role.ASSISTANT, tool_calls=calls, run_id=RunId("r"), create_time=TIME)


def returned(status: ToolReturnStatus = ToolReturnStatus.SUCCESS) -> Message:
    returns = (ToolReturn(tool_call_id="c", status=status, text="x"),)
    return Message(id=MessageId("t"), role=Role.TOOL, tool_returns=returns, run_id=RunId("r"), create_time=TIME)


def followed_by(request: ModelRequest, *messages: Message) -> ModelRequest:
    return replace(request, messages=(*request.messages, *messages))


async def test_echo_gives_the_text_back_word_by_word_and_counts_words() -> None:
    batches = await read_all(scripted("echo"), user_request("  two  words\n", "echo"))
    assert [text_of([batch]) for batch in batches[:-1]] == ["  two  ", "words\n"]
    (finished,) = batches[-1]
    assert isinstance(finished, ModelFinished)
    assert (finished.usage.prompt_tokens, finished.usage.completion_tokens) == (2, 2)


def script(*turns: Any) -> ModelRequest:
    return user_request(json.dumps(turns), "script")


async def test_a_script_does_what_it_says_in_order() -> None:
    turn = [
        {"reasoning": "Hm."},
        {"text": "a "},
        {"repeat": 2, "text": "b "},
        {"tool_call": {"name": "f", "arguments": {"x": 1}, "id": "c1"}},
        {"tool_call": {"name": "g", "arguments": "{not json"}},
        {"finish": "length"},
        {"usage": {"prompt_tokens": 7, "completion_tokens": 0}},
    ]
    assert await read_all(scripted("script"), script(turn)) == [
        (ReasoningChunk("Hm."),),
        (TextChunk("a "),),
        (TextChunk("b "),),
        (TextChunk("b "),),
        (ToolCallChunk(0, "c1", "f", '{"x": 1}'),),
        (ToolCallChunk(1, None, "g", "{not json"),),
        (ModelFinished(FinishReason.LENGTH, Usage(prompt_tokens=7, completion_tokens=0)),),
    ]


async def test_a_script_goes_on_with_each_step_of_the_run_and_ends_with_nothing() -> None:
    request = script([{"text": "one"}], [{"text": "two"}])
    second = followed_by(request, assistant(), returned())
    assert text_of(await read_all(scripted("script"), request)) == "one"
    assert text_of(await read_all(scripted("script"), second)) == "two"
    assert text_of(await read_all(scripted("script"), followed_by(second, assistant()))) == ""


async def test_a_script_begins_anew_with_each_text_of_the_users() -> None:
    before = followed_by(script([{"text": "old"}]), assistant())
    assert text_of(await read_all(scripted("script"), followed_by(before, *script([{"text": "new"}]).messages))) == "new"


async def test_a_script_fails_for_the_reason_it_says() -> None:
    with pytest.raises(ContextWindowExceeded, match="too much"):
        await read_all(scripted("script"), script([{"error": "CONTEXT_WINDOW_EXCEEDED", "message": "too much"}]))


async def test_a_script_waits_by_the_clock() -> None:
    clock = FakeClock()
    model = ScriptedProvider(clock).find("script")
    assert model is not None
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        task = group.create_task(read_all(model, script([{"delay_ms": 500}, {"text": "x", "delay_ms": 500}])))
        for _ in range(2):
            await clock.until_sleepers()
            clock.advance(0.5)
    assert text_of(task.result()) == "x"


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "{}",
        '[{"text": "x"}]',
        '[[{"txt": "x"}]]',
        '[["x"]]',
        '[[{"error": "NO_SUCH"}]]',
        '[[{"finish": "never"}]]',
        '[[{"usage": {"tokens": 1}}]]',
        '[[{"text": "x", "repeat": "many"}]]',
        "[" * 100_000,
    ],
)
async def test_a_text_that_is_no_script_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ModelBadRequest, match="a JSON list of turns"):
        await read_all(scripted("script"), user_request(text, "script"))


def demo_request(text: str, memory: str = "") -> ModelRequest:
    block = Block(
        id=BlockId("b"), label="human", value=memory, description="About the person.", create_time=TIME, update_time=TIME
    )
    return replace(user_request(text, "demo"), system=compile_system("You are an agent.", [block]), tools=(INSERT,))


async def demo(request: ModelRequest) -> tuple[str, list[ToolCallChunk]]:
    batches = await read_all(scripted("demo"), request)
    return text_of(batches), [chunk for batch in batches for chunk in batch if isinstance(chunk, ToolCallChunk)]


@pytest.mark.parametrize(
    ("text", "noted"),
    [
        ("Hello, my name is Ada.", "The person's name is Ada."),
        ("I am called Grace Hopper, by the way", "The person's name is Grace Hopper."),
        ("Please remember that I like tea!", "I like tea."),
    ],
)
async def test_demo_notes_what_it_is_told_and_says_so_after_the_tools_return(text: str, noted: str) -> None:
    request = demo_request(text)
    said, (call,) = await demo(request)
    assert said
    assert (call.name, json.loads(call.arguments)) == ("memory_insert", {"label": "human", "text": noted})
    said, calls = await demo(followed_by(request, assistant(), returned()))
    assert noted.rstrip(".").lower() in said.lower()
    assert not calls


async def test_demo_says_when_its_tool_failed_or_is_not_there() -> None:
    request = demo_request("My name is Ada")
    said, _ = await demo(followed_by(request, assistant(), returned(ToolReturnStatus.ERROR)))
    assert "could not" in said
    said, calls = await demo(replace(request, tools=()))
    assert "no tool" in said
    assert not calls


@pytest.mark.parametrize(
    ("text", "arguments"),
    [("Please run memory_insert", "{}"), ('use the tool memory_insert with {"text": "tea"}', '{"text": "tea"}')],
)
async def test_demo_calls_a_tool_of_its_own_when_it_is_told_to(text: str, arguments: str) -> None:
    request = demo_request(text)
    _, (call,) = await demo(request)
    assert (call.name, call.arguments) == ("memory_insert", arguments)
    said, calls = await demo(followed_by(request, assistant(), returned()))
    assert said.startswith("The tool says: ")
    assert not calls
    assert not (await demo(demo_request("Please run away")))[1]


async def test_demo_knows_the_name_that_stands_in_its_memory_and_no_other() -> None:
    assert "Ada" in (await demo(demo_request("What is my name?", "The person's name is Ada.")))[0]
    assert "Bob" in (await demo(demo_request("what's my name", "Likes tea.\nName: Bob")))[0]
    assert "do not know" in (await demo(demo_request("What is my name?")))[0]


@pytest.mark.parametrize("text", ["Who are you?", "Are you an AI?", "Which model is this?"])
async def test_demo_says_that_it_is_scripted(text: str) -> None:
    assert "scripted/demo" in (await demo(demo_request(text)))[0]


async def test_demo_greets_and_otherwise_talks_in_several_sentences() -> None:
    assert (await demo(demo_request("Hi!")))[0].startswith("Hello")
    assert (await demo(demo_request("The weather is fine.")))[0].count(". ") >= 2


async def test_a_model_for_tests_does_turn_after_turn_and_remembers_its_requests() -> None:
    model = ScriptedModel(
        [
            ["Hello ", "you", ToolCall(id="c", name="f", arguments="{}")],
            "Done.",
            ModelOverloaded(),
            [TextChunk("x"), ModelFinished(FinishReason.LENGTH, Usage(prompt_tokens=1))],
        ]
    )
    request = user_request("x")
    assert [len(batch) for batch in await read_all(model, request)] == [1, 1, 1, 1]
    assert text_of(await read_all(model, request)) == "Done."
    with pytest.raises(ModelOverloaded):
        await read_all(model, request)
    last = (await read_all(model, request))[-1]
    assert last == (ModelFinished(FinishReason.LENGTH, Usage(prompt_tokens=1)),)
    assert model.requests == [request] * 4
    with pytest.raises(ModelBadRequest):
        await read_all(model, request)


async def test_a_model_for_tests_waits_for_an_event_and_notices_a_reader_that_leaves() -> None:
    gate = asyncio.Event()
    model = ScriptedModel([["a", gate, "b"], ["a", asyncio.Event()]])
    async with asyncio.timeout(5):
        async with aclosing(open_stream(model, user_request("x"))) as batches:
            await anext(batches)
            gate.set()
            assert text_of([await anext(batches)]) == "b"
            await anext(batches)
        assert model.closed == 1
        async with aclosing(open_stream(model, user_request("x"))) as batches:
            await anext(batches)
            assert model.active == 1
    assert (model.active, model.closed) == (0, 2)
