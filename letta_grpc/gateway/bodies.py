"""Request bodies: read within a size and a time, JSON within a depth."""

import asyncio
from typing import Any

import grpc
import orjson
from starlette.types import Receive, Scope

from letta_grpc.gateway.failures import Failure, refused
from letta_grpc.gateway.options import GatewayOptions
from letta_grpc.gateway.reading import deeper_than


class ClientLeftError(Exception):
    """The client went away; there is nobody to tell anything."""


async def read_body(scope: Scope, receive: Receive, options: GatewayOptions) -> bytes:
    """Return the whole body. Raises Failure, ClientLeftError."""
    declared = header(scope, b"content-length")
    if declared.isdigit() and int(declared) > options.max_body_bytes:
        raise _too_large(int(declared), options.max_body_bytes)
    pieces, size = [], 0
    try:
        async with asyncio.timeout(options.body_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientLeftError
                piece: bytes = message.get("body", b"")
                pieces.append(piece)
                size += len(piece)
                if size > options.max_body_bytes:
                    raise _too_large(size, options.max_body_bytes)
                if not message.get("more_body", False):
                    return b"".join(pieces)
    except TimeoutError:
        code = grpc.StatusCode.DEADLINE_EXCEEDED
        raise refused("The request's body took too long.", http=408, code=code, headers=_CLOSE) from None


async def read_json(scope: Scope, receive: Receive, options: GatewayOptions, *, may_be_null: bool = False) -> Any:  # noqa: ANN401 - any JSON
    """Return the body's JSON; None if there is no body, or it is null and may be so. Raises Failure, ClientLeftError."""
    body = await read_body(scope, receive, options)
    if not body:
        return None
    kind = header(scope, b"content-type").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        # Whatever a page may send to another origin without asking first is no JSON: so this closes that door, too.
        raise refused("A body must be sent with `content-type: application/json`.", http=415)
    encoding = header(scope, b"content-encoding").strip()
    if encoding.lower() not in {"", "identity"}:
        raise refused(f"A body must be sent as it is, without `content-encoding: {encoding}`.", http=415, headers=_AS_IT_IS)
    value = parsed(body, options)
    if value is None and not may_be_null:
        raise refused("The body is null: send an object, or no body.")
    return value


def parsed(text: bytes | str, options: GatewayOptions) -> Any:  # noqa: ANN401 - any JSON
    """Parse JSON. Raises Failure."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise refused(f"The body is not JSON: {error}.") from None
    if deeper_than(value, options.max_json_depth):
        raise refused(f"The JSON is nested deeper than {options.max_json_depth} levels.")
    return value


def header(scope: Scope, name: bytes) -> str:
    """Return a header's value, several joined by commas; empty if there is none."""
    return ", ".join(value.decode("latin-1") for key, value in scope["headers"] if key == name)


# What is taken instead: RFC 9110, 15.5.16.
_AS_IT_IS = {"accept-encoding": "identity"}
# The rest of such a body may never come: the connection cannot go on.
_CLOSE = {"connection": "close"}


def _too_large(size: int, limit: int) -> Failure:
    # The connection goes on, and uvicorn drops the rest: closed under a client that still sends, it would lose the answer.
    return refused(
        f"The body has {size} bytes or more; {limit} are allowed.",
        http=413,
        code=grpc.StatusCode.RESOURCE_EXHAUSTED,
        reason="MESSAGE_TOO_LARGE",
        size=str(size),
        limit=str(limit),
    )
