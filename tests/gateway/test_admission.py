"""A server with keys reads, converts and keeps next to nothing of those who show none."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from letta_grpc.gateway.options import GatewayOptions
from letta_grpc.gateway.standalone import standing_alone
from tests.support.engine import engine
from tests.support.faces import faced, frames_of
from tests.support.gateways import made_up_gateway
from tests.support.made_up import new
from tests.support.wires import house_calls, serving

KEY = "right"
LONG = "x" * 50_000


@pytest.fixture(params=["inside", "in front"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """A gateway inside its server, and one that stands alone."""
    if request.param == "inside":
        async with faced(tmp_path, api_keys=(KEY,)) as server:
            yield server.url
    else:
        async with (
            engine() as house,
            serving(house_calls(house, api_keys=(KEY,))) as (_, address),
            standing_alone(address, "127.0.0.1:0", GatewayOptions()) as url,
        ):
            yield url


def told_at(path: str, body: str) -> Any:  # noqa: ANN401 - a text, in any JSON
    """The message of a refusal, in the form of the face at the path."""
    if path == "/stream":
        (frame,) = frames_of(body)
        assert frame["reason"].startswith("CREDENTIALS_")
        return frame["message"]
    told: dict[str, Any] = json.loads(body)
    return told["detail"] if path == "/v1/agents/" else told["error"]["message"]


async def answer_to(url: str, request: str) -> tuple[str, str]:
    """The head and the body of what is answered to the beginning of a request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", httpx2.URL(url).port)
    try:
        writer.write(request.encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = next(int(line.split(": ")[1]) for line in head.split("\r\n") if line.startswith("content-length"))
        return head, (await reader.readexactly(size)).decode()
    finally:
        writer.close()


@pytest.mark.parametrize("path", ["/api/v1/agents", "/v1/agents/", "/v1/chat/completions", "/stream"])
async def test_who_shows_no_good_key_is_refused_before_a_large_body_has_come(url: str, path: str) -> None:
    start = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    # The rest never comes: whoever waits for it finds nothing out.
    for length in ("content-length: 8000000\r\n\r\n", f"transfer-encoding: chunked\r\n\r\n2000\r\n{'x' * 8192}\r\n"):
        for shown in ("", "authorization: Bearer wrong\r\n"):
            async with asyncio.timeout(10):
                head, body = await answer_to(url, start + shown + length)
            assert head.startswith("http/1.1 401"), head
            assert "www-authenticate: bearer" in head
            assert "API key" in told_at(path, body)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/api/v1/blocks", {"authorization": f"Bearer {KEY}"}),
        ("/v1/blocks/", {"authorization": f"Bearer {KEY}"}),
        ("/v1/blocks/", {"x-bare-password": f"password {KEY}"}),
    ],
)
async def test_a_large_body_of_who_shows_a_key_comes_through(url: str, path: str, headers: dict[str, str]) -> None:
    block = {"label": "human", "value": LONG, "limit": len(LONG)}
    content = json.dumps({"block": block} if path.startswith("/api") else block).encode()

    async def pieces() -> AsyncIterator[bytes]:
        yield content[:9000]
        yield content[9000:]

    async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=20) as client:
        for sent in (content, pieces()):
            answer = await client.post(path, content=sent, headers=headers | {"content-type": "application/json"})
            assert answer.status_code == 200, answer.text
            assert LONG in answer.text


@pytest.mark.parametrize("path", ["/api/v1/converse", "/ws/agent-1", "/chat"])
async def test_who_shows_no_good_key_gets_no_socket(url: str, path: str) -> None:
    address = url.replace("http://", "ws://") + path
    wrong = base64.urlsafe_b64encode(b"wrong").decode().rstrip("=")
    shown: list[dict[str, Any]] = [
        {},
        {"additional_headers": {"authorization": "Bearer wrong"}},
        {"subprotocols": [Subprotocol("letta-grpc"), Subprotocol(f"bearer.{wrong}")]},
    ]
    async with asyncio.timeout(20):
        for more in shown:
            with pytest.raises(InvalidStatus) as refused:
                await connect(address, proxy=None, **more)
            answer = refused.value.response
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert json.loads(answer.body)["error"]["status"] == "UNAUTHENTICATED"
        async with connect(address, proxy=None, additional_headers={"authorization": f"Bearer {KEY}"}) as connection:
            await (await connection.ping())


async def test_a_server_that_cannot_be_asked_for_keys_reads_large_bodies() -> None:
    async def search(request: Any, _context: Any) -> Any:  # noqa: ANN401 - messages without stubs
        return new("SearchResponse", heard=request)

    async with made_up_gateway({"Search": search}) as client:
        answer = await client.post("/api/v1/search", json={"text": LONG})
    assert answer.status_code == 200
