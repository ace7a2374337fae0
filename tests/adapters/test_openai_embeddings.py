"""Embeddings of an OpenAI-compatible endpoint, asked over a socket."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from letta_grpc.adapters.openai.embeddings import OpenAIEmbeddings
from letta_grpc.adapters.openai.endpoint import OpenAIEndpoint
from letta_grpc.domain.errors import EmbeddingsFailed
from letta_grpc.ports.embeddings import TextRefusedError
from tests.support.upstream import Upstream, upstream


@pytest.fixture
async def up() -> AsyncIterator[Upstream]:
    async with asyncio.timeout(20), upstream() as running:
        yield running


async def embed(base_url: str, model: str, *texts: str) -> tuple[tuple[float, ...], ...]:
    embeddings = OpenAIEmbeddings(OpenAIEndpoint(name="up", base_url=base_url, api_key="secret"), model)
    try:
        return await embeddings.embed(texts)
    finally:
        await embeddings.close()


async def test_each_text_gets_its_vector_in_order(up: Upstream) -> None:
    cat, money = await embed(up.base_url, "meanings", "the cat", "stocks and money")
    assert (round(cat[0]), round(cat[2])) == (1, 0)
    assert (round(money[0]), round(money[2])) == (0, 2)
    (request,) = (await up.state()).requests
    assert request["headers"]["authorization"] == "Bearer secret"
    assert request["body"] == {"model": "meanings", "input": ["the cat", "stocks and money"], "encoding_format": "float"}


@pytest.mark.parametrize("model", ["status-500", "status-401", "status-429", "status-404", "garbage"])
async def test_an_endpoint_that_fails_is_named_with_its_model(up: Upstream, model: str) -> None:
    with pytest.raises(EmbeddingsFailed, match=r"^up ") as caught:
        await embed(up.base_url, model, "text")
    assert caught.value.metadata == {"model": f"up/{model}"}


async def test_a_text_that_the_model_does_not_take_is_refused_for_good(up: Upstream) -> None:
    assert await embed(up.base_url, "short-sighted", "short")
    with pytest.raises(TextRefusedError):
        await embed(up.base_url, "short-sighted", "short", "x" * 101)


async def test_an_endpoint_that_is_not_there_fails() -> None:
    with pytest.raises(EmbeddingsFailed, match="no answer"):
        await embed("http://127.0.0.1:9/v1", "meanings", "text")


async def test_fewer_vectors_than_texts_are_no_answer(up: Upstream) -> None:
    with pytest.raises(EmbeddingsFailed, match="for 2 texts"):
        await embed(up.base_url, "one-short", "a", "b")


async def test_an_answer_without_vectors_is_told_in_its_words_and_not_with_the_key(up: Upstream) -> None:
    with pytest.raises(EmbeddingsFailed, match=r"^up sent no embeddings: bad token \*\*\*$"):
        await embed(up.base_url, "complaint", "text")
    with pytest.raises(EmbeddingsFailed, match=r"^up sent no embeddings$"):
        await embed(up.base_url, "garbage", "text")


async def test_vectors_without_their_numbers_are_taken_in_order(up: Upstream) -> None:
    cat, money = await embed(up.base_url, "without-index", "the cat", "stocks and money")
    assert (round(cat[0]), round(money[2])) == (1, 2)


async def test_a_list_without_vectors_is_no_answer(up: Upstream) -> None:
    with pytest.raises(EmbeddingsFailed, match="no embeddings"):
        await embed(up.base_url, "nulls", "text")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("status-401", "up refused the API key (401)"),
        ("status-403", "up refuses this (403): no"),
        ("status-404", "up has nothing at this address (404): check its base URL (does it end in /v1?): no"),
        ("status-500", "up is overloaded or failing (500): no"),
    ],
)
async def test_a_refusal_says_why(up: Upstream, model: str, message: str) -> None:
    with pytest.raises(EmbeddingsFailed) as caught:
        await embed(up.base_url, model, "text")
    assert caught.value.message == message
