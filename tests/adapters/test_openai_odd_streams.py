# ruff: noqa: ANN401 - vendors' JSON
"""Streams as the protocol does not have them, and the answers in them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from letta_grpc.adapters.openai.stream import StreamDecoder
from letta_grpc.domain.completions import FinishReason, ModelFinished, ReasoningChunk, TextChunk, ToolCallChunk
from letta_grpc.domain.errors import (
    InsufficientCredits,
    InvalidModelOutput,
    ModelAuthFailed,
    ModelBadRequest,
    ModelFailure,
    ModelOverloaded,
    ModelRateLimited,
)
from letta_grpc.domain.usage import Usage
from tests.support.chat_streams import DONE, FAILURES, call, calls, decode, delta, failure_of, finish_of, frame

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


@pytest.mark.parametrize("number", [b"Infinity", b"-Infinity", b"NaN", b"1e999", b"1e300"])
def test_a_count_that_no_counting_gives_is_not_reported(number: bytes) -> None:
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": %b, "completion_tokens": 5}}\n\n' % number
    assert finish_of(delta({"content": "x"}, "stop"), usage, DONE).usage == Usage(completion_tokens=5)


def test_counts_may_be_digits_in_quotes() -> None:
    usage = frame({"choices": [], "usage": {"prompt_tokens": "7", "completion_tokens": "3", "total_tokens": "²"}})
    assert finish_of(delta({"content": "x"}, "stop"), usage, DONE).usage == Usage(
        prompt_tokens=7, completion_tokens=3, total_tokens=10, context_tokens=10
    )


@pytest.mark.parametrize("nothing", [b"data: null\n\n", b'data: {"choices": [null]}\n\n'])
def test_a_chunk_of_nothing_is_skipped(nothing: bytes) -> None:
    assert decode(delta({"content": "x"}), nothing, delta({}, "stop"), DONE)[0] == TextChunk("x")


def test_an_index_may_be_a_digit_in_quotes() -> None:
    choices = [{"index": "0", "delta": {"content": "x"}}, {"index": "1", "delta": {"content": "y"}}]
    assert decode(frame({"choices": choices}), DONE)[0] == TextChunk("x")


@pytest.mark.parametrize("nothing", [b"", b"data: null\n\n", frame({"choices": [], "usage": USAGE})])
def test_an_end_with_no_answer_before_it_is_invalid_and_may_be_asked_for_again(nothing: bytes) -> None:
    failure = failure_of(nothing, DONE)
    assert isinstance(failure, InvalidModelOutput)
    assert "an empty answer" in failure.message
    assert failure.retry_delay_seconds is not None


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"detail": "Model not loaded"}, ModelOverloaded),
        ({"message": "Rate limited", "code": 429}, ModelRateLimited),
        ({"error": "Unexpected endpoint"}, ModelOverloaded),
        ({"error": {"message": "no", "type": "invalid_request_error"}}, ModelBadRequest),
        ({"choices": None, "base_resp": {"status_code": 1004, "status_msg": "login fail"}}, ModelAuthFailed),
        ({"base_resp": {"status_code": 1008, "status_msg": "no balance"}}, InsufficientCredits),
        ({"base_resp": {"status_code": 1000, "status_msg": "unknown error"}}, ModelOverloaded),
        ({"base_resp": {"status_code": 0, "status_msg": ""}}, InvalidModelOutput),
    ],
)
def test_a_body_without_an_answer_is_the_vendors_complaint(body: dict[str, Any], kind: type[ModelFailure]) -> None:
    assert type(failure_of(json.dumps(body).encode())) is kind


def test_a_complaint_of_minimax_is_one_in_a_stream_too() -> None:
    refused = {"choices": None, "base_resp": {"status_code": 1004, "status_msg": "login fail"}}
    assert isinstance(failure_of(frame(refused)), ModelAuthFailed)


def test_words_in_a_chunk_of_a_stream_are_no_complaint() -> None:
    assert decode(frame({"message": "processing"}), delta({"content": "x"}, "stop"), DONE)[0] == TextChunk("x")


def test_what_is_not_json_is_not_written_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    failure_of(b"data: no key like sk-secret\n\n")
    assert "is not JSON" in caplog.text
    assert "secret" not in caplog.text


def test_half_a_character_in_a_complaint_or_in_the_name_of_a_call_is_not_passed_on() -> None:
    assert failure_of(b'data: {"error": {"message": "so long \\ud83d"}}\n\n').message.endswith(": so long ?")
    piece = b'{"index": 0, "id": "1\\ud83d", "function": {"name": "f\\ud83d", "arguments": "{}"}}'
    chunks = decode(b'data: {"choices": [{"delta": {"tool_calls": [' + piece + b"]}}]}\n\n", DONE)
    assert chunks[0] == ToolCallChunk(0, "1?", "f?", "{}")


@pytest.mark.parametrize("opening", [b"[", b'{"error":'])
def test_what_is_nested_without_end_is_invalid(opening: bytes) -> None:
    closing = {b"[": b"]", b'{"error":': b"}"}[opening]
    for depth in (1000, 100_000):
        nested = opening * depth + b"0" + closing * depth
        assert isinstance(failure_of(b"data: " + nested + b"\n\n"), InvalidModelOutput)
        assert isinstance(failure_of(nested), InvalidModelOutput)
        assert FAILURES.refused(400, {}, nested, datetime.now(UTC)).reason == ModelBadRequest.reason


HALVES = (r'{"content": "a\ud83d"}', r'{"content": "\udc4b"}')
HALVES_OF_ARGUMENTS = (
    r'{"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "a\ud83d"}}]}',
    r'{"tool_calls": [{"index": 0, "function": {"arguments": "\udc4b"}}]}',
)
THOUGHT = '{"reasoning_content": "b"}'


@pytest.mark.parametrize(
    ("deltas", "chunks"),
    [
        (HALVES, [TextChunk("a"), TextChunk("👋")]),
        (HALVES_OF_ARGUMENTS, [ToolCallChunk(0, "c", "f", "a"), ToolCallChunk(0, None, None, "👋")]),
        ((HALVES[0], '{"content": ""}', HALVES[1]), [TextChunk("a"), TextChunk("👋")]),
        ((HALVES[0], *HALVES), [TextChunk("a"), TextChunk("\ufffda"), TextChunk("👋")]),
        ((HALVES[0], THOUGHT), [TextChunk("a"), TextChunk("\ufffd"), ReasoningChunk("b")]),
        ((HALVES[1], HALVES[0]), [TextChunk("\ufffd"), TextChunk("a"), TextChunk("\ufffd")]),
    ],
)
def test_half_a_character_at_the_end_of_a_read_waits_for_the_other_half(deltas: tuple[str, ...], chunks: list[Any]) -> None:
    decoder = StreamDecoder(FAILURES)
    reads = [decoder.feed(b'data: {"choices": [{"delta": %b}]}\n\n' % fields.encode()) for fields in deltas]
    reads.append(decoder.feed(DONE))
    assert [chunk for read in reads for chunk in read if not isinstance(chunk, ModelFinished)] == chunks


def test_half_a_character_where_the_bytes_end_is_replaced() -> None:
    decoder = StreamDecoder(FAILURES)
    decoder.feed(b'data: {"choices": [{"delta": %b, "finish_reason": "stop"}]}\n\n' % HALVES[0].encode())
    assert decoder.close() == [TextChunk("\ufffd"), ModelFinished(FinishReason.STOP)]
