"""What requests to servers that callers name have in common."""

import ssl

import httpcore2
import pytest

from letta_grpc.adapters.web_callbacks import WebCallbacks
from letta_grpc.adapters.web_client import tls_context
from letta_grpc.adapters.web_images import WebImages
from letta_grpc.ports.images import ImageUnavailableError

NOBODY = "http://127.0.0.1:1/"


async def test_they_share_one_tls_context(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[ssl.SSLContext] = []
    make = httpcore2.default_ssl_context

    def counted(*args: bool, **options: bool) -> ssl.SSLContext:
        made.append(make(*args, **options))
        return made[-1]

    monkeypatch.setattr(httpcore2, "default_ssl_context", counted)
    tls_context.cache_clear()
    callbacks, images = WebCallbacks(allow_private_addresses=True), WebImages(allow_private_addresses=True)
    for _ in range(2):
        assert (await callbacks.post(NOBODY, "{}")).error
        with pytest.raises(ImageUnavailableError):
            await images.load(NOBODY, 100)
    assert len(made) == 1
