"""Whatever comes in: no 500, no hang. `LETTA_TEST_EXAMPLES=2000` tries so many of each."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from letta_grpc.gateway.options import GatewayOptions
from tests.support.gateways import error_of, made_up_gateway
from tests.support.made_up import made_up, new

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXAMPLES = settings(
    max_examples=int(os.environ.get("LETTA_TEST_EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FIELDS = [field.name for field in made_up().pool.FindMessageTypeByName("made.up.v1.SearchRequest").fields]
NAMES = st.one_of(
    st.sampled_from(FIELDS),
    st.sampled_from(["nested.word", "nested.deeper.numbers", "facts.a", "many.word", "pageSize"]),
    st.text(max_size=8),
)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
        st.sampled_from(
            ["true", "1s", "2030-01-01T00:00:00Z", "9999999-01-01T00:00:00Z", "1e999", "GENRE_FACT", "a.b,c", "AQ=="]
        ),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)


async def search(request: Any, _context: Any) -> Any:  # noqa: ANN401 - messages without stubs
    return new("SearchResponse", heard=request)


async def watch(request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages without stubs
    yield new("WatchResponse", shelf=request.shelf)


async def talk(requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages without stubs
    async for request in requests:
        yield new("TalkResponse", word=request.word)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with made_up_gateway({"Search": search, "Watch": watch, "Talk": talk}, GatewayOptions()) as client:
        yield client


def check(answer: httpx2.Response) -> None:
    if answer.status_code not in {200, 204}:
        assert answer.status_code < 500, answer.text
        error_of(answer)


@EXAMPLES
@given(
    st.lists(st.tuples(NAMES, st.one_of(st.text(max_size=8), st.sampled_from(["1", "true", "1s", "a,b", "{}"]))), max_size=4)
)
async def test_any_query(client: httpx2.AsyncClient, query: list[tuple[str, str]]) -> None:
    pairs = [(name.encode("utf-8", "replace").decode(), value.encode("utf-8", "replace").decode()) for name, value in query]
    check(await client.get("/api/v1/search", params=urlencode(pairs)))


@EXAMPLES
@given(st.one_of(VALUES, st.dictionaries(NAMES, VALUES, max_size=4)))
async def test_any_json(client: httpx2.AsyncClient, body: object) -> None:
    text = json.dumps(body)
    check(await client.post("/api/v1/search", content=text, headers={"content-type": "application/json"}))


@EXAMPLES
@given(st.binary(max_size=40))
async def test_any_bytes_as_a_body(client: httpx2.AsyncClient, body: bytes) -> None:
    check(await client.post("/api/v1/search", content=body, headers={"content-type": "application/json"}))


@EXAMPLES
@given(st.text(st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="\r\n"), max_size=20))
async def test_any_last_event_id(client: httpx2.AsyncClient, text: str) -> None:
    headers = [(b"accept", b"text/event-stream"), (b"last-event-id", text.strip().encode("latin-1"))]
    if any((byte < 32 and byte != 9) or byte == 127 for byte in headers[1][1]):
        return
    check(await client.get("/api/v1/shelves/s/happenings:stream", headers=headers))


@EXAMPLES
@given(st.binary(min_size=1, max_size=30))
async def test_any_path(client: httpx2.AsyncClient, path: bytes) -> None:
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        writer.write(b"GET /api/v1/" + path + b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        writer.write_eof()
        answer = await reader.read()
        writer.close()
    assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200", b"HTTP/1.1 204", b"HTTP/1.0 4")) or not answer, answer


@EXAMPLES
@given(st.lists(st.one_of(st.text(max_size=10), st.binary(max_size=10), VALUES.map(json.dumps)), min_size=1, max_size=3))
async def test_any_messages_of_a_socket(client: httpx2.AsyncClient, messages: list[str | bytes]) -> None:
    url = str(client.base_url.join("/api/v1/shelves/s:talk")).replace("http://", "ws://")
    async with asyncio.timeout(20), connect(url, proxy=None) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await exchange(socket, messages)
    end = closed.value.rcvd
    assert end
    assert end.code in {1000, 4400}, end


async def exchange(socket: ClientConnection, messages: list[str | bytes]) -> None:
    """Send all and read all, until the server closes."""
    for message in [*messages, ""]:
        await socket.send(message)
    while True:
        await socket.recv()
