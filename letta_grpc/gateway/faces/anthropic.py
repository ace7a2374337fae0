"""The *anthropic* face: Anthropic's Messages API, passed through, with a memory.

    POST /v1/anthropic/v1/messages                 what was said is captured into the caller's `claude-code-…` agent
    POST /v1/anthropic/v1/messages/count_tokens    passed through alone

`ANTHROPIC_BASE_URL=http://<gateway>/v1/anthropic` is all that a program needs; one that takes its base URL to end with `/v1`,
as Vercel's AI SDK does, is told so. Status, headers and body go through as they are, byte for byte and as they come; the
answer is asked for uncompressed. A request may have 32 MiB, as with Anthropic, unless the operator has lowered the limit of
all requests (`LETTA_GRPC_MAX_MESSAGE_BYTES`) below the usual one. The turn is captured behind the answer's last byte, and what
goes wrong with that is only logged.

Upstream is shown the caller's `x-api-key`, or an `authorization` that can only be Anthropic's: by its form, or because the
server behind wants no keys and the gateway has none. Any other `authorization` is for the server behind, and goes no further;
whom that lets in uses the gateway's own key. Nothing is passed on for anybody else, but for those who bring a key of their own
to api.anthropic.com. Of those whom the server behind does not know, 128 MiB of requests are held at once (`strangers.py`).
Where upstream is another, callers show the server's key as `authorization`, and theirs as `x-api-key`.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import grpc
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from letta_grpc.gateway.admission import let_in
from letta_grpc.gateway.bodies import read_body
from letta_grpc.gateway.face import FaceContext
from letta_grpc.gateway.faces.anthropic_capture import Captures, Gathered
from letta_grpc.gateway.faces.endpoints import telling
from letta_grpc.gateway.faces.strangers import Room, Share
from letta_grpc.gateway.failures import Failure, refused
from letta_grpc.gateway.leaving import while_connected
from letta_grpc.gateway.metadata import Metadata, metadata_of
from letta_grpc.gateway.options import GatewayOptions

if TYPE_CHECKING:
    import httpx2

logger = logging.getLogger(__name__)

RawHeaders = list[tuple[bytes, bytes]]

_CONNECT_SECONDS, _SILENCE_SECONDS = 10, 600
# What Anthropic takes: pictures and documents of a conversation come again with each of its turns.
_MAX_BYTES = 32 * 1024 * 1024
# Anybody can bring what looks like a key of their own: so much of all such requests is held at once, until they are answered.
_STRANGERS_BYTES = 4 * _MAX_BYTES
# Of one connection, not of the message: RFC 9110, 7.6.1.
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_NOT_PASSED_ON = _HOP_BY_HOP | {b"host", b"content-length", b"accept-encoding", b"authorization", b"x-api-key", b"cookie"}
# uvicorn writes a date of its own.
_NOT_PASSED_BACK = _HOP_BY_HOP | {b"date"}
_ANTHROPICS = b"Bearer sk-ant-"
_ANTHROPICS_HOST = "api.anthropic.com"
_PASSED_ON = (
    "/v1/anthropic/v1/messages is passed on, and /v1/anthropic/v1/messages/count_tokens, each by POST. "
    "The base URL ends with /v1/anthropic, or with /v1/anthropic/v1 for programs that add no /v1 themselves."
)


def anthropic(context: FaceContext) -> Sequence[BaseRoute]:
    """Return the face's routes."""
    upstream = Upstream(context)
    captures = Captures(context.channel)
    room = Room(_STRANGERS_BYTES)
    options = replace(context.options, max_body_bytes=_most_bytes(context.options))

    async def messages(request: Request) -> Response:
        return await passed(request, captures)

    async def count_tokens(request: Request) -> Response:
        return await passed(request, None)

    async def passed(request: Request, into: Captures | None) -> Response:
        metadata = metadata_of(request.scope)
        credentials = await _credentials(request, context, metadata)
        share = Share(room, partial(let_in, context.channel, metadata))
        # Whoever is not let in is refused by now, or counted; and nothing is made of the body but bytes.
        receive = share.counting(request.receive) if _is_stranger(request, context) else request.receive
        try:
            body = await read_body(request.scope, receive, options, is_admitted=True)
        except BaseException:
            share.give_back()
            raise
        if b"authorization" in dict(credentials):
            metadata = _without_authorization(metadata)
        return Passage(upstream, _asked(request, credentials, body), into, metadata, share)

    async def elsewhere(request: Request) -> Response:
        message = f"There is no {request.method} {request.url.path} here: {_PASSED_ON}"
        raise refused(message, http=404, code=grpc.StatusCode.NOT_FOUND)

    return (
        Route("/v1/anthropic/v1/messages", telling(messages, _told), methods=["POST"]),
        Route("/v1/anthropic/v1/messages/count_tokens", telling(count_tokens, _told), methods=["POST"]),
        Route("/v1/anthropic/{rest:path}", telling(elsewhere, _told), methods=["GET", "POST", "DELETE"]),
    )


def _most_bytes(options: GatewayOptions) -> int:
    """Return how large a request may be: an operator who takes less than is usual means these, too."""
    is_usual = options.max_body_bytes >= GatewayOptions().max_body_bytes
    return max(options.max_body_bytes, _MAX_BYTES) if is_usual else options.max_body_bytes


