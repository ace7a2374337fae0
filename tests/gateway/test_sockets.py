"""RPCs whose client streams, as WebSockets."""

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from letta_grpc.gateway.application import gateway_app
from letta_grpc.gateway.options import GatewayOptions
from tests.support.gateways import error_of, fields_in, made_up_gateway
from tests.support.made_up import Handlers, made_up, new, serving_made_up

TALK = "/api/v1/shelves/top:talk"


async def talk(requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages without stubs
    """Say each word back, and goodbye when there are no more."""
    async for request in requests:
        yield new("TalkResponse", word=f"{request.word} on {request.shelf}")
    yield new("TalkResponse", word="bye")


async def collect(requests: AsyncIterator[Any], _context: Any) -> Any:  # noqa: ANN401 - messages without stubs
    return new("CollectResponse", words=[request.word async for request in requests])


@asynccontextmanager
async def socket(
    handlers: Handlers,
    path: str = TALK,
    options: GatewayOptions | None = None,
    **more: Any,  # noqa: ANN401 - what websockets takes
) -> AsyncIterator[ClientConnection]:
    async with (
        made_up_gateway(handlers, options) as client,
        asyncio.timeout(20),
        connect(url_of(client, path), proxy=None, **more) as connection,
    ):
        yield connection


def url_of(client: httpx2.AsyncClient, path: str) -> str:
    return str(client.base_url.join(path)).replace("http://", "ws://")


async def closed(connection: ClientConnection) -> tuple[list[Any], int | None]:
    """What still comes, and the code that the server closes with."""
    rest = []
    try:
        while True:
            rest.append(json.loads(await connection.recv()))
    except ConnectionClosed as end:
        return rest, end.rcvd.code if end.rcvd else None


async def test_a_message_is_a_request_and_an_answer_and_the_empty_one_ends_this_side() -> None:
    async with socket({"Talk": talk}) as connection:
        for word in ("one", "two"):
            await connection.send(json.dumps({"word": word}))
            assert json.loads(await connection.recv()) == {"word": f"{word} on top"}
        await connection.send("")
        assert await closed(connection) == ([{"word": "bye"}], 1000)


async def test_an_rpc_with_one_answer_says_it_when_this_side_has_ended() -> None:
    async with socket({"Collect": collect}, "/api/v1/collect") as connection:
        for word in ("one", "two"):
            await connection.send(json.dumps({"word": word}))
        await connection.send("")
        assert await closed(connection) == ([{"words": ["one", "two"]}], 1000)


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        ('{"bogus": 1}', ["bogus"]),
        ('{"word": 1}', ["word"]),
        ("[]", ["(body)"]),
        ("{", None),
        ("null", None),
        ("[" * 100 + "]" * 100, None),
        (b"bytes", None),
    ],
)
async def test_a_message_that_is_no_request_is_told_what_is_wrong_and_ends_the_call(
    message: str | bytes, fields: list[str] | None
) -> None:
    ended = asyncio.Event()

    async def listen(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages without stubs
        context.add_done_callback(lambda _: ended.set())
        async for _ in requests:
            yield new("TalkResponse")

    async with socket({"Talk": listen}) as connection:
        await connection.send("{}")
        await connection.recv()
        await connection.send(message)
        (last,), code = await closed(connection)
        assert (last["error"]["status"], code) == ("INVALID_ARGUMENT", 4400)
        assert "NoneType" not in last["error"]["message"]
        if fields:
            assert list(fields_in(last["error"])) == fields
        await ended.wait()


async def test_a_message_behind_the_last_one_is_told_so_and_ends_the_call() -> None:
    ended = asyncio.Event()

    async def wait(_requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages without stubs
        context.add_done_callback(lambda _: ended.set())
        await asyncio.Event().wait()
        yield new("TalkResponse")

    async with socket({"Talk": wait}) as connection:
        await connection.send("")
        await connection.send("{}")
        (last,), code = await closed(connection)
        assert (last["error"]["status"], code) == ("INVALID_ARGUMENT", 4400)
        await ended.wait()


async def test_a_call_that_fails_says_so_and_closes_with_its_http_status() -> None:
    async def fail(_requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages without stubs
        yield new("TalkResponse", word="first")
        await context.abort(grpc.StatusCode.ABORTED, "busy")

    async with socket({"Talk": fail}) as connection:
        messages, code = await closed(connection)
    assert (messages[0], messages[1]["error"]["message"], code) == ({"word": "first"}, "busy", 4409)


async def test_a_client_that_leaves_ends_the_call() -> None:
    ended = asyncio.Event()

    async def listen(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages without stubs
        context.add_done_callback(lambda _: ended.set())
        async for _ in requests:
            yield new("TalkResponse")

    async with socket({"Talk": listen}) as connection:
        await connection.send("{}")
        await connection.recv()
        await connection.close()
        await ended.wait()


async def test_a_key_comes_as_a_header_or_as_a_subprotocol_and_is_passed_on() -> None:
    seen = []

    async def look(_requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages without stubs
        seen.append(dict(context.invocation_metadata()).get("authorization"))
        yield new("TalkResponse")

    async with socket({"Talk": look}, additional_headers={"authorization": "Bearer one"}) as connection:
        await closed(connection)
    key = base64.urlsafe_b64encode(b"t/o+").decode().rstrip("=")
    protocols = [Subprotocol("letta-grpc"), Subprotocol(f"bearer.{key}")]
    async with socket({"Talk": look}, subprotocols=protocols) as connection:
        assert connection.subprotocol == "letta-grpc"
        await closed(connection)
    assert seen == ["Bearer one", "Bearer t/o+"]


@pytest.mark.parametrize("key", [b"a\nb", b"\0", b"\x7f", b"a\tb", b"\xe9"])
@pytest.mark.parametrize("path", [TALK, "/chat", "/ws/agent-1"])
async def test_a_key_that_metadata_cannot_carry_is_refused_before_the_upgrade(path: str, key: bytes) -> None:
    protocols = [Subprotocol("letta-grpc"), Subprotocol(f"bearer.{base64.urlsafe_b64encode(key).decode().rstrip('=')}")]
    async with made_up_gateway({"Talk": talk}) as client, asyncio.timeout(20):
        with pytest.raises(InvalidStatus) as refused:
            await connect(url_of(client, path), proxy=None, subprotocols=protocols)
        assert refused.value.response.status_code == 400


async def test_a_page_of_another_origin_is_refused_before_the_upgrade() -> None:
    async with made_up_gateway({"Talk": talk}) as client, asyncio.timeout(20):
        with pytest.raises(InvalidStatus) as refused:
            await connect(url_of(client, TALK), proxy=None, origin=Origin("https://evil.example"))
        assert refused.value.response.status_code == 403
        own = Origin(str(client.base_url).rstrip("/"))
        async with connect(url_of(client, TALK), proxy=None, origin=own) as connection:
            await connection.send("")
            assert (await closed(connection))[1] == 1000


async def test_a_socket_that_is_refused_is_no_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with made_up_gateway({"Talk": talk}) as client, asyncio.timeout(20):
        for path, origin in ((TALK, "https://evil.example"), ("/api/v1/search", None), ("/nothing", None)):
            with pytest.raises(InvalidStatus) as refused:
                await connect(url_of(client, path), proxy=None, origin=Origin(origin) if origin else None)
            assert refused.value.response.status_code in {403, 404}
    assert not [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def test_neither_keys_nor_messages_are_in_the_log_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = base64.urlsafe_b64encode(b"sekrit").decode().rstrip("=")
    in_headers: dict[str, Any] = {"additional_headers": {"authorization": "Bearer sekrit"}}
    beside_protocols: dict[str, Any] = {"subprotocols": [Subprotocol("letta-grpc"), Subprotocol(f"bearer.{key}")]}
    async with made_up_gateway({"Talk": talk}) as client, asyncio.timeout(20):
        for more in (in_headers, beside_protocols):
            async with connect(url_of(client, TALK), proxy=None, **more) as connection:
                await connection.send('{"word": "whisper"}')
                assert "whisper" in str(await connection.recv())
        with pytest.raises(InvalidStatus):
            await connect(url_of(client, f"{TALK}?api_key=sekrit"), proxy=None)
    # The client is none of ours.
    ours = [record for record in caplog.records if not record.name.startswith("websockets.client")]
    assert not [str(vars(record)) for record in ours if any(word in str(vars(record)) for word in ("sekrit", key, "whisper"))]


@pytest.mark.parametrize("leaves", ["vanishing", "saying too much"])
async def test_who_leaves_while_much_is_said_is_no_error_in_the_log(caplog: pytest.LogCaptureFixture, leaves: str) -> None:
    over = asyncio.Event()

    async def flood(_requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages without stubs
        try:
            while True:
                yield new("TalkResponse", word="x" * 1_000_000)
        finally:
            over.set()

    async with socket({"Talk": flood}, options=GatewayOptions(max_body_bytes=1000), max_queue=1) as connection:
        assert await connection.recv()
        if leaves == "vanishing":
            connection.transport.abort()
        else:
            await connection.send(json.dumps({"word": "x" * 2000}))
            assert (await closed(connection))[1] == 1009
        await over.wait()
    logged = [record for record in caplog.records if record.levelno >= logging.WARNING]
    # The made-up server is grpc's own, which may tell of a write that its client cancelled.
    assert not [record.getMessage() for record in logged if not record.name.startswith("grpc.")]


async def test_a_message_that_is_too_large_ends_the_connection() -> None:
    async with socket({"Talk": talk}, options=GatewayOptions(max_body_bytes=1000)) as connection:
        await connection.send(json.dumps({"word": "x" * 2000}))
        assert (await closed(connection))[1] == 1009


async def test_plain_http_is_told_to_upgrade_and_a_socket_elsewhere_is_not_found() -> None:
    async with made_up_gateway({"Talk": talk}) as client, asyncio.timeout(20):
        answer = await client.get(TALK)
        assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
        assert "WebSocket" in error_of(answer)["message"]
        with pytest.raises(InvalidStatus) as refused:
            await connect(url_of(client, "/api/v1/search"), proxy=None)
        assert refused.value.response.status_code == 404


async def test_a_socket_is_closed_once_also_when_a_message_that_is_wrong_comes_at_the_end() -> None:
    async def end(_requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages without stubs
        yield new("TalkResponse", word="bye")

    sent: list[dict[str, Any]] = []
    at_end = asyncio.Event()
    coming: list[dict[str, Any]] = [{"type": "websocket.connect"}]

    async def receive() -> dict[str, Any]:
        if coming:
            return coming.pop()
        await at_end.wait()
        return {"type": "websocket.receive", "bytes": b"no text"}

    async def send(message: Any) -> None:  # noqa: ANN401 - as ASGI has it
        sent.append(message)
        if message["type"] == "websocket.close":
            at_end.set()

    async with asyncio.timeout(20), serving_made_up({"Talk": end}) as channel:
        app = gateway_app(channel, contract=made_up())
        headers = [(b"host", b"127.0.0.1")]
        scope = {"type": "websocket", "path": TALK, "raw_path": TALK.encode(), "query_string": b"", "headers": headers}
        await app({**scope, "subprotocols": [], "root_path": "", "scheme": "ws"}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send", "websocket.close"]
