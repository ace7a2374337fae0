# ruff: noqa: ANN401 - fields passed through by name
"""Streamed answers as bytes, and what the decoder makes of them."""

import json
from typing import Any

import pytest

from letta_grpc.adapters.openai import OpenAIEndpoint
from letta_grpc.adapters.openai.failures import CallFailures
from letta_grpc.adapters.openai.stream import StreamDecoder
from letta_grpc.domain.completions import ModelChunk, ModelFinished, ToolCallChunk
from letta_grpc.domain.errors import ModelFailure

Json = dict[str, Any]
FAILURES = CallFailures(OpenAIEndpoint(name="test", base_url="http://127.0.0.1/v1"), "m")
DONE = b"data: [DONE]\n\n"


def frame(data: Json) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


def delta(fields: Json, reason: str | None = None, **choice: Any) -> bytes:
    return frame({"choices": [{"index": 0, "delta": fields, "finish_reason": reason} | choice]})


def call(fields: Json, index: int | None = 0, **outside: Any) -> bytes:
    piece: Json = {"function": fields} | outside | ({} if index is None else {"index": index})
    return delta({"tool_calls": [piece]})


def decode(*received: bytes) -> list[ModelChunk]:
    """Return all chunks of an answer, neighbours merged as if all had come at once."""
    decoder = StreamDecoder(FAILURES)
    chunks = decoder.feed(b"".join(received))
    return chunks + decoder.close()


def calls(*received: bytes) -> list[tuple[str | None, str | None, str]]:
    """Return id, name and arguments of each call."""
    found: dict[int, tuple[str | None, str | None, str]] = {}
    for chunk in decode(*received):
        if isinstance(chunk, ToolCallChunk):
            call_id, name, arguments = found.get(chunk.index, (None, None, ""))
            found[chunk.index] = (call_id or chunk.id, name or chunk.name, arguments + chunk.arguments)
    assert list(found) == list(range(len(found)))
    return list(found.values())


def finish_of(*received: bytes) -> ModelFinished:
    last = decode(*received)[-1]
    assert isinstance(last, ModelFinished)
    return last


def failure_of(*received: bytes) -> ModelFailure:
    with pytest.raises(ModelFailure) as raised:
        decode(*received)
    return raised.value
