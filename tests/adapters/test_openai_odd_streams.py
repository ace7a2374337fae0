"""Streams as the protocol does not have them, and the answers in them."""

import pytest

from letta_grpc.adapters.openai.stream import StreamDecoder
from letta_grpc.domain.completions import FinishReason, ModelFinished, TextChunk
from tests.support.chat_streams import FAILURES, decode, delta, frame

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
