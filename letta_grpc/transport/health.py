"""Health, as `grpc.health.v1` has it, that does not hold up the server's stop."""

import asyncio

import grpc
from grpc_health.v1 import health, health_pb2

Request = health_pb2.HealthCheckRequest
Response = health_pb2.HealthCheckResponse


class Health(health.aio.HealthServicer):
    """Tells which services are served. Whoever watches is sent away at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._watches: set[asyncio.Timeout] = set()
        self._closed = False

    async def Watch(self, request: Request, context: "grpc.aio.ServicerContext[Request, Response]") -> None:  # noqa: N802 - grpc's name
        """Send the status, and each other one that it changes to."""
        try:
            async with asyncio.timeout(0 if self._closed else None) as limit:
                self._watches.add(limit)
                try:
                    await super().Watch(request, context)
                finally:
                    self._watches.discard(limit)
        except TimeoutError:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "The server stops.")

    def close(self) -> None:
        """End all watches: an open one would hold a stopping server up for its whole grace."""
        if self._closed:
            # A limit that is running out cannot be set again.
            return
        self._closed = True
        now = asyncio.get_running_loop().time()
        for limit in self._watches:
            limit.reschedule(now)
