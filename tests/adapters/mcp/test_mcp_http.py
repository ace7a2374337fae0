"""What becomes of answers over HTTP before the mcp package reads them."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from mcp_types import CONNECTION_CLOSED

from letta_grpc.adapters.mcp.http import MAX_JSON_BYTES, MAX_JSON_VALUES, TOO_LARGE, GuardedTransport
from tests.support.listening import listening

SECONDS = 20
JSON = "content-type: application/json; charset=utf-8"


@asynccontextmanager
async def answered(body: bytes, *headers: str) -> AsyncIterator[httpx2.Response]:
    """Ask a server that answers this and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write("".join(f"{line}\r\n" for line in ("HTTP/1.1 200 OK", *headers, "")).encode() + body)
        await writer.drain()

    async with asyncio.timeout(SECONDS), listening(serve) as address:
        transport = GuardedTransport(allow_private_addresses=True)
        async with httpx2.AsyncClient(transport=transport) as client, client.stream("GET", f"http://{address}/") as response:
            yield response


def code_in(answer: bytes) -> int:
    code: int = httpx2.Response(200, content=answer).json()["error"]["code"]
    return code


async def test_json_comes_as_it_was_with_its_headers() -> None:
    packed = gzip.compress(b'{"word": "\xc3\xa9"}')
    async with answered(packed, JSON, "content-encoding: gzip", f"content-length: {len(packed)}", "mcp-session-id: a") as got:
        assert (got.status_code, got.headers["mcp-session-id"]) == (200, "a")
        assert (await got.aread()).decode() == '{"word": "é"}'


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b" " * (MAX_JSON_BYTES + 1), [JSON]),
        (gzip.compress(b" " * (MAX_JSON_BYTES + 1)), [JSON, "content-encoding: gzip"]),
        (b"[" + b"0," * (MAX_JSON_VALUES + 1) + b"0]", [JSON]),
    ],
    ids=["plain", "packed", "many small values"],
)
async def test_json_that_is_too_large_is_a_failure(body: bytes, headers: list[str]) -> None:
    async with answered(body, *headers) as got:
        assert code_in(await got.aread()) == TOO_LARGE


@pytest.mark.parametrize("headers", [["content-length: 100"], ["content-encoding: gzip"]], ids=["cut", "not packed"])
async def test_json_that_cannot_be_read_to_its_end_is_a_failure_and_no_exception(headers: list[str]) -> None:
    async with answered(b"{}", JSON, *headers) as got:
        assert code_in(await got.aread()) == CONNECTION_CLOSED


async def test_a_stream_of_events_is_not_waited_for() -> None:
    async with answered(b"data: 1\n\n", "content-type: text/event-stream", "content-length: 100") as got:
        assert await anext(got.aiter_raw()) == b"data: 1\n\n"
