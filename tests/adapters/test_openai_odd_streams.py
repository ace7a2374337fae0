# ruff: noqa: ANN401 - vendors' JSON
"""Streams as the protocol does not have them, and the answers in them."""

from typing import Any

import pytest

from letta_grpc.adapters.openai.stream import StreamDecoder
from letta_grpc.domain.completions import FinishReason, ModelFinished, TextChunk
from tests.support.chat_streams import DONE, FAILURES, call, calls, decode, delta, frame

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
WHOLE = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "length"}


@pytest.mark.parametrize("size", [10_000, 1], ids=["one read", "bytewise"])
def test_a_whole_message_behind_its_pieces_ends_them_and_is_not_said_again(size: int) -> None:
    closing = frame({"object": "chat.completion", "choices": [WHOLE], "usage": USAGE})
    stream = delta({"content": "Hel"}) + delta({"content": "lo"}) + closing
    decoder = StreamDecoder(FAILURES)
    chunks = [chunk for start in range(0, len(stream), size) for chunk in decoder.feed(stream[start : start + size])]
    chunks += decoder.close()
    assert "".join(chunk.text for chunk in chunks if isinstance(chunk, TextChunk)) == "Hello"
    assert isinstance(chunks[-1], ModelFinished)
    assert (chunks[-1].reason, chunks[-1].usage.total_tokens) == (FinishReason.LENGTH, 10)


def test_a_whole_message_behind_an_opening_without_words_is_the_answer() -> None:
    assert decode(delta({"role": "assistant", "content": ""}), frame({"choices": [WHOLE]}))[0] == TextChunk("Hello")


@pytest.mark.parametrize(
    "pieces",
    [
        [{"index": 0, "id": "", "type": "function", "function": {"name": "", "arguments": ""}}],
        [{"index": 0, "id": "a", "function": {"name": None, "arguments": None}}],
        [{"index": 0}],
        [{}],
        [None],
    ],
)
def test_a_call_of_which_nothing_comes_is_none(pieces: Any) -> None:
    chunks = decode(delta({"content": "Hello", "tool_calls": pieces}), delta({}, "stop"), DONE)
    assert chunks == [TextChunk("Hello"), ModelFinished(FinishReason.STOP)]


def test_an_empty_call_beside_another_leaves_no_gap() -> None:
    empty = call({"arguments": ""}, index=0, id="x")
    assert calls(empty, call({"name": "f", "arguments": "{}"}, index=1, id="a"), call({"arguments": ""}, index=2), DONE) == [
        ("a", "f", "{}")
    ]


def test_a_call_whose_id_comes_before_its_name_keeps_it() -> None:
    assert calls(call({}, id="a"), call({"name": "f"}), call({"arguments": "{}"}), DONE) == [("a", "f", "{}")]
