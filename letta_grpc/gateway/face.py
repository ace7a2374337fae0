"""What a face is: routes of another wire format over the same RPCs."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import grpc
from starlette.routing import BaseRoute

from letta_grpc.gateway.options import GatewayOptions


@dataclass(frozen=True, slots=True)
class FaceContext:
    """What a face is given: a channel for the stubs of `letta_grpc.v1`, and the gateway's limits.

    Whatever the face opens it puts on `closing`, which is closed when the gateway stops.
    """

    channel: grpc.aio.Channel
    options: GatewayOptions
    closing: AsyncExitStack = field(default_factory=AsyncExitStack)


# A face is stateless: it keeps nothing but what may be lost at any time, all else is behind the RPCs. Its routes are tried
# before the gateway's own, in the order of FACES.
Face = Callable[[FaceContext], Sequence[BaseRoute]]
