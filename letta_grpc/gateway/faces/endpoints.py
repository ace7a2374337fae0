"""What the routes of all faces have in common: a JSON body, failures in the face's own form, clients that leave."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from letta_grpc.gateway.bodies import ClientLeftError, read_json
from letta_grpc.gateway.failures import Failure, refused
from letta_grpc.gateway.options import GatewayOptions

Endpoint = Callable[[Request], Awaitable[Response]]
# nginx's name for it; nobody reads it.
_CLIENT_CLOSED_REQUEST = 499


def telling(endpoint: Endpoint, tell: Callable[[Failure], Response]) -> Endpoint:
    """Return an endpoint whose failures are answered by `tell`."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Failure as failure:
            return tell(failure)
        except ClientLeftError:
            return Response(status_code=_CLIENT_CLOSED_REQUEST)

    return answer


async def object_in(request: Request, options: GatewayOptions) -> dict[str, Any]:
    """Return the body, a JSON object. Raises Failure, ClientLeftError."""
    body = await read_json(request.scope, request.receive, options)
    if not isinstance(body, dict):
        raise refused("The body must be a JSON object.")
    return body
