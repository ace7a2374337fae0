"""What a face is: routes of another wire format over the same RPCs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import grpc
from starlette.routing import BaseRoute

from letta_grpc.gateway.options import GatewayOptions


@dataclass(frozen=True, slots=True)
class Ground:
    """What a face stands on: a channel for the stubs of `letta_grpc.v1`, and the gateway's limits."""

    channel: grpc.aio.Channel
    options: GatewayOptions


# A face is stateless: all it keeps is behind the RPCs. Its routes are tried before the gateway's own, in the order of FACES.
Face = Callable[[Ground], Sequence[BaseRoute]]
