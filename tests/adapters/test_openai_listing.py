"""What endpoints give as the list of their models."""
# ruff: noqa: ANN401 - vendors' JSON

import asyncio
import json
from typing import Any

import pytest

from letta_grpc.adapters.openai import OpenAIEndpoint
from letta_grpc.adapters.openai.listing import list_models
from letta_grpc.domain.completions import ModelInfo
from letta_grpc.domain.errors import ModelBadRequest, ModelFailure
from tests.support.listening import SECONDS, listening


async def listed(answer: Any, *, path: str = "/v1") -> tuple[ModelInfo, ...]:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        start = await reader.readuntil(b"\r\n\r\n")
        before, _, query = path.partition("?")
        assert start.startswith(f"GET {before}/models{'?' if query else ''}{query} HTTP/1.1\r\n".encode())
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    async with asyncio.timeout(SECONDS), listening(serve) as where:
        return await list_models(OpenAIEndpoint(name="acme", base_url=f"http://{where}{path}", api_key="secret"))


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        ({"object": "list", "data": [{"id": "m1"}, {"id": "m2"}]}, ["m1", "m2"]),
        ([{"id": "m1"}], ["m1"]),
        ({"data": ["m1", "m2"]}, ["m1", "m2"]),
        ({"data": [None, {"id": "m1"}, {"name": "x"}, {"id": ""}, {"id": 5}, "", 7]}, ["m1"]),
        ({"data": []}, []),
        ({"object": "list", "data": None}, []),
        ([], []),
    ],
)
async def test_every_shape_of_a_list_is_read(answer: Any, names: list[str]) -> None:
    models = await listed(answer)
    assert [model.name for model in models] == names
    assert [model.handle for model in models] == [f"acme/{name}" for name in names]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"<html>It works!</html>", "not JSON: is its base URL right?"),
        (b'{"data":[{"id"', "not JSON"),
        (b"", "not JSON"),
        ("hello", "hello"),
        (None, "no list"),
        ({"data": "m1"}, "no list"),
        ({"models": [{"name": "x"}]}, "no list"),
        ({"data": [None]}, "no entry of its list has an id"),
        ({"data": [{"name": "x"}]}, "no entry of its list has an id"),
        ({"error": {"message": "bad token secret"}}, r"bad token \*\*\*"),
    ],
)
async def test_what_is_no_list_is_a_failure_of_this_provider(answer: Any, words: str) -> None:
    with pytest.raises(ModelFailure, match=f"^acme did not list its models: .*{words}"):
        await listed(answer)


async def test_a_query_of_the_base_url_is_asked_with() -> None:
    assert await listed({"data": ["m1"]}, path="/deployments/gpt?api-version=1&a=%2F")


async def test_a_base_url_or_a_key_that_cannot_be_used_is_said_so() -> None:
    with pytest.raises(ModelBadRequest, match="its base URL is not valid"):
        await list_models(OpenAIEndpoint(name="acme", base_url="http://bob:pa/ss@acme.test/v1", api_key="k"))
    with pytest.raises(ModelBadRequest, match="its API key has characters"):
        await list_models(OpenAIEndpoint(name="acme", base_url="http://127.0.0.1:1/v1", api_key="ключ"))


async def test_a_window_that_is_no_number_of_tokens_is_not_known() -> None:
    (model,) = await listed([{"id": "m1", "context_length": 10**12, "max_model_len": 0, "meta": {"n_ctx": "many"}}])
    assert model.context_window is None
