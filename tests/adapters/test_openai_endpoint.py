"""What may be told of an endpoint, and where its paths are."""

import pytest

from letta_grpc.adapters.clock import SystemClock
from letta_grpc.adapters.openai import OpenAIEndpoint, OpenAIProvider
from letta_grpc.adapters.openai.endpoint import public_url


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
