# ruff: noqa: ANN401 - vendors' JSON

import json
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from letta_grpc.adapters.openai import OpenAIEndpoint
from letta_grpc.adapters.openai.failures import CallFailures
from letta_grpc.adapters.openai.likeness import texts_like
from letta_grpc.adapters.openai.stream import StreamDecoder
from letta_grpc.domain.completions import ModelChunk, ReasoningChunk, TextChunk

FAILURES = CallFailures(OpenAIEndpoint(name="test", base_url="http://127.0.0.1/v1"), "m")


def chunk(content: str, *, created: int = 1, escaped: bool = False, **choice: Any) -> bytes:
    data = {"id": "x", "created": created, "choices": [{"index": 0, "delta": {"content": content}, **choice}]}
    return json.dumps(data, ensure_ascii=escaped).encode()


def read(*events: bytes, at_once: bool) -> list[ModelChunk]:
    """Return the chunks of events, neighbours merged, whether they come in one read or in one each."""
    decoder = StreamDecoder(FAILURES)
    frames = [b"data: %b\n\n" % event for event in (*events, b"[DONE]")]
    pieces = [b"".join(frames)] if at_once else frames
    found = [piece for received in pieces for piece in decoder.feed(received)] + decoder.close()
    return [merged for kind, group in groupby(found, type) for merged in joined(kind, list(group))]


def joined(kind: type[ModelChunk], chunks: list[Any]) -> list[ModelChunk]:
    if kind in (TextChunk, ReasoningChunk):
        return [kind("".join(one.text for one in chunks))]
    return chunks


words = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5), st.sampled_from(["content", ",", '"', "\\", ""])
)
events = st.one_of(
    st.builds(chunk, words, created=st.integers(1, 2), escaped=st.booleans()),
    st.builds(chunk, words, index=st.just(1)),
    st.builds(chunk, words, delta=st.fixed_dictionaries({"content": words, "reasoning": words})),
    st.builds(chunk, words, finish_reason=st.just("stop")),
    st.just(b'{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}'),
    st.sampled_from([b"", b"[DONE]", b'{"choices":[{"delta":{"content":"\\ud83d"}}]}']),
)
plain = st.builds(chunk, words)


@settings(deadline=None)  # how fast this machine is now is no property
@given(st.lists(st.one_of(plain, plain, plain, events), min_size=6, max_size=20))
def test_a_burst_says_the_same_as_its_chunks_one_by_one(chunks: list[bytes]) -> None:
    # Of nothing at all a stream is no answer.
    chunks.insert(0, chunk("well"))
    assert read(*chunks, at_once=True) == read(*chunks, at_once=False)


def test_the_texts_of_chunks_like_the_model_are_read_up_to_the_first_other_one() -> None:
    following = [chunk("a"), chunk('"ü\n'), chunk(""), chunk("b", created=2), chunk("c")]
    assert list(texts_like(chunk("hello"), following)) == ["a", '"ü\n', ""]


@pytest.mark.parametrize("text", ["content", "choices", "id", ",", ":", "x"])
def test_a_text_that_looks_like_another_part_of_its_chunk_is_not_mistaken_for_it(text: str) -> None:
    assert list(texts_like(chunk(text), [chunk("a"), chunk("b")])) in (["a", "b"], [])


@pytest.mark.parametrize("middle", [b'"a","role":"b"', b"1", b"null", b'"a', b'"a" "b"', b'{"a":"b"}', b""])
def test_what_is_more_or_less_than_a_text_is_not_like_the_model(middle: bytes) -> None:
    assert list(texts_like(chunk("x y"), [chunk("x y").replace(b'"x y"', middle)])) == []


@pytest.mark.parametrize("model", [b"[DONE]", b"", b"[]", chunk("x", index=1), chunk("x", delta={"role": "assistant"})])
def test_what_is_no_text_is_no_model(model: bytes) -> None:
    assert list(texts_like(model, [model])) == []
