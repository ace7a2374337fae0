"""Health by `grpc.health.v1`: watches take a bounded share of the server, and do not hold up its stop."""

import asyncio
import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from urllib.parse import unquote

import grpc
from grpc_health.v1 import health, health_pb2

from letta_grpc.domain.errors import InvalidRequest, LettaError, TooManyStreams
from letta_grpc.transport.errors import status_of

Request = health_pb2.HealthCheckRequest
Response = health_pb2.HealthCheckResponse

# No service has a longer name, and a watch keeps the one that it is asked for.
_MAX_NAME = 256
_IPV6 = 6


class Health(health.aio.HealthServicer):
    """Tells which services are served, to whoever asks. Those who watch are sent away at the end.

    Nobody shows a key: so where there is no room left, whoever watches most makes room for those who watch less.
    """

    def __init__(self, *, max_watches: int) -> None:
        super().__init__()
        self._max_watches = max_watches
        # By where they come from, the newest last.
        self._watches: dict[str, list[asyncio.Timeout]] = {}
        self._closed = False

    async def Watch(self, request: Request, context: "grpc.aio.ServicerContext[Request, Response]") -> None:  # noqa: N802 - grpc's name
        """Send the status, and each other one that it changes to."""
        origin = _origin_of(context.peer())
        try:
            self._check(request)
            self._make_room(origin)
        except LettaError as error:
            await _refuse(context, error)
        try:
            async with asyncio.timeout(0 if self._closed else None) as limit:
                with self._counted(origin, limit):
                    await super().Watch(request, context)
        except TimeoutError:
            if self._closed:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "The server stops.")
            else:
                await _refuse(context, self._full())

    def _check(self, request: Request) -> None:
        size = len(request.service)
        if size > _MAX_NAME:
            raise InvalidRequest(fields={"service": f"must have at most {_MAX_NAME} characters, has {size}"})

    def _make_room(self, origin: str) -> None:
        if sum(map(len, self._watches.values())) < self._max_watches:
            return
        most = max(self._watches.values(), key=len)
        # With one less than now it still has as many as this one will.
        if len(most) - 1 <= len(self._watches.get(origin, ())):
            raise self._full()
        most.pop().reschedule(asyncio.get_running_loop().time())

    def _full(self) -> TooManyStreams:
        limit = self._max_watches
        return TooManyStreams(f"This server takes {limit} watches of health at once.", limit=str(limit))

    @contextmanager
    def _counted(self, origin: str, limit: asyncio.Timeout) -> Iterator[None]:
        self._watches.setdefault(origin, []).append(limit)
        try:
            yield
        finally:
            theirs = self._watches.get(origin, [])
            if limit in theirs:
                theirs.remove(limit)
            if not theirs:
                self._watches.pop(origin, None)

    def close(self) -> None:
        """End all watches: an open one would hold a stopping server up for its whole grace."""
        if self._closed:
            # A limit that is running out cannot be set again.
            return
        self._closed = True
        now = asyncio.get_running_loop().time()
        for limit in chain.from_iterable(self._watches.values()):
            limit.reschedule(now)


async def _refuse(context: "grpc.aio.ServicerContext[Request, Response]", error: LettaError) -> None:
    status = status_of(error)
    await context.abort(status.code, status.message, status.trailers)


def _origin_of(peer: str) -> str:
    """Return what the watches of one machine have in common, of what grpc calls a peer, as `ipv4:192.0.2.1:50000`."""
    host = unquote(peer).partition(":")[2].rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # A Unix socket.
        return ""
    # Of version 6 a machine has as many as it likes.
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == _IPV6 else host
