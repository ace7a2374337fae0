import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from letta_grpc.adapters.openai.stream import StreamDecoder
from letta_grpc.domain.completions import (
    FinishReason,
    HiddenReasoningChunk,
    ModelChunk,
    ModelFinished,
    ReasoningChunk,
    ReasoningSealChunk,
    ReasoningSummaryChunk,
    TextChunk,
    ToolCallChunk,
)
from letta_grpc.domain.errors import (
    InvalidModelOutput,
    ModelBadRequest,
    ModelFailure,
    ModelOverloaded,
    ModelRateLimited,
)
from letta_grpc.domain.usage import Usage
from tests.requirements.registry import requirement
from tests.support.chat_streams import DONE, FAILURES, Json, call, calls, decode, delta, failure_of, finish_of, frame

STREAM = (
    b": OPENROUTER PROCESSING\n\n"
    + delta({"role": "assistant", "content": ""})
    + delta({"reasoning_content": "Hm … "})
    + delta({"content": "Grüße "})
    + delta({"content": "👋"})
    + call({"name": "lookup", "arguments": ""}, id="a")
    + call({"arguments": '{"wort": "ü"}'})
    + delta({}, "tool_calls")
    + frame({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})
    + DONE
)
DECODED = [
    ReasoningChunk("Hm … "),
    TextChunk("Grüße 👋"),
    ToolCallChunk(0, "a", "lookup", '{"wort": "ü"}'),
    ModelFinished(FinishReason.TOOL_CALLS, Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5, context_tokens=5)),
]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@settings(deadline=None)  # how fast this machine is now is no property
@given(cuts=st.lists(st.integers(min_value=0, max_value=len(STREAM) + 40), max_size=12))
def test_any_split_of_the_bytes_and_any_line_end_give_the_same_answer(line_end: bytes, cuts: list[int]) -> None:
    data = STREAM.replace(b"\n", line_end)
    decoder = StreamDecoder(FAILURES)
    batches = [decoder.feed(data[start:end]) for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), None], strict=True)]
    assert merged([*batches, decoder.close()]) == DECODED


def merged(batches: list[list[ModelChunk]]) -> list[ModelChunk]:
    result: list[ModelChunk] = []
    for chunk in (chunk for batch in batches for chunk in batch):
        match (result[-1] if result else None), chunk:
            case TextChunk(before), TextChunk(text):
                result[-1] = TextChunk(before + text)
            case ReasoningChunk(before), ReasoningChunk(text):
                result[-1] = ReasoningChunk(before + text)
            case ToolCallChunk(index, call_id, name, before), ToolCallChunk() if index == chunk.index:
                result[-1] = ToolCallChunk(index, call_id or chunk.id, name or chunk.name, before + chunk.arguments)
            case _:
                result.append(chunk)
    return result


def test_every_byte_alone_gives_the_same_answer() -> None:
    decoder = StreamDecoder(FAILURES)
    assert merged([decoder.feed(bytes([byte])) for byte in STREAM]) == DECODED
    assert decoder.done


def test_what_comes_in_one_read_is_one_batch_with_neighbours_merged() -> None:
    assert decode(STREAM) == DECODED


def test_data_in_several_lines_is_one_frame() -> None:
    assert decode(b'data: {"choices": [\ndata: {"delta": {"content": "x"}}]}\n\n', DONE)[0] == TextChunk("x")


def test_byte_order_mark_names_ids_and_empty_data_mean_nothing() -> None:
    noise = b"\xef\xbb\xbfevent: message\nid: 7\nretry: 10\ndata:\n\ndata\n\n"
    assert decode(noise, delta({"content": "x"}), DONE)[0] == TextChunk("x")


@requirement("complaint_25_told_apart")
@pytest.mark.parametrize(
    "deltas",
    [
        [{"reasoning_content": "Let me "}, {"reasoning_content": "think."}],
        [{"reasoning": "Let me "}, {"reasoning": "think."}],
        [{"reasoning": "Let me ", "reasoning_content": "Let me "}, {"reasoning": "think.", "reasoning_content": "think."}],
        [
            {"reasoning": "Let me ", "reasoning_details": [{"type": "reasoning.text", "text": "Let me "}]},
            {"reasoning": "think.", "reasoning_details": [{"type": "reasoning.text", "text": "think."}]},
        ],
        [{"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Let me think."}]}]}],
    ],
    ids=["deepseek", "vllm", "both", "openrouter", "mistral"],
)
def test_reasoning_is_read_in_every_spelling_and_only_once(deltas: list[Json]) -> None:
    assert decode(*map(delta, deltas), DONE)[:-1] == [ReasoningChunk("Let me think.")]


