"""What of an agent's texts is the content of a chat completion."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from letta_grpc.gateway.faces.openai.words import Words
from tests.requirements.registry import requirement
from tests.support.faces import Faced, faced, script
from tests.support.gateways import blocks_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = "/v1/chat/completions"
CALL = {"tool_call": {"name": "archival_memory_search", "arguments": {"query": "x"}}}
BRACE = '{"a": '
SHAPE = {
    "type": "json_schema",
    "json_schema": {"name": "it", "schema": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Faced]:
    async with faced(tmp_path_factory.mktemp("house")) as server:
        yield server


async def message_of(server: Faced, words: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    agent_id = await server.agent("scripted/script", tools=["archival_memory_search"])
    body = {"model": agent_id, "messages": [{"role": "user", "content": words}]}
    answer = await server.http.post(CHAT, json=body | more)
    assert answer.status_code == 200, answer.text
    message: dict[str, Any] = answer.json()["choices"][0]["message"]
    return message


async def stream_of(server: Faced, words: str, **more: Any) -> list[Any]:  # noqa: ANN401 - any JSON
    agent_id = await server.agent("scripted/script", tools=["archival_memory_search"])
    body = {"model": agent_id, "messages": [{"role": "user", "content": words}], "stream": True}
    answer = await server.http.post(CHAT, json=body | more)
    *data, done = [block.removeprefix("data: ") for block in blocks_of(answer.text)]
    assert done == "[DONE]"
    return [json.loads(text) for text in data]


def pieces_of(chunks: list[Any], kind: str = "content") -> list[str]:
    return [text for chunk in chunks if (text := chunk["choices"][0]["delta"].get(kind))]


@requirement("openai_words")
async def test_texts_before_and_behind_a_tool_are_paragraphs_in_both_ways(server: Faced) -> None:
    words = script(
        [{"reasoning": "Hm."}, {"text": "Let me "}, {"text": "look."}, CALL],
        [CALL],
        [{"reasoning": "Aha."}, {"text": "It is 5."}],
    )
    whole = await message_of(server, words)
    assert (whole["content"], whole["reasoning_content"]) == ("Let me look.\n\nIt is 5.", "Hm.\n\nAha.")
    chunks = await stream_of(server, words)
    assert pieces_of(chunks) == ["Let me ", "look.", "\n\nIt is 5."]
    assert pieces_of(chunks, "reasoning_content") == ["Hm.", "\n\nAha."]


@requirement("openai_shape")
@pytest.mark.parametrize("before", [[{"text": "Let me "}, {"text": "look."}, CALL], [{"text": "It is 5."}]])
async def test_an_answer_with_a_shape_is_the_last_text_alone(server: Faced, before: list[Any]) -> None:
    """What is said before a tool is called, and a try that has another shape, would make the whole no JSON."""
    words = script(before, [{"text": f" \n{BRACE}"}, {"text": "5}"}])
    assert json.loads((await message_of(server, words, response_format=SHAPE))["content"]) == {"a": 5}
    pieces = pieces_of(await stream_of(server, words, response_format=SHAPE))
    assert pieces == [f" \n{BRACE}", "5}"]


@requirement("openai_shape")
async def test_json_that_was_told_and_is_written_again_is_an_error_and_no_broken_json(server: Faced) -> None:
    words = script([{"text": BRACE}, {"text": '"five"}'}], [{"text": '{"a": 5}'}])
    assert json.loads((await message_of(server, words, response_format=SHAPE))["content"]) == {"a": 5}
    *chunks, told = await stream_of(server, words, response_format=SHAPE)
    assert pieces_of(chunks) == [BRACE, '"five"}']
    assert told["error"]["code"] == "INVALID_MODEL_OUTPUT"
    assert "without streaming" in told["error"]["message"].lower()


@requirement("openai_shape")
async def test_what_looks_like_no_json_and_is_the_last_is_told_at_the_end(server: Faced) -> None:
    """An answer that reached its limit is not checked, and a number is JSON, too."""
    words = script({"text": "I "}, {"text": "can't"}, {"finish": "length"})
    chunks = await stream_of(server, words, response_format=SHAPE)
    assert pieces_of(chunks) == ["I can't"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


async def test_what_was_held_of_a_message_that_is_void_is_not_told() -> None:
    words = Words(has_shape=True)
    assert words.next("message-1", "Well, ") == ""
    assert not words.void(["message-1"])
    assert words.rest() == ""
