"""Request bodies: read within a size and a time, JSON within a depth and a number of values."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar

import grpc
import orjson
from starlette.types import Receive, Scope

from letta_grpc.gateway.aside import aside
from letta_grpc.gateway.failures import Failure, refused
from letta_grpc.gateway.options import GatewayOptions
from letta_grpc.gateway.reading import deeper_than, more_values_than

P = ParamSpec("P")
T = TypeVar("T")

# The key in a scope under which `Admission` puts the function that asks who sends a body. That raises Failure.
ADMISSION = "letta_grpc.admission"
# How many bytes anybody may send: reading and converting them costs less than the rest of a request.
_ANYBODYS_BYTES = 4 * 1024
# Whoever sends as fast, or faster, may take longer than `body_seconds`: a slow line is no reason to refuse a large body.
_LEAST_BYTES_A_SECOND = 32 * 1024


class ClientLeftError(Exception):
    """The client went away; there is nobody to tell anything."""


async def read_body(scope: Scope, receive: Receive, options: GatewayOptions, *, is_admitted: bool = False) -> bytes:
    """Return the whole body; a large one of a caller whom the server behind knows, or who `is_admitted`.

    Raises Failure, ClientLeftError.
    """
    expected = _declared_size(scope) or 0
    if expected > options.max_body_bytes:
        raise _too_large(expected, options.max_body_bytes)
    if expected > _ANYBODYS_BYTES and not is_admitted:
        await _admit(scope)
        is_admitted = True
    pieces, size = [], 0
    try:
        async with asyncio.timeout(options.body_seconds) as patience:
            until = patience.when() or 0
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientLeftError
                piece: bytes = message.get("body", b"")
                pieces.append(piece)
                size += len(piece)
                if size > options.max_body_bytes:
                    raise _too_large(size, options.max_body_bytes)
                if size > _ANYBODYS_BYTES and not is_admitted:
                    # A body that comes in chunks has not said how long it is.
                    await _admit(scope)
                    is_admitted = True
                if not message.get("more_body", False):
                    return b"".join(pieces)
                patience.reschedule(until + size / _LEAST_BYTES_A_SECOND)
    except TimeoutError:
        code = grpc.StatusCode.DEADLINE_EXCEEDED
        raise refused("The request's body took too long.", http=408, code=code, headers=_CLOSE) from None


def _declared_size(scope: Scope) -> int | None:
    declared = header(scope, b"content-length")
    return int(declared) if declared.isdigit() else None


async def aside_of(scope: Scope, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Do work on a request's body, in a thread if it is said to be large or comes in chunks; return what it returns."""
    size = _declared_size(scope)
    return await aside(sys.maxsize if size is None else size, work, *given, **named)


async def _admit(scope: Scope) -> None:
    admit: Callable[[], Awaitable[None]] | None = scope.get(ADMISSION)
    if admit is not None:
        await admit()


async def read_json(scope: Scope, receive: Receive, options: GatewayOptions, *, may_be_null: bool = False) -> Any:  # noqa: ANN401 - any JSON
    """Return the body's JSON; None if there is no body, or it is null and may be so. Raises Failure, ClientLeftError."""
    return await json_in(scope, await read_body(scope, receive, options), options, may_be_null=may_be_null)


async def json_in(scope: Scope, body: bytes, options: GatewayOptions, *, may_be_null: bool = False) -> Any:  # noqa: ANN401 - any JSON
    """Return the JSON of a body that has been read, as `read_json` does. Raises Failure."""
    if not body:
        return None
    kind = header(scope, b"content-type").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        # Whatever a page may send to another origin without asking first is no JSON: so this closes that door, too.
        raise refused("A body must be sent with `content-type: application/json`.", http=415)
    encoding = header(scope, b"content-encoding").strip()
    if encoding.lower() not in {"", "identity"}:
        raise refused(f"A body must be sent as it is, without `content-encoding: {encoding}`.", http=415, headers=_AS_IT_IS)
    value = await aside(len(body), parsed, body, options)
    if value is None and not may_be_null:
        raise refused("The body is null: send an object, or no body.")
    return value


def parsed(text: bytes | str, options: GatewayOptions) -> Any:  # noqa: ANN401 - any JSON
    """Parse JSON. Raises Failure."""
    content = within_values(text, options)
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise refused(f"The body is not JSON: {error}.") from None
    if deeper_than(value, options.max_json_depth):
        raise refused(f"The JSON is nested deeper than {options.max_json_depth} levels.")
    return value


def within_values(text: bytes | str, options: GatewayOptions) -> bytes:
    """Return JSON as it came. Raises Failure if it has more values than are allowed, before any of them is made."""
    content = text.encode() if isinstance(text, str) else text
    if more_values_than(content, options.max_json_values):
        raise _too_many(options.max_json_values)
    return content


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


def _too_many(limit: int) -> Failure:
    return refused(
        f"The JSON has more than {limit} values, which is as many as are allowed.",
        http=413,
        code=grpc.StatusCode.RESOURCE_EXHAUSTED,
        reason="MESSAGE_TOO_LARGE",
        limit=str(limit),
    )
