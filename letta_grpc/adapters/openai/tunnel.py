"""A CONNECT tunnel through an HTTP proxy (RFC 9110, 9.3.6)."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import cast

from letta_grpc.adapters.openai.address import Address
from letta_grpc.adapters.openai.faults import ProxyRefusedError

_MAX_HEAD_BYTES = 16 * 1024
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


async def open_tunnel(
    address: Address, proxy: Address, connect: Callable[[Callable[[], asyncio.Protocol]], Awaitable[None]]
) -> asyncio.Transport:
    """Connect to the proxy and have it connect to the address. Raises ProxyRefusedError."""
    tunnel = _Tunnel()
    await connect(lambda: tunnel)
    try:
        tunnel.transport.write(_request(address, proxy))
        await tunnel.opened
    except BaseException:
        tunnel.transport.abort()
        raise
    return tunnel.transport


def _request(address: Address, proxy: Address) -> bytes:
    authorization = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
    return f"CONNECT {address.authority} HTTP/1.1\r\nHost: {address.authority}\r\n{authorization}\r\n".encode()


class _Tunnel(asyncio.Protocol):
    """Reads the proxy's answer. What comes behind it is TLS's, which does not speak before we do."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._refuse("it closed the connection", exc)

    def data_received(self, data: bytes) -> None:
        self._head += data
        if b"\r\n\r\n" in self._head:
            status = _STATUS.match(self._head)
            if status is None or not status[1].startswith(b"2"):
                self._refuse(f"it answered {status[1].decode() if status else 'no HTTP'}")
            elif not self.opened.done():
                self.opened.set_result(None)
        elif len(self._head) > _MAX_HEAD_BYTES:
            self._refuse("it answered without an end")

    def _refuse(self, why: str, cause: Exception | None = None) -> None:
        if not self.opened.done():
            error = ProxyRefusedError(why)
            error.__cause__ = cause
            self.opened.set_exception(error)
