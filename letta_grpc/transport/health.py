"""Health by `grpc.health.v1`: watches take a bounded share of the server, and do not hold up its stop."""

import asyncio

import grpc
from grpc_health.v1 import health, health_pb2

from letta_grpc.domain.errors import InvalidRequest, LettaError, TooManyStreams
from letta_grpc.transport.errors import status_of

Request = health_pb2.HealthCheckRequest
Response = health_pb2.HealthCheckResponse

# No service has a longer name, and a watch keeps the one that it is asked for.
_MAX_NAME = 256


class Health(health.aio.HealthServicer):
    """Tells which services are served, to whoever asks. Those who watch are sent away at the end."""

    def __init__(self, *, max_watches: int) -> None:
        super().__init__()
        self._max_watches = max_watches
        self._watches: set[asyncio.Timeout] = set()
        self._closed = False

    async def Watch(self, request: Request, context: "grpc.aio.ServicerContext[Request, Response]") -> None:  # noqa: N802 - grpc's name
        """Send the status, and each other one that it changes to."""
        try:
            self._check(request)
        except LettaError as error:
            status = status_of(error)
            await context.abort(status.code, status.message, status.trailers)
        try:
            async with asyncio.timeout(0 if self._closed else None) as limit:
                self._watches.add(limit)
                try:
                    await super().Watch(request, context)
                finally:
                    self._watches.discard(limit)
        except TimeoutError:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "The server stops.")

    def _check(self, request: Request) -> None:
        size = len(request.service)
        if size > _MAX_NAME:
            raise InvalidRequest(fields={"service": f"must have at most {_MAX_NAME} characters, has {size}"})
        if len(self._watches) >= self._max_watches:
            limit = self._max_watches
            raise TooManyStreams(f"This server takes {limit} watches of health at once.", limit=str(limit))

    def close(self) -> None:
        """End all watches: an open one would hold a stopping server up for its whole grace."""
        if self._closed:
            # A limit that is running out cannot be set again.
            return
        self._closed = True
        now = asyncio.get_running_loop().time()
        for limit in self._watches:
            limit.reschedule(now)
