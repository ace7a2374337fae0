"""What may be told of an endpoint, and where its paths are."""

import pytest

from letta_grpc.adapters.clock import SystemClock
from letta_grpc.adapters.openai import OpenAIEndpoint, OpenAIProvider
from letta_grpc.adapters.openai.endpoint import public_url
from letta_grpc.domain.errors import ModelBadRequest
from letta_grpc.testing.models import read_all, user_request
from tests.support.http_lines import Line, serving


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://a.test/v1", "https://a.test/v1"),
        ("http://bob:topsecretpw@a.test:8080/v1/", "http://a.test:8080/v1/"),
        ("http://bob@[::1]:8080/v1", "http://[::1]:8080/v1"),
        ("https://a.test/deployments/gpt?api-version=1&key=topsecretpw#x", "https://a.test/deployments/gpt"),
        ("http://bob:topsecretpw@[::1/v1", ""),
    ],
)
async def test_a_base_url_is_told_without_what_may_be_secret(url: str, told: str) -> None:
    assert public_url(url) == told
    provider = OpenAIProvider(OpenAIEndpoint(name="acme", base_url=url), SystemClock())
    assert provider.info.base_url == told
    await provider.close()


@pytest.mark.parametrize(
    ("base_url", "asked"),
    [
        ("https://a.test/v1", "https://a.test/v1/models"),
        ("https://a.test/v1/", "https://a.test/v1/models"),
        ("https://a.test", "https://a.test/models"),
        ("https://a.test/deployments/gpt?api-version=1", "https://a.test/deployments/gpt/models?api-version=1"),
        ("https://a.test/v1/?a=b/&c=%2F#d", "https://a.test/v1/models?a=b/&c=%2F"),
        ("https://bob:pw@a.test?a=b", "https://bob:pw@a.test/models?a=b"),
    ],
)
def test_a_path_stands_before_the_query_of_a_base_url(base_url: str, asked: str) -> None:
    assert OpenAIEndpoint(name="acme", base_url=base_url).url("models") == asked


async def test_a_query_goes_out_with_every_call() -> None:
    asked: list[str] = []

    async def talk(line: Line) -> None:
        asked.append((await line.request())[0])
        await line.send(b"HTTP/1.1 400 X\r\nContent-Length: 0\r\n\r\n")

    async with serving(talk) as server:
        base_url = f"http://127.0.0.1:{server.port}/deployments/gpt?api-version=1"
        provider = OpenAIProvider(OpenAIEndpoint(name="acme", base_url=base_url), SystemClock())
        with pytest.raises(ModelBadRequest):
            await read_all(provider.find("gpt"), user_request("Hello", "gpt"))
        await provider.close()
    assert asked == ["POST /deployments/gpt/chat/completions?api-version=1 HTTP/1.1"]
