"""How one provider is asked over HTTP."""

import ssl
from collections.abc import Callable, Mapping

from letta_grpc.adapters.openai.address import Address, find_proxy
from letta_grpc.adapters.openai.dial import Dialer
from letta_grpc.adapters.openai.endpoint import OpenAIEndpoint
from letta_grpc.adapters.openai.faults import StaleError
from letta_grpc.adapters.openai.head import RequestHead
from letta_grpc.adapters.openai.http1 import Connection
from letta_grpc.adapters.openai.pool import ConnectionPool
from letta_grpc.adapters.openai.response import Patience, Response


class Session:
    """Posts to one path of an endpoint, on kept connections."""

    def __init__(self, endpoint: OpenAIEndpoint, path: str, tls: ssl.SSLContext | None = None) -> None:
        self._endpoint = endpoint
        self._path = path
        self._tls = tls
        self._patience = Patience(
            first_byte_seconds=endpoint.first_byte_timeout_seconds, idle_seconds=endpoint.idle_timeout_seconds
        )
        # On first use: connections belong to a running loop.
        self._ready: tuple[RequestHead, ConnectionPool] | None = None

    async def post(self, encode: Callable[[], bytes], headers: Mapping[str, str]) -> Response:
        """Send a body and return its response as soon as the head is there. Raises HttpError or OSError.

        The body is made when it is sent and made again for a second try, so that nobody has to keep it while a model
        thinks. A second try, on a new connection, has the request of which nothing came back on a used one.
        """
        head, pool = self._ready = self._ready or self._prepare()
        if (used := pool.take()) is not None:
            try:
                return await self._exchange(used, head, encode, headers)
            except StaleError:
                pass
        return await self._exchange(await pool.open(), head, encode, headers)

    async def close(self) -> None:
        """Break all connections."""
        ready, self._ready = self._ready, None
        if ready is not None:
            await ready[1].close()

    async def _exchange(
        self, connection: Connection, head: RequestHead, encode: Callable[[], bytes], headers: Mapping[str, str]
    ) -> Response:
        response = self._send(connection, head, encode, headers)
        try:
            await response.head()
        except BaseException:
            response.close()
            raise
        return response

    def _send(
        self, connection: Connection, head: RequestHead, encode: Callable[[], bytes], headers: Mapping[str, str]
    ) -> Response:
        try:
            body = encode()
            return connection.send(head.for_body(len(body), headers), body, self._patience)
        except BaseException:
            connection.abort()
            raise

    def _prepare(self) -> tuple[RequestHead, ConnectionPool]:
        address = Address.parse(self._endpoint.url(self._path))
        proxy = None if self._endpoint.is_loopback else find_proxy(address)
        target, headers = address.target, self._headers(address)
        if proxy is not None and not address.is_secure:
            target = f"{address.scheme}://{address.host_header}{address.target}"
            if proxy.authorization:
                headers["Proxy-Authorization"] = proxy.authorization
        dialer = Dialer(address, proxy, self._endpoint.connect_timeout_seconds, self._tls)
        return RequestHead(target, address.host_header, headers), ConnectionPool(dialer.dial)

    def _headers(self, address: Address) -> dict[str, str]:
        headers = {
            "Accept": "text/event-stream, application/json",
            # A proxy that compresses holds tokens back until it has enough of them.
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": "letta-grpc",
        }
        if self._endpoint.api_key:
            headers["Authorization"] = f"Bearer {self._endpoint.api_key}"
        elif address.authorization:
            headers["Authorization"] = address.authorization
        return headers