def test_reasoning_in_details_is_told_apart_and_proofs_keep_every_field_of_the_vendors() -> None:
    proof = {"type": "reasoning.text", "signature": "sig", "format": "anthropic-claude-v1", "index": 0}
    hidden = {"type": "reasoning.encrypted", "data": "x", "id": "rs_1"}
    details: list[Json] = [
        {"type": "reasoning.text", "text": "Hm."},
        proof,
        {"type": "reasoning.summary", "summary": "I thought."},
        hidden,
        {"type": "reasoning.encrypted"},
    ]
    read, seal, summary, redacted, omitted, _ = decode(*(delta({"reasoning_details": [each]}) for each in details), DONE)
    assert (read, summary, omitted) == (ReasoningChunk("Hm."), ReasoningSummaryChunk("I thought."), HiddenReasoningChunk(None))
    assert isinstance(seal, ReasoningSealChunk)
    assert isinstance(redacted, HiddenReasoningChunk)
    assert (json.loads(seal.signature), json.loads(redacted.data or "")) == (proof, hidden)


def test_reasoning_comes_before_the_text_of_the_same_chunk() -> None:
    both = delta({"content": "Yes.", "reasoning": "Hm."})
    assert decode(both, DONE)[:-1] == [ReasoningChunk("Hm."), TextChunk("Yes.")]


def test_a_refusal_is_text() -> None:
    assert decode(delta({"refusal": "I will not."}), DONE)[0] == TextChunk("I will not.")


def test_interleaved_calls_keep_their_pieces() -> None:
    pieces = [call({"name": "f", "arguments": ""}, 0, id="a"), call({"name": "g", "arguments": ""}, 1, id="b")]
    pieces += [call({"arguments": '{"x":'}, 0), call({"arguments": "[]"}, 1), call({"arguments": "1}"}, 0)]
    assert calls(*pieces, DONE) == [("a", "f", '{"x":1}'), ("b", "g", "[]")]


def test_calls_without_index_are_told_apart_by_id_and_by_name() -> None:
    by_id = [call({"name": "f", "arguments": '{"x"'}, None, id="a"), call({"arguments": ":1}"}, None, id="a")]
    by_id += [call({"name": "f", "arguments": "{}"}, None, id="b")]
    assert calls(*by_id, DONE) == [("a", "f", '{"x":1}'), ("b", "f", "{}")]
    by_name = [call({"name": "f", "arguments": "{}"}, None), call({"name": "f", "arguments": "{}"}, None)]
    by_name += [call({"name": "g", "arguments": ""}, None)]
    assert calls(*by_name, DONE) == [(None, "f", "{}"), (None, "f", "{}"), (None, "g", "")]


def test_whole_calls_that_all_say_index_zero_are_several() -> None:
    pieces = [call({"name": "f", "arguments": "{}"}, 0, id="a"), call({"name": "f", "arguments": '{"x":1}'}, 0, id="b")]
    assert calls(*pieces, DONE) == [("a", "f", "{}"), ("b", "f", '{"x":1}')]
    without_ids = [call({"name": "f", "arguments": "{}"}, 0, id=""), call({"name": "f", "arguments": "{}"}, 0, id="")]
    assert len(calls(*without_ids, DONE)) == 2


def test_id_and_name_may_be_repeated_in_every_piece() -> None:
    pieces = [call({"name": "f", "arguments": part}, 0, id="a") for part in ('{"x"', ":", "1}")]
    assert calls(*pieces, DONE) == [("a", "f", '{"x":1}')]


