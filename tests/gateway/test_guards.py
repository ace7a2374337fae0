"""The edge: what may not pass, whatever it asks for, and what every answer bears."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx2
import pytest

from letta_grpc.gateway.options import GatewayOptions
from tests.support.gateways import error_of, made_up_gateway, reason_of
from tests.support.made_up import new

SEARCH = "/api/v1/search"


async def search(request: Any, _context: Any) -> Any:  # noqa: ANN401 - messages without stubs
    return new("SearchResponse", heard=request)


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    options = GatewayOptions(max_body_bytes=2000, max_json_depth=5, max_head_bytes=4000, head_seconds=0.2, body_seconds=0.2)
    async with made_up_gateway({"Search": search}, options) as client:
        yield client


@pytest.mark.parametrize("name", ["api_key", "key", "access_token", "token", "API_KEY", "api%5Fkey"])
async def test_a_key_in_the_url_is_refused_with_the_way_that_is_right(client: httpx2.AsyncClient, name: str) -> None:
    for path in (f"{SEARCH}?{name}=secret", f"/openapi.json?{name}=secret"):
        answer = await client.get(path)
        assert answer.status_code == 400
        assert "authorization: Bearer" in error_of(answer)["message"]
        assert "secret" not in answer.text


async def test_a_page_of_another_origin_may_not_start_anything(client: httpx2.AsyncClient) -> None:
    for headers, status in (
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": str(client.base_url).rstrip("/")}, 200),
        ({}, 200),
    ):
        answer = await client.post(SEARCH, json={}, headers=headers)
        assert answer.status_code == status
        assert not [name for name in answer.headers if name.startswith("access-control")]
        if status == 403:
            assert (error_of(answer)["status"], reason_of(error_of(answer))) == ("PERMISSION_DENIED", "ACCESS_DENIED")


async def test_a_foreign_name_for_this_machine_is_refused() -> None:
    cases = {
        "evil.example:80": 403,
        "localhost": 200,
        "127.0.0.1:1": 200,
        "[::1]:1": 200,
        "app.example": 200,
        "x.localhost": 200,
    }
    async with made_up_gateway({"Search": search}, GatewayOptions(cors_origins=("https://app.example",))) as client:
        assert {host: (await client.get(SEARCH, headers={"host": host})).status_code for host in cases} == cases
    async with made_up_gateway({"Search": search}, GatewayOptions(any_host=True)) as client:
        assert (await client.get(SEARCH, headers={"host": "agents.example"})).status_code == 200


@pytest.mark.parametrize(
    "garbage", ["[", "[::1", "http://[", "http://[::1", "http://a]b", "::", "\xbd", "http://a\xe2\x84\x80b"]
)
@pytest.mark.parametrize("any_host", [False, True])
async def test_a_host_or_origin_that_is_none_is_foreign(garbage: str, any_host: bool) -> None:  # noqa: FBT001 - a parameter of the test
    async with made_up_gateway({"Search": search}, GatewayOptions(any_host=any_host)) as client:
        for name in ("host", "origin"):
            expected = 200 if any_host and name == "host" else 403
            answer = await client.post(SEARCH, json={}, headers=[(name.encode(), garbage.encode("latin-1"))])
            assert answer.status_code == expected, (name, answer.text)


async def test_pages_of_origins_that_are_named_may_call_and_are_told_so() -> None:
    options = GatewayOptions(cors_origins=("https://app.example",))
    async with made_up_gateway({"Search": search}, options) as client:
        asked = {"origin": "https://app.example", "access-control-request-method": "POST"}
        wanted = "authorization,last-event-id,x-stainless-lang,x-api-key,anthropic-version,idempotency-key"
        preflight = await client.options(SEARCH, headers=asked | {"access-control-request-headers": wanted})
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-headers"] == wanted
        assert preflight.headers["access-control-allow-origin"] == "https://app.example"
        assert "access-control-allow-credentials" not in preflight.headers
        answer = await client.post(SEARCH, json={}, headers={"origin": "https://app.example"})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://app.example")
        exposed = answer.headers["access-control-expose-headers"].split(", ")
        assert exposed == ["letta-run-id", "retry-after", "x-should-retry"]
        other = await client.options(SEARCH, headers=asked | {"origin": "https://evil.example"})
        assert other.status_code == 400
        assert (await client.post(SEARCH, json={}, headers={"origin": "https://evil.example"})).status_code == 403


async def test_every_answer_forbids_what_a_page_need_not_do(client: httpx2.AsyncClient) -> None:
    for path in (SEARCH, "/docs", "/openapi.json", "/", "/nothing", f"{SEARCH}?key=1"):
        answer = await client.get(path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "set-cookie" not in answer.headers
        assert "server" not in answer.headers


async def test_a_body_that_is_too_large_is_413_and_says_what_fits(client: httpx2.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"x" * 100

    for content in (b"x" * 3000, pieces()):
        answer = await client.post(SEARCH, content=content, headers={"content-type": "application/json"})
        error = error_of(answer)
        assert (answer.status_code, error["status"], reason_of(error)) == (413, "RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE")
        assert error["details"][0]["metadata"]["limit"] == "2000"


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        ("{}", "application/json", 200),
        ("{}", "application/json; charset=utf-8", 200),
        ("{}", "text/plain", 415),
        ("{}", "application/x-www-form-urlencoded", 415),
        ("{}", "", 415),
        ("", "text/plain", 200),
        ("{", "application/json", 400),
        ("null", "application/json", 400),
        ('{"text": NaN}', "application/json", 400),
        ('{"text": "\\ud800"}', "application/json", 400),
        (b'{"text": "\xff"}', "application/json", 400),
        ('{"nested": ' * 9 + "{}" + "}" * 9, "application/json", 400),
        ('{"facts": {"a": ' + "[" * 2000 + "]" * 2000 + "}}", "application/json", 413),
        ("[" * 900 + "]" * 900, "application/json", 400),
    ],
)
async def test_a_body_is_json_of_a_bounded_depth_and_says_so(
    client: httpx2.AsyncClient, content: str | bytes, kind: str, status: int
) -> None:
    answer = await client.post(SEARCH, content=content, headers={"content-type": kind} if kind else {})
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    ("encoding", "status"), [("gzip", 415), ("br, gzip", 415), ("identity", 200), ("Identity", 200), ("", 200)]
)
async def test_a_compressed_body_is_refused_for_its_encoding_not_for_its_json(
    client: httpx2.AsyncClient, encoding: str, status: int
) -> None:
    headers = {"content-type": "application/json", "content-encoding": encoding}
    answer = await client.post(SEARCH, content=gzip.compress(b"{}") if status != 200 else b"{}", headers=headers)
    assert answer.status_code == status, answer.text
    if status == 415:
        assert answer.headers["accept-encoding"] == "identity"
        assert error_of(answer)["message"] == f"A body must be sent as it is, without `content-encoding: {encoding}`."


async def test_a_head_that_does_not_end_is_too_large_or_too_late(client: httpx2.AsyncClient) -> None:
    start = f"GET {SEARCH} HTTP/1.1\r\nhost: localhost\r\n".encode()
    for sent, status in (
        (start, b"408"),
        (b"", b"408"),
        (start + b"x-long: " + b"x" * 9000, b"431"),
        (start + b"x-long: " + b"x" * 9000 + b"\r\n\r\n", b"431"),
        (start + b"".join(b"x-%d: y\r\n" % number for number in range(1000)) + b"\r\n", b"431"),
    ):
        assert (await raw(client, sent)).startswith(b"HTTP/1.1 " + status), sent[:80]


async def test_a_body_that_does_not_come_is_too_late(client: httpx2.AsyncClient) -> None:
    head = f"POST {SEARCH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    answer = await raw(client, head.encode())
    assert answer.startswith(b"HTTP/1.1 408")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["status"] == "DEADLINE_EXCEEDED"


async def raw(client: httpx2.AsyncClient, sent: bytes) -> bytes:
    """Send bytes; all that comes until the server closes."""
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        writer.write(sent)
        try:
            return await reader.read()
        finally:
            writer.close()


async def passed_on(headers: Sequence[tuple[str, bytes]]) -> dict[str, Any]:
    """Return the metadata of the call that a request with these headers becomes."""
    seen: dict[str, Any] = {}

    async def look(_request: Any, context: Any) -> Any:  # noqa: ANN401 - messages without stubs
        seen.update(context.invocation_metadata())
        return new("SearchResponse")

    async with made_up_gateway({"Search": look}) as client:
        answer = await client.get(SEARCH, headers=[(name.encode(), value) for name, value in headers])
    assert answer.status_code == 200
    return seen


async def test_the_callers_key_and_trace_are_passed_on_and_nothing_else() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    sent = {"authorization": "Bearer k", "traceparent": trace, "cookie": "session=1", "x-other": "1"}
    seen = await passed_on([(name, value.encode()) for name, value in sent.items()])
    assert (seen["authorization"], seen["traceparent"]) == ("Bearer k", trace)
    assert not {"cookie", "x-other"} & set(seen)


@pytest.mark.parametrize(
    ("named", "forwarded"),
    [
        ([], "127.0.0.1"),
        ([b"203.0.113.7", b"198.51.100.2"], "203.0.113.7, 198.51.100.2, 127.0.0.1"),
        ([b"caf\xe9"], "127.0.0.1"),
        ([b"1" * 20_000], f"{'1' * 1000}, 127.0.0.1"),
    ],
)
async def test_a_call_says_for_whom_it_is(named: list[bytes], forwarded: str) -> None:
    seen = await passed_on([("x-forwarded-for", value) for value in named])
    assert seen["x-forwarded-for"] == forwarded


async def test_a_header_that_grpc_cannot_carry_is_refused(client: httpx2.AsyncClient) -> None:
    answer = await client.get(SEARCH, headers=[(b"authorization", b"Bearer \xe9")])
    assert answer.status_code == 400
