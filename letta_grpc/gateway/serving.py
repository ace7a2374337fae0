"""The gateway on a socket: uvicorn inside a loop that is somebody else's."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp

from letta_grpc.gateway.http1 import guarded
from letta_grpc.gateway.options import GatewayOptions
from letta_grpc.gateway.upgrades import DenyingSocket

# How long a peer that acknowledges nothing is taken to be there.
_VANISHED_MS = 30_000
_STOP_SECONDS = 1


# What makes it HTTPS: gives the context of the certificate now in service, and is asked at each handshake.
Certificate = Callable[[], ssl.SSLContext]


class BindError(Exception):
    """The gateway cannot listen on an address."""


def listener_on(listen: str) -> socket.socket:
    """Listen on `host:port`: who connects waits until it is served. Raises BindError."""
    host, _, port = listen.rpartition(":")
    name = host.strip("[]")
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit these: a client that lost its power is noticed, where the kernel alone would wait for hours.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _VANISHED_MS)
        listener.bind((name, int(port)))
        # Until somebody listens, another could take the same address, too.
        listener.listen()
    except (OSError, OverflowError, ValueError) as error:
        listener.close()
        reason = error.strerror if isinstance(error, OSError) else "write host:port, with a port from 0 to 65535"
        raise BindError(f"cannot listen on {listen}: {reason}") from error
    return listener


@asynccontextmanager
async def http_serving(
    app: ASGIApp, listener: socket.socket, options: GatewayOptions, certificate: Certificate | None = None
) -> AsyncIterator[str]:
    """Serve an application, and close the listener at the end; yield the URL once it accepts.

    On leaving, no connection is taken any more, answers under way have a second to end, and the rest is cut. The application's
    lifespan is this one's.
    """
    with listener:
        async with _lifespan(app), _serving(app, listener, options, certificate) as url:
            yield url


def _lifespan(app: ASGIApp) -> AbstractAsyncContextManager[object]:
    # Not by uvicorn, which would leave it open where its own shutdown is cancelled.
    return app.router.lifespan_context(app) if isinstance(app, Starlette) else nullcontext()


@asynccontextmanager
async def _serving(
    app: ASGIApp, listener: socket.socket, options: GatewayOptions, certificate: Certificate | None
) -> AsyncIterator[str]:
    host, port = listener.getsockname()[:2]
    server = _Server(_config(app, options, certificate))
    failed: Exception | None = None
    try:
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(server.serve([listener]), name="http")
            ready = group.create_task(server.ready.wait(), name="http ready")
            await asyncio.wait((serving, ready), return_when=asyncio.FIRST_COMPLETED)
            ready.cancel()
            try:
                yield f"{'https' if certificate else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
            except Exception as error:  # noqa: BLE001 - raised again below: the group would wrap it, and cut the server off
                failed = error
            server.should_exit = True
    finally:
        server.cut()
    if failed is not None:
        raise failed


def _config(app: ASGIApp, options: GatewayOptions, certificate: Certificate | None) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http=guarded(options),
        ws=DenyingSocket,
        ws_max_size=options.max_body_bytes,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=options.keep_alive_seconds,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    if certificate:
        # It would make a context of its own from files, once for all.
        config.load()
        config.ssl = _asking(certificate)
    return config


def _asking(certificate: Certificate) -> ssl.SSLContext:
    """Return a context that takes the certificate for each handshake from the one that is then in service.

    Not by loading a new pair into the same context: the connection at hand has copied the old one by then, and after a pair
    that does not fit the context would shake hands with nobody.
    """

    def choose(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        # In the event loop, as all of a handshake is.
        connection.context = certificate()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Called for a client that names no host, too.
    context.sni_callback = choose
    return context


class _Server(uvicorn.Server):
    """uvicorn without its handling of signals; `ready` is set once it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    def cut(self) -> None:
        """Close whatever a shutdown that was cancelled left open."""
        for listening in getattr(self, "servers", ()):
            listening.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield
