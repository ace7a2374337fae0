"""A gateway that other machines can reach, in front of a server that believes that none can.

A server without keys listens to its own machine alone and trusts whoever calls. What makes it reachable from elsewhere must
not do so behind its back; whether it wants keys, a call without one tells.
"""

import asyncio
import time

import grpc
from starlette.types import ASGIApp, Receive, Scope, Send

from letta_grpc.gateway.answers import denying, send_failure
from letta_grpc.gateway.failures import AWAY, Failure, bare, refused
from letta_grpc.gateway.outages import outages
from letta_grpc.v1.model_service_pb2 import ListProvidersRequest
from letta_grpc.v1.model_service_pb2_grpc import ModelServiceStub

_ANSWER_SECONDS = 2.0
# A server may be started again with other settings.
_GOOD_FOR_SECONDS = 60.0
OPEN = (
    "Other machines can reach this gateway, and the server behind it lets everybody in: "
    "set LETTA_GRPC_API_KEYS at the server, or let the gateway listen on 127.0.0.1."
)


class OpenServerError(Exception):
    """The server lets everybody in."""


async def wants_keys(channel: grpc.aio.Channel) -> bool | None:
    """Say whether a server refuses callers without a key; None if it gives no answer."""
    try:
        await ModelServiceStub(channel).ListProviders(ListProvidersRequest(), timeout=_ANSWER_SECONDS)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNAUTHENTICATED:
            return True
        outages.tell(error)
        return None
    return False


class OnlyBehindKeys:
    """Middleware: passes nothing on until the server is known to want keys."""

    def __init__(self, app: ASGIApp, channel: grpc.aio.Channel) -> None:
        self._app = app
        self._channel = channel
        self._looking = asyncio.Lock()
        self._wants_keys: bool | None = None
        self._looked = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        refusal = await self._refusal() if scope["type"] in {"http", "websocket"} else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await send_failure(scope, denying(scope, send), refusal)

    async def _refusal(self) -> Failure | None:
        if not (self._wants_keys and time.monotonic() - self._looked < _GOOD_FOR_SECONDS):
            await self._look()
        match self._wants_keys:
            case True:
                return None
            case False:
                return refused(OPEN, http=403, code=grpc.StatusCode.PERMISSION_DENIED, reason="ACCESS_DENIED")
            case None:
                return bare(grpc.StatusCode.UNAVAILABLE, AWAY)

    async def _look(self) -> None:
        asked = self._looked
        async with self._looking:
            if self._looked != asked:
                return
            answer = await wants_keys(self._channel)
            # A server that is away for a while still wants its keys.
            if answer is not None:
                self._wants_keys = answer
            self._looked = time.monotonic()
