"""Our decoding against that of OpenAI's own client, on streams in the shapes that vendors send."""
# ruff: noqa: ANN401 - vendors' JSON, and fields passed through by name

import json
from typing import Any

import httpx2
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionChunk

from letta_grpc.adapters.openai import OpenAIEndpoint
from letta_grpc.adapters.openai.failures import CallFailures
from letta_grpc.adapters.openai.stream import StreamDecoder
from letta_grpc.domain.completions import ModelChunk, ModelFinished, TextChunk, ToolCallChunk

Json = dict[str, Any]
USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 4,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 8},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


def chunk(delta: Json, reason: str | None = None, **fields: Any) -> Json:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]} | fields


def call(index: int, fields: Json, **outside: Any) -> Json:
    return chunk({"tool_calls": [{"index": index, "function": fields} | outside]})


OPENAI_TEXT = [
    chunk({"role": "assistant", "content": "", "refusal": None}, usage=None, service_tier="default"),
    *(chunk({"content": word}, usage=None) for word in ("Hello", ",", " wörld", "! 👋", "\n\n", "Bye")),
    chunk({}, "stop", usage=None),
    chunk({}, choices=[], usage=USAGE),
]
OPENAI_TOOLS = [
    chunk({"role": "assistant", "content": None}),
    call(0, {"name": "get_weather", "arguments": ""}, id="call_a", type="function"),
    *(call(0, {"arguments": part}) for part in ('{"ci', 'ty": "', "Zürich", '"}')),
    call(1, {"name": "get_time", "arguments": ""}, id="call_b", type="function"),
    *(call(1, {"arguments": part}) for part in ("{", "}")),
    chunk({}, "tool_calls"),
    chunk({}, choices=[], usage=USAGE),
]
VLLM = [
    chunk({"role": "assistant", "content": ""}, usage={"prompt_tokens": 11, "total_tokens": 11, "completion_tokens": 0}),
    chunk({"content": "one "}, usage={"prompt_tokens": 11, "total_tokens": 12, "completion_tokens": 1}),
    chunk({"content": "two"}, "length", usage={"prompt_tokens": 11, "total_tokens": 13, "completion_tokens": 2}),
    chunk(
        {}, choices=[], usage={"prompt_tokens": 11, "total_tokens": 13, "completion_tokens": 2, "prompt_tokens_details": None}
    ),
]
DEEPSEEK = [
    chunk({"role": "assistant", "content": None, "reasoning_content": ""}),
    chunk({"content": None, "reasoning_content": "Hm."}),
    chunk({"content": "Yes", "reasoning_content": None}),
    chunk({"content": "", "reasoning_content": None}, "stop", usage=USAGE | {"prompt_cache_hit_tokens": 8}),
]
WHOLE_CALL = [
    chunk({"role": "assistant", "content": "Let me look. "}),
    call(0, {"name": "f", "arguments": '{"x": [1, 2]}'}, id="a", type="function"),
    call(1, {"name": "g", "arguments": "{}"}, id="b", type="function"),
    chunk({"content": ""}, "tool_calls"),
]
AZURE = [
    {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
    chunk({"content": "Hi"}, content_filter_results={}),
    chunk({}, "content_filter"),
]
CORPUS = {
    "openai": OPENAI_TEXT,
    "tools": OPENAI_TOOLS,
    "vllm": VLLM,
    "deepseek": DEEPSEEK,
    "whole": WHOLE_CALL,
    "azure": AZURE,
}


def encode(chunks: list[Json], line_end: str) -> bytes:
    frames = [json.dumps(each, ensure_ascii=False) for each in chunks] + ["[DONE]"]
    comment = f": keep-alive{line_end}{line_end}"
    return (comment + "".join(f"data: {frame}{line_end}{line_end}" for frame in frames)).encode()


def by_sdk(data: bytes) -> list[ChatCompletionChunk]:
    headers = {"content-type": "text/event-stream"}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=data, headers=headers))
    with OpenAI(api_key="k", base_url="http://127.0.0.1/v1", http_client=httpx2.Client(transport=transport)) as client:
        return list(client.chat.completions.create(model="m", messages=[], stream=True))


def by_us(data: bytes) -> list[ModelChunk]:
    decoder = StreamDecoder(CallFailures(OpenAIEndpoint(name="t", base_url="http://127.0.0.1/v1"), "m"))
    chunks = [chunk for start in range(0, len(data), 100) for chunk in decoder.feed(data[start : start + 100])]
    return chunks + decoder.close()


def sdk_calls(chunks: list[ChatCompletionChunk]) -> dict[int, tuple[str, str, str]]:
    calls: dict[int, tuple[str, str, str]] = {}
    for piece in (p for c in chunks for choice in c.choices for p in choice.delta.tool_calls or []):
        call_id, name, arguments = calls.get(piece.index, ("", "", ""))
        function = piece.function
        assert function is not None
        calls[piece.index] = (call_id + (piece.id or ""), name + (function.name or ""), arguments + (function.arguments or ""))
    return calls


def our_calls(chunks: list[ModelChunk]) -> dict[int, tuple[str, str, str]]:
    calls: dict[int, tuple[str, str, str]] = {}
    for piece in (c for c in chunks if isinstance(c, ToolCallChunk)):
        call_id, name, arguments = calls.get(piece.index, ("", "", ""))
        calls[piece.index] = (call_id + (piece.id or ""), name + (piece.name or ""), arguments + piece.arguments)
    return calls


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("chunks", CORPUS.values(), ids=CORPUS)
def test_we_read_what_the_vendors_client_reads(chunks: list[Json], line_end: str) -> None:
    data = encode(chunks, line_end)
    theirs, ours = by_sdk(data), by_us(data)
    finished = ours[-1]
    assert isinstance(finished, ModelFinished)
    assert len(theirs) == len(chunks)

    assert "".join(c.text for c in ours if isinstance(c, TextChunk)) == "".join(
        choice.delta.content or "" for c in theirs for choice in c.choices
    )
    assert our_calls(ours) == sdk_calls(theirs)
    assert finished.reason.value == [choice.finish_reason for c in theirs for choice in c.choices if choice.finish_reason][-1]
    usage = next((c.usage for c in reversed(theirs) if c.usage), None)
    assert finished.usage.prompt_tokens == (usage and usage.prompt_tokens)
    assert finished.usage.completion_tokens == (usage and usage.completion_tokens)
    assert finished.usage.total_tokens == (usage and usage.total_tokens)
    details = usage and usage.prompt_tokens_details
    assert finished.usage.cached_input_tokens == (details and details.cached_tokens)
    completion = usage and usage.completion_tokens_details
    assert finished.usage.reasoning_tokens == (completion and completion.reasoning_tokens)
