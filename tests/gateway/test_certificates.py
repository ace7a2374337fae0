"""HTTPS with a certificate that is renewed while the gateway serves."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from letta_grpc.gateway.options import GatewayOptions
from letta_grpc.gateway.serving import http_serving, listener_on
from letta_grpc.transport.certificates import RenewableTls
from tests.support.certificates import FIRST, ROOTS, SECOND, Installed, shown

pytestmark = pytest.mark.timeout(30)
SECONDS = 20


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
async def test_a_renewed_certificate_is_for_new_connections_and_cuts_no_stream(tmp_path: Path, name: str) -> None:
    installed, renewed = Installed(tmp_path), asyncio.Event()

    async def before_and_after(_request: Request) -> StreamingResponse:
        async def words() -> AsyncIterator[str]:
            yield "before"
            await renewed.wait()
            yield "after"

        return StreamingResponse(words())

    app = Starlette(routes=[Route("/", before_and_after)])
    tls = RenewableTls(installed.certificate, installed.key)
    trust = ssl.create_default_context(cadata=ROOTS.decode())
    async with (
        asyncio.timeout(SECONDS),
        http_serving(app, listener_on("127.0.0.1:0"), GatewayOptions(), tls.context_now) as url,
        httpx2.AsyncClient(verify=trust, trust_env=False) as client,
        client.stream("GET", url) as answer,
    ):
        text = answer.aiter_text()
        assert await anext(text) == "before"
        address = url.removeprefix("https://")
        assert await asyncio.to_thread(shown, address, name) == FIRST
        installed.install(SECOND)
        assert await asyncio.to_thread(shown, address, name) == SECOND
        renewed.set()
        assert await anext(text) == "after"
