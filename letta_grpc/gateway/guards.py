"""What every request passes, whatever it asks for: names, keys, origins; and the headers that every answer bears.

There are no cookies, so a page of another origin has nothing of the user's to use. What is left to guard is a server without
keys on somebody's own machine: a page may not start anything there (Origin), nor pass as ours by pointing a name of its own
at it (Host).
"""

import ipaddress
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlsplit

import grpc
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from letta_grpc.gateway.answers import denying, raw_headers, send_failure
from letta_grpc.gateway.bodies import header
from letta_grpc.gateway.failures import Failure, refused
from letta_grpc.gateway.options import GatewayOptions

_KEYS_IN_URLS = frozenset({"api_key", "apikey", "api-key", "key", "access_token", "auth_token", "token", "authorization"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# Pages of ours load nothing from elsewhere, run no inline script and are framed by nobody.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = raw_headers(
    {
        "x-content-type-options": "nosniff",
        "content-security-policy": CONTENT_SECURITY_POLICY,
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "same-origin",
    }
)


class Guards:
    """Middleware: refuses what may not pass, and adds the headers."""

    def __init__(self, app: ASGIApp, options: GatewayOptions) -> None:
        self._app = app
        self._origins = frozenset(options.cors_origins)
        self._any_host = options.any_host
        # Whoever names a page's origin trusts its name.
        self._hosts = frozenset(_host_in(origin) for origin in options.cors_origins) - {None}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"].endswith("http.response.start"):
                message = {**message, "headers": [*message["headers"], *_HEADERS]}
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, with_headers)
        else:
            await send_failure(scope, denying(scope, with_headers), refusal)

    def _refusal(self, scope: Scope) -> Failure | None:
        if scope["query_string"] and (name := _key_in(scope["query_string"])):
            return refused(
                f"`{name}` in the URL: URLs are logged and remembered. Send the key as `authorization: Bearer <key>`.",
            )
        host = header(scope, b"host")
        if not (self._any_host or host in self._hosts or _is_this_machine(host)):
            return _forbidden(
                f"{host!r} is no name of this server's: it answers to localhost, and to hosts in --cors-origins."
            )
        origin = header(scope, b"origin")
        if origin and self._is_foreign(origin, host) and (scope["type"] == "websocket" or scope["method"] not in _SAFE):
            return _forbidden(f"Pages of {origin} may not call this server: --cors-origins names those that may.")
        return None

    def _is_foreign(self, origin: str, host: str) -> bool:
        if origin in self._origins or "*" in self._origins:
            return False
        # A page's origin names its scheme too, but behind a proxy that ends TLS ours does not know it.
        return _host_in(origin) != host.lower()


def _key_in(query: bytes) -> str | None:
    names: Sequence[tuple[str, str]] = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return next((name for name, _ in names if name.lower() in _KEYS_IN_URLS), None)


def _host_in(origin: str) -> str | None:
    """Return the Host header of an origin's own server; None for what is no URL."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _is_this_machine(host: str) -> bool:
    """Say whether a Host header is none that a foreign page could have: an address, or localhost."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name == "localhost" or name.endswith(".localhost") or not host:
            return True
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _forbidden(message: str) -> Failure:
    return refused(message, http=403, code=grpc.StatusCode.PERMISSION_DENIED, reason="ACCESS_DENIED")