def test_a_name_in_every_piece_costs_no_more_the_longer_the_call_has_become(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    orjson_loads = orjson.loads

    def loads(value: bytes | str) -> object:
        read.extend([value] if isinstance(value, str) else [])
        return orjson_loads(value)

    monkeypatch.setattr("letta_grpc.adapters.openai.tool_calls.orjson.loads", loads)
    arguments = ['{"x": "', *["word "] * 1000, '"}']
    pieces = [call({"name": "f", "arguments": part}, 0) for part in (*arguments, "{}")]
    assert [part for _, _, part in calls(*pieces, DONE)] == ["".join(arguments), "{}"]
    assert read == ["".join(arguments)]


def test_a_new_id_in_every_piece_of_one_call_is_ignored() -> None:
    pieces = [call({"name": "f", "arguments": part}, 0, id=part) for part in ('{"x"', ":", "1}")]
    assert calls(*pieces, DONE) == [('{"x"', "f", '{"x":1}')]


@pytest.mark.parametrize(
    ("fields", "arguments"),
    [({}, ""), ({"arguments": None}, ""), ({"arguments": {"x": 1}}, '{"x":1}'), ({"arguments": "{}"}, "{}")],
)
def test_arguments_may_be_absent_null_or_an_object(fields: Json, arguments: str) -> None:
    assert calls(call({"name": "f"} | fields, id="a"), DONE) == [("a", "f", arguments)]


def test_the_one_call_of_the_first_protocol_is_a_call() -> None:
    pieces = [delta({"function_call": {"name": "f", "arguments": "{"}}), delta({"function_call": {"arguments": "}"}})]
    assert calls(*pieces, delta({}, "function_call"), DONE) == [(None, "f", "{}")]


def test_a_call_that_names_no_tool_is_invalid() -> None:
    assert isinstance(failure_of(call({"arguments": "{}"}, id="a"), DONE), InvalidModelOutput)


USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


@requirement("complaint_15_usage")
@pytest.mark.parametrize(
    "frames",
    [
        [delta({"content": "x"}, "stop"), frame({"choices": [], "usage": USAGE})],
        [delta({"content": "x"}), frame({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": USAGE})],
        [delta({"content": "x"}), delta({}, "stop", usage=USAGE)],
        [frame({"choices": [{"delta": {"content": "x"}}], "usage": USAGE | {"completion_tokens": n}}) for n in (1, 2, 3)],
        [frame({"choices": [{"delta": {"content": "x"}}], "usage": USAGE}), delta({}, "stop", usage=None)],
    ],
    ids=["own chunk", "finish chunk", "in the choice", "cumulative", "early"],
)
def test_usage_is_found_wherever_it_is(frames: list[bytes]) -> None:
    usage = finish_of(*frames, DONE).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens, usage.context_tokens) == (7, 3, 10, 10)


@requirement("complaint_15_usage")
def test_usage_that_is_nowhere_is_not_reported() -> None:
    assert finish_of(delta({"content": "x"}, "stop"), DONE).usage == Usage()


def test_null_details_and_counts_that_are_none_are_not_reported() -> None:
    odd = {"prompt_tokens": 7.0, "completion_tokens": "three", "total_tokens": -1, "prompt_tokens_details": None}
    assert finish_of(delta({}, "stop"), frame({"choices": [], "usage": odd}), DONE).usage == Usage(prompt_tokens=7)


def test_details_of_usage_are_read_in_the_vendors_spellings() -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 0}}
    usage = finish_of(delta({}, "stop"), frame({"choices": [], "usage": USAGE | details}), DONE).usage
    assert (usage.cached_input_tokens, usage.reasoning_tokens, usage.cache_write_tokens) == (4, 0, None)
    deepseek = {"prompt_cache_hit_tokens": 5, "prompt_cache_miss_tokens": 2}
    assert finish_of(delta({}, "stop", usage=USAGE | deepseek), DONE).usage.cached_input_tokens == 5


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("tool_calls", FinishReason.STOP),  # it called none
        ("eos", FinishReason.STOP),
        (None, FinishReason.STOP),
    ],
)
def test_finish_reasons(reason: str | None, meaning: FinishReason) -> None:
    assert finish_of(delta({"content": "x"}, reason), DONE).reason is meaning


@pytest.mark.parametrize("reason", ["stop", "tool_calls", "function_call", None])
def test_an_answer_with_calls_finished_for_them_whatever_it_says(reason: str | None) -> None:
    assert finish_of(call({"name": "f"}, id="a"), delta({}, reason), DONE).reason is FinishReason.TOOL_CALLS


def test_the_end_of_the_bytes_behind_a_finish_reason_is_an_end() -> None:
    assert finish_of(delta({"content": "x"}, "stop")).reason is FinishReason.STOP


def test_done_without_its_empty_line_is_an_end() -> None:
    assert finish_of(delta({"content": "x"}), b"data: [DONE]").reason is FinishReason.STOP


@pytest.mark.parametrize("cut", [b"", b"da", b'data: {"choices": [{"delta": {"content": "hal', b": comment\n"])
def test_an_answer_without_an_end_is_invalid_and_may_be_asked_for_again(cut: bytes) -> None:
    failure = failure_of(delta({"content": "x"}), cut)
    assert isinstance(failure, InvalidModelOutput)
    assert failure.retry_delay_seconds is not None


