"""What a vendor gives with a call goes back with that call."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from letta_grpc.adapters.openai import OpenAIEndpoint
from letta_grpc.adapters.openai.dialect import Dialect
from letta_grpc.adapters.openai.failures import CallFailures
from letta_grpc.adapters.openai.request import encode_request
from letta_grpc.adapters.openai.stream import StreamDecoder
from letta_grpc.domain.completions import HiddenReasoningChunk, ModelChunk, ModelRequest, ToolCallChunk
from letta_grpc.domain.ids import MessageId, RunId
from letta_grpc.domain.messages import Message, RedactedReasoningPart, Role, ToolCall

SIGNED = {"google": {"thought_signature": "c2ln"}}
OTHER = {"google": {"thought_signature": "b3RoZXI="}}


def proofs(*pieces: dict[str, Any]) -> tuple[RedactedReasoningPart, ...]:
    """Return what is kept of an answer with these pieces of calls."""
    return tuple(RedactedReasoningPart(chunk.data or "") for chunk in read(*pieces) if isinstance(chunk, HiddenReasoningChunk))


def read(*pieces: dict[str, Any]) -> Sequence[ModelChunk]:
    decoder = StreamDecoder(CallFailures(OpenAIEndpoint(name="gemini", base_url="http://127.0.0.1/v1"), "m"))
    frames = [{"choices": [{"delta": {"tool_calls": [piece]}}]} for piece in pieces]
    chunks = decoder.feed(b"".join(b"data: %b\n\n" % json.dumps(frame).encode() for frame in frames) + b"data: [DONE]\n\n")
    decoder.close()
    return chunks


def piece(call_id: str, index: int, **outside: Any) -> dict[str, Any]:  # noqa: ANN401 - a vendor's
    return {"id": call_id, "index": index, "function": {"name": "f", "arguments": "{}"}} | outside


def sent_back(content: tuple[RedactedReasoningPart, ...], *calls: ToolCall, author: str = "gemini/m") -> list[Any]:
    message = Message(
        id=MessageId("message-1"),
        role=Role.ASSISTANT,
        content=content,
        tool_calls=calls,
        run_id=RunId("run-1"),
        model=author,
        create_time=datetime(2030, 1, 1, tzinfo=UTC),
    )
    body = json.loads(encode_request(ModelRequest(model="m", system="", messages=(message,)), Dialect(), provider="gemini"))
    assert "reasoning_details" not in body["messages"][0]
    return [call.get("extra_content") for call in body["messages"][0]["tool_calls"]]


FIRST = ToolCall(id="a", name="f", arguments="{}")
SECOND = ToolCall(id="b", name="f", arguments="{}")


def test_what_proves_a_call_is_told_before_it() -> None:
    chunks = read(piece("a", 0, extra_content=SIGNED), piece("b", 1, extra_content=OTHER))
    assert list(map(type, chunks[:4])) == [HiddenReasoningChunk, ToolCallChunk] * 2


@pytest.mark.parametrize("ids", [("a", "b"), ("", "")], ids=["by id", "by position"])
def test_the_signature_of_a_call_goes_back_with_that_call(ids: tuple[str, str]) -> None:
    kept = proofs(piece(ids[0], 0, extra_content=SIGNED), piece(ids[1], 1, extra_content=OTHER))
    assert sent_back(kept, FIRST, SECOND) == [SIGNED, OTHER]


def test_a_call_without_a_signature_gets_none() -> None:
    assert sent_back(proofs(piece("a", 0), piece("b", 1, extra_content=OTHER)), FIRST, SECOND) == [None, OTHER]


def test_a_signature_is_found_by_the_vendors_id_wherever_the_call_stands_now() -> None:
    kept = proofs(piece("call_0", 0, extra_content=SIGNED), piece("call_1", 1, extra_content=OTHER))
    renamed = replace(FIRST, provider_id="call_0"), replace(SECOND, provider_id="call_1")
    assert sent_back(kept, *reversed(renamed)) == [OTHER, SIGNED]


def test_a_signature_that_comes_in_each_piece_is_kept_once() -> None:
    more = {"index": 0, "function": {"arguments": " "}, "extra_content": SIGNED}
    assert len(proofs(piece("a", 0, extra_content=SIGNED), more)) == 1


def test_no_other_model_sees_a_signature() -> None:
    kept = proofs(piece("a", 0, extra_content=SIGNED))
    assert sent_back(kept, FIRST, author="gemini/other") == [None]
    assert sent_back(kept, FIRST, author="openai/m") == [None]


@pytest.mark.parametrize("extra", [None, {}, "text", ["list"]])
def test_what_is_no_object_is_not_kept(extra: Any) -> None:  # noqa: ANN401 - a vendor's
    assert proofs(piece("a", 0, extra_content=extra)) == ()
