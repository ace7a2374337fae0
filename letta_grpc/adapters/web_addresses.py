"""Which addresses requests to servers that callers name go to."""

import asyncio
import socket
from collections.abc import Iterator, Sequence

import httpx2

from letta_grpc.domain.addresses import is_private


class NameUnknownError(httpx2.ConnectError):
    """No address is known for the host's name."""


class PrivateAddressError(httpx2.ConnectError):
    """The host has an address that the whole Internet does not reach."""


class VettedTransport(httpx2.AsyncBaseTransport):
    """Sends requests to public addresses alone, unless all are allowed; of several to the first that can be connected to."""

    def __init__(self, inner: httpx2.AsyncHTTPTransport, *, allow_private_addresses: bool) -> None:
        self._inner = inner
        self._allow_private_addresses = allow_private_addresses
        self._reached = ""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request. Raises NameUnknownError, PrivateAddressError, and what its transport raises."""
        if self._allow_private_addresses:
            return await self._inner.handle_async_request(request)
        host = request.url.raw_host.decode("ascii")
        addresses = await _public_addresses(host, request.url.port)
        # One that takes its time to fail would take it from each request.
        addresses.sort(key=lambda address: address != self._reached)
        return await self._first_answer(request, host, addresses)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()

    async def _first_answer(self, request: httpx2.Request, host: str, addresses: Sequence[str]) -> httpx2.Response:
        failure: httpx2.TransportError | None = None
        for address, timeout in zip(addresses, _timeouts(request, len(addresses)), strict=True):
            try:
                response = await self._inner.handle_async_request(_aimed(request, host, address, timeout))
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failure = error  # Nothing was sent: another address may take the request.
            else:
                self._reached = address
                return response
        raise failure or NameUnknownError(host)


async def _public_addresses(host: str, port: int | None) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise NameUnknownError(host) from error
    addresses = [str(entry[4][0]) for entry in found]
    if any(is_private(address) for address in addresses):
        raise PrivateAddressError(host)
    return addresses


def _timeouts(request: httpx2.Request, count: int) -> Iterator[dict[str, float | None]]:
    """Yield the timeouts of `count` tries, each with an equal part of what is left of the time to connect."""
    timeout = request.extensions.get("timeout", {})
    seconds = timeout.get("connect")
    now = asyncio.get_running_loop().time
    end = now() + (seconds or 0)
    for left in range(count, 0, -1):
        yield timeout if seconds is None else timeout | {"connect": max(0, end - now()) / left}


def _aimed(request: httpx2.Request, host: str, address: str, timeout: dict[str, float | None]) -> httpx2.Request:
    """Return the request for an address that was looked at: a second look-up may tell another one."""
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions=request.extensions | {"sni_hostname": host, "timeout": timeout},
    )