@pytest.mark.parametrize(
    "bad",
    [
        b"data: {not json}\n\n",
        b"data: 7\n\n",
        b'data: {"choices": 7}\n\n',
        b'data: {"choices": ["x"]}\n\n',
        delta({"content": 7}),
        delta({"tool_calls": "x"}),
        b"<html>It works</html>",
        b"",
    ],
)
def test_what_is_no_answer_is_invalid(bad: bytes) -> None:
    assert isinstance(failure_of(bad), InvalidModelOutput)


def test_chunks_before_a_failure_in_the_same_read_are_given_first() -> None:
    decoder = StreamDecoder(FAILURES)
    assert decoder.feed(delta({"content": "x"}) + b"data: {not json}\n\n") == [TextChunk("x")]
    assert decoder.done
    with pytest.raises(InvalidModelOutput):
        decoder.close()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"error": {"message": "busy", "code": 502}}, ModelOverloaded),
        ({"error": {"message": "slow down", "code": "429"}}, ModelRateLimited),
        ({"error": {"message": "slow down", "type": "rate_limit_error"}}, ModelRateLimited),
        ({"error": {"message": "no", "type": "invalid_request_error"}}, ModelBadRequest),
        ({"error": "it broke"}, ModelOverloaded),
        ({"object": "error", "message": "no", "type": "BadRequestError", "code": 400}, ModelBadRequest),
        ({"choices": [{"delta": {}, "finish_reason": "error", "error": {"code": 429}}]}, ModelRateLimited),
        ({"choices": [{"delta": {}, "finish_reason": "error"}]}, ModelOverloaded),
    ],
)
def test_an_error_inside_of_the_stream_is_told_like_one_of_http(error: Json, kind: type[ModelFailure]) -> None:
    assert type(failure_of(delta({"content": "x"}), frame(error), DONE)) is kind


def test_a_whole_answer_instead_of_a_stream_is_an_answer() -> None:
    message = {"role": "assistant", "content": "Hi", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}], "usage": USAGE}
    chunks = decode(b"\n" + json.dumps(body, indent=2).encode())
    assert chunks[:2] == [TextChunk("Hi"), ToolCallChunk(0, "a", "f", "{}")]
    assert isinstance(chunks[2], ModelFinished)
    assert chunks[2].usage.total_tokens == 10


class Measured(bytes):
    """Bytes that count how often all of their kind are asked for their length."""

    __slots__ = ()
    times = 0

    def __len__(self) -> int:
        Measured.times += 1
        return super().__len__()


def test_a_whole_answer_costs_no_more_the_longer_it_has_become(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("letta_grpc.adapters.openai.stream.MAX_EVENT_BYTES", 1000)
    decoder = StreamDecoder(FAILURES)
    for _ in range(1000):
        assert not decoder.done
        decoder.feed(Measured(b"["))
    assert Measured.times < 5_000
    decoder.feed(Measured(b"["))
    assert decoder.done


def test_a_body_that_is_json_but_no_answer_is_invalid() -> None:
    assert isinstance(failure_of(b'{"hello": "there"}'), InvalidModelOutput)


def test_surrogates_written_as_escapes_are_paired_or_replaced_never_passed_on() -> None:
    halves = (
        b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"\\udc4b"}}]}\n\n',
    )
    assert decode(*halves, DONE)[0] == TextChunk("👋")
    assert decode(halves[0], DONE)[0] == TextChunk("\ufffd")


def test_more_choices_than_were_asked_for_are_left_out() -> None:
    assert decode(frame({"choices": [{"index": 1, "delta": {"content": "y"}}, {"delta": {"content": "x"}}]}), DONE)[
        0
    ] == TextChunk("x")


def test_what_comes_behind_the_end_is_left_out() -> None:
    assert len(decode(delta({}, "stop"), DONE, delta({"content": "x"}))) == 1


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 100, b"data: " + b"x" * 100 + b"\n"])
def test_a_frame_without_an_end_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch, piece: bytes) -> None:
    monkeypatch.setattr("letta_grpc.adapters.openai.sse.MAX_EVENT_BYTES", 1000)
    decoder = StreamDecoder(FAILURES)
    for _ in range(20):
        decoder.feed(piece)
    assert decoder.done
    with pytest.raises(InvalidModelOutput):
        decoder.close()
