"""How a connection comes about: name, sockets, proxy, TLS."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import cast

from aiohappyeyeballs import start_connection

from letta_grpc.adapters.openai.address import Address
from letta_grpc.adapters.openai.faults import ConnectTimeoutError
from letta_grpc.adapters.openai.tunnel import open_tunnel

# RFC 8305's: how long one address may take before the next is tried beside it.
_NEXT_ADDRESS_SECONDS = 0.25

Factory = Callable[[], asyncio.Protocol]


class Dialer:
    """Connects to one address, through a proxy where there is one."""

    def __init__(self, address: Address, proxy: Address | None, timeout_seconds: float, tls: ssl.SSLContext | None) -> None:
        self._address = address
        self._proxy = proxy
        self._timeout_seconds = timeout_seconds
        self._tls = tls
        self._tls_lock = asyncio.Lock()

    async def dial(self, factory: Factory) -> None:
        """Give a new protocol its connection. Raises HttpError or OSError."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._dial(factory)
        except TimeoutError as error:
            raise ConnectTimeoutError from error

    async def _dial(self, factory: Factory) -> None:
        address, proxy = self._address, self._proxy
        if proxy is None or not address.is_secure:
            await self._connect(proxy or address, factory)
        else:
            transport = await open_tunnel(address, proxy, lambda protocol: self._connect(proxy, protocol))
            await self._start_tls(transport, factory())

    async def _connect(self, address: Address, factory: Factory) -> None:
        loop = asyncio.get_running_loop()
        tls = await self._context() if address.is_secure else None
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        # Two addresses of one family first would make the other family wait: they are tried in turn.
        sock = await start_connection(found, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, interleave=1)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.create_connection(factory, sock=sock, ssl=tls, server_hostname=address.host if tls else None)
        except BaseException:
            sock.close()
            raise

    async def _start_tls(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        loop, tls = asyncio.get_running_loop(), await self._context()
        try:
            secure = await loop.start_tls(transport, protocol, tls, server_hostname=self._address.host)
        except BaseException:
            transport.abort()
            raise
        # start_tls leaves this to its caller.
        protocol.connection_made(cast("asyncio.Transport", secure))

    async def _context(self) -> ssl.SSLContext:
        """Return the context, made once and beside the loop: reading all certificates takes tens of milliseconds."""
        async with self._tls_lock:
            if self._tls is None:
                self._tls = await asyncio.to_thread(ssl.create_default_context)
                self._tls.set_alpn_protocols(["http/1.1"])
            return self._tls
