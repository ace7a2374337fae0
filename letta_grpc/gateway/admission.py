"""Finding out who is let in before much is read or done for them: by the cheapest call to the server that wants a key.

What an RPC says of a key comes late: by then a body has been read and converted, or a socket is open.
"""

from functools import partial

import grpc
from starlette.types import ASGIApp, Receive, Scope, Send

from letta_grpc.gateway.bodies import ADMISSION
from letta_grpc.gateway.failures import Failure
from letta_grpc.gateway.metadata import Metadata, metadata_with_password
from letta_grpc.gateway.upstream import settled
from letta_grpc.v1.model_service_pb2 import ListProvidersRequest
from letta_grpc.v1.model_service_pb2_grpc import ModelServiceStub

_ANSWER_SECONDS = 10.0


async def let_in(channel: grpc.aio.Channel, metadata: Metadata) -> None:
    """Return if the server behind knows the caller, or wants no keys. Raises Failure."""
    call = ModelServiceStub(channel).ListProviders(ListProvidersRequest(), metadata=metadata, timeout=_ANSWER_SECONDS)
    await settled(call)


async def let_in_anywhere(channel: grpc.aio.Channel, metadata: Metadata) -> None:
    """Do the same in front of any contract: a server that has no such call asks for keys itself. Raises Failure."""
    try:
        await let_in(channel, metadata)
    except Failure as failure:
        if failure.code is not grpc.StatusCode.UNIMPLEMENTED:
            raise


class Admission:
    """Middleware: lets `read_body` ask who sends a body, so that each face tells a refusal in its own form."""

    def __init__(self, app: ASGIApp, channel: grpc.aio.Channel) -> None:
        self._app = app
        self._channel = channel

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http":
            scope[ADMISSION] = partial(self._admit, scope)
        await self._app(scope, receive, send)

    async def _admit(self, scope: Scope) -> None:
        await let_in_anywhere(self._channel, metadata_with_password(scope))
