"""A server on its sockets: gRPC, and HTTP where the settings say so."""

import asyncio
import gc
import logging
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from letta_grpc.app.failures import StartupError
from letta_grpc.app.in_process import InProcessServer, assembled
from letta_grpc.app.parts import tls_of
from letta_grpc.app.readiness import WatchedLeases
from letta_grpc.engine.supervisor import Supervisor
from letta_grpc.settings import Settings
from letta_grpc.transport.certificates import RenewableTls
from letta_grpc.transport.server import ListenError, Server, ServerOptions

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that accepts calls at `address`, and over HTTP at the URL `http`, if it was told to."""

    in_process: InProcessServer
    address: str
    http: str | None = None


@asynccontextmanager
async def serving(settings: Settings, environ: Mapping[str, str] = os.environ) -> AsyncIterator[RunningServer]:
    """Serve on the settings' address; on leaving, drain, then stop.

    Runs may end within `drain_seconds`, where the database is not lost. The next server on the same database goes on with the
    others. Raises StartupError.
    """
    async with assembled(settings, environ) as inner:
        tls = tls_of(settings)
        server = Server(inner.calls, _server_options(settings, tls))
        # It listens before it takes over the runs that were left open: by a server that cannot, started again and again, their
        # models would be asked each time, and then they would be given up.
        async with (
            _listening(server, settings) as (address, listener),
            inner.supervisor,
            _answering(server, inner.leases),
            _gateway(inner, settings, listener, tls) as url,
        ):
            # What is here now stays; the collector need not look at it again.
            gc.freeze()
            try:
                yield RunningServer(inner, address, url)
            finally:
                await server.drain()
                if not inner.lost.is_set():
                    await _let_runs_end(inner.supervisor, settings.drain_seconds)
                gc.unfreeze()


@asynccontextmanager
async def _listening(server: Server, settings: Settings) -> AsyncIterator[tuple[str, socket.socket | None]]:
    """Take the addresses of gRPC, and of HTTP if the settings say so. Raises StartupError."""
    try:
        (address,) = server.bind()
    except ListenError as error:
        raise StartupError(str(error)) from error
    if settings.http is None:
        yield address, None
        return
    # On first use: a server without a gateway need not load one.
    from letta_grpc.gateway.serving import BindError, listener_on  # noqa: PLC0415 - see above

    try:
        listener = listener_on(settings.http)
    except BindError as error:
        raise StartupError(str(error)) from error
    with listener:
        yield address, listener


@asynccontextmanager
async def _answering(server: Server, leases: WatchedLeases) -> AsyncIterator[None]:
    """Accept calls, and tell probes what the renewals of leases tell."""
    await server.start()
    leases.told = server.tell_probes
    try:
        yield
    finally:
        await server.stop(grace_seconds=1)


@asynccontextmanager
async def _gateway(
    inner: InProcessServer, settings: Settings, listener: socket.socket | None, tls: RenewableTls | None
) -> AsyncIterator[str | None]:
    """Serve HTTP over a channel of the server's own, if there is a listener for it; yield the URL."""
    if listener is None:
        yield None
        return
    # On first use, as above.
    from letta_grpc.gateway.application import gateway_app  # noqa: PLC0415 - see above
    from letta_grpc.gateway.options import GatewayOptions  # noqa: PLC0415 - see above
    from letta_grpc.gateway.serving import http_serving  # noqa: PLC0415 - see above

    options = GatewayOptions(
        cors_origins=settings.cors_origins,
        # Without keys, whoever gets through to it may do all: so only by a name that no foreign page can have.
        any_host=settings.asks_for_keys,
        # JSON is larger than what it says: base64 by a third, short fields by their names.
        max_body_bytes=2 * settings.max_message_bytes,
        chat_model=settings.chat_model,
        anthropic_base_url=settings.anthropic.base_url,
        anthropic_api_key=settings.anthropic.key,
    )
    async with (
        inner.channel() as channel,
        http_serving(gateway_app(channel, options), listener, options, tls.context_now if tls else None) as url,
    ):
        yield url


async def _let_runs_end(supervisor: Supervisor, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await supervisor.idle()
    except TimeoutError:
        logger.warning("%d runs are left open: the next server goes on with them", supervisor.active)


def _server_options(settings: Settings, tls: RenewableTls | None) -> ServerOptions:
    return ServerOptions(listen=(settings.listen,), tls=tls, reflection=settings.reflection, channelz=settings.channelz)