async def _credentials(request: Request, context: FaceContext, metadata: Metadata) -> RawHeaders:
    """Return what upstream is shown. Raises Failure for whom nothing is passed on."""
    given = dict(request.headers.raw)
    authorization = given.get(b"authorization", b"")
    key = given.get(b"x-api-key")
    if not _is_stranger(request, context):
        await let_in(context.channel, metadata)
    if key:
        return [(b"x-api-key", key)]
    if authorization.startswith(_ANTHROPICS):
        return [(b"authorization", authorization)]
    if own := context.options.anthropic_api_key:
        return [(b"x-api-key", own.encode("latin-1"))]
    if authorization and await _is_open(context, metadata):
        return [(b"authorization", authorization)]
    return []


def _is_stranger(request: Request, context: FaceContext) -> bool:
    """Say whether Anthropic alone looks at the key of a caller's own, and the server behind is not asked."""
    given = dict(request.headers.raw)
    has_own = bool(given.get(b"x-api-key")) or given.get(b"authorization", b"").startswith(_ANTHROPICS)
    return has_own and _is_anthropics(context.options.anthropic_base_url)


def _is_anthropics(base_url: str) -> bool:
    """Say whether keys are looked at there. Who stands in for Anthropic may take any, and be within nobody else's reach."""
    return urlsplit(base_url).hostname == _ANTHROPICS_HOST


async def _is_open(context: FaceContext, metadata: Metadata) -> bool:
    """Say whether the server behind wants no keys: then it has no use for one that came."""
    try:
        await let_in(context.channel, _without_authorization(metadata))
    except Failure:
        return False
    return True


def _without_authorization(metadata: Metadata) -> Metadata:
    return tuple(pair for pair in metadata if pair[0] != "authorization")


_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    529: "overloaded_error",
}


def _told(failure: Failure) -> Response:
    kind = _KINDS.get(failure.http, "api_error")
    told = {"type": "error", "error": {"type": kind, "message": failure.message}}
    return JSONResponse(told, failure.http, failure.headers)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as upstream gets it."""

    path: str
    headers: RawHeaders
    body: bytes


def _asked(request: Request, credentials: RawHeaders, body: bytes) -> Asked:
    path = request.url.path.removeprefix("/v1/anthropic") + (f"?{request.url.query}" if request.url.query else "")
    headers = [pair for pair in request.headers.raw if pair[0] not in _NOT_PASSED_ON]
    return Asked(path, [*headers, *credentials, (b"accept-encoding", b"identity")], body)


class Upstream:
    """Anthropic, or who stands in for it."""

    def __init__(self, context: FaceContext) -> None:
        self._base_url = context.options.anthropic_base_url.rstrip("/").removesuffix("/v1")
        self._closing = context.closing

    @cached_property
    def _client(self) -> "httpx2.AsyncClient":
        import httpx2  # noqa: PLC0415 - only who passes something on pays for loading it

        timeout = httpx2.Timeout(_SILENCE_SECONDS, connect=_CONNECT_SECONDS)
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
        # Cookies that upstream sets are the caller's, and would go with everybody's requests.
        cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
        client = httpx2.AsyncClient(timeout=timeout, limits=limits, cookies=cookies, trust_env=False)
        # Whatever is sent is the caller's.
        client.headers.clear()
        self._closing.push_async_callback(client.aclose)
        return client

    @asynccontextmanager
    async def ask(self, asked: Asked) -> AsyncIterator["httpx2.Response"]:
        """Send a request on; yield the answer, whose body is still to be read. Raises httpx2.HTTPError."""
        url = self._base_url + asked.path
        async with self._client.stream("POST", url, headers=asked.headers, content=asked.body) as answer:
            yield answer


class Passage(Response):
    """Gives an answer through while it comes; behind it captures the turn, if it is to be."""

    def __init__(self, upstream: Upstream, asked: Asked, captures: Captures | None, metadata: Metadata, share: Share) -> None:
        super().__init__()
        self._upstream, self._asked, self._captures, self._metadata = upstream, asked, captures, metadata
        self._share = share
        self._gathered = Gathered(asked.body) if captures else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        try:
            await while_connected(receive, self._pass(scope, receive, send))
            # Only now: to the client the answer is over.
            if self._captures and self._gathered and self._gathered.may_be_whole:
                await self._captures.keep(self._gathered, self._metadata)
        finally:
            self._share.give_back()

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        import httpx2  # noqa: PLC0415 - as above

        is_open = False
        try:
            async with self._upstream.ask(self._asked) as answer:
                headers = _passed_back(answer)
                await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
                is_open = True
                if self._gathered:
                    self._gathered.begin(answer.status_code, dict(headers))
                async for piece in answer.aiter_raw():
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    if self._gathered:
                        self._gathered.add(piece)
            if self._gathered:
                self._gathered.end()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except httpx2.HTTPError as error:
            # What cannot be sent is quoted in its error: that may be the key.
            told_of = type(error).__name__ if isinstance(error, httpx2.LocalProtocolError) else repr(error)
            logger.warning("Anthropic's answer did not come", extra={"error": told_of})
            # An answer that broke off stays broken: without its end the connection is closed.
            if not is_open:
                await _told(refused("The upstream cannot be reached.", http=502))(scope, receive, send)


def _passed_back(answer: "httpx2.Response") -> RawHeaders:
    headers = ((name.lower(), value) for name, value in answer.headers.raw)
    return [(name, value) for name, value in headers if name not in _NOT_PASSED_BACK]
