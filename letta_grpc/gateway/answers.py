"""Answers with one body."""

from collections.abc import Mapping

from starlette.types import Message, Scope, Send

from letta_grpc.gateway.bodies import header
from letta_grpc.gateway.compression import MIN_BYTES, accepts_gzip, gzipped
from letta_grpc.gateway.failures import Failure

JSON = "application/json"


async def send_json(
    scope: Scope, send: Send, body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> None:
    """Send a JSON body, compressed if that pays and the client takes it."""
    told = {"content-type": JSON, "cache-control": "no-store", "vary": "accept-encoding"} | dict(headers or {})
    if len(body) >= MIN_BYTES and accepts_gzip(header(scope, b"accept-encoding")):
        body = gzipped(body)
        told["content-encoding"] = "gzip"
    await _send(send, body, status, told)


async def send_failure(scope: Scope, send: Send, failure: Failure) -> None:
    """Tell a failure."""
    await send_json(scope, send, failure.as_json(), status=failure.http, headers=failure.headers)


async def send_nothing(send: Send, headers: Mapping[str, str]) -> None:
    """Send 204: there is nothing, and an EventSource takes it that there never will be."""
    await _send(send, b"", 204, headers)


async def _send(send: Send, body: bytes, status: int, headers: Mapping[str, str]) -> None:
    # 204 has no body, and must not say how long it is.
    length = {} if status == 204 else {"content-length": str(len(body))}  # noqa: PLR2004 - No Content
    await send({"type": "http.response.start", "status": status, "headers": raw_headers(dict(headers) | length)})
    await send({"type": "http.response.body", "body": body})


def raw_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return headers as ASGI sends them."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def denying(scope: Scope, send: Send) -> Send:
    """Return what sends an answer in place of a WebSocket; for plain HTTP, `send` itself."""
    if scope["type"] != "websocket":
        return send

    async def deny(message: Message) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    return deny
