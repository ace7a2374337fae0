"""Server reflection under both of its names.

grpcio-reflection knows `v1alpha` alone. `v1` is the same on the wire, so the same servicer answers it.
"""

from collections.abc import AsyncIterator, Sequence
from typing import cast

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from letta_grpc.domain.errors import Unauthenticated
from letta_grpc.transport.errors import status_of
from letta_grpc.transport.keys import ApiKeys

REFLECTION_SERVICES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")

Request = reflection_pb2.ServerReflectionRequest
Response = reflection_pb2.ServerReflectionResponse


def reflection_handlers(services: Sequence[str], keys: ApiKeys) -> list[grpc.GenericRpcHandler]:
    """Return handlers that describe the services to whoever has a key."""
    servicer = reflection.aio.ReflectionServicer([*services, *REFLECTION_SERVICES])

    async def info(
        requests: AsyncIterator[Request], context: "grpc.aio.ServicerContext[Request, Response]"
    ) -> AsyncIterator[Response]:
        try:
            keys.check({key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)})
        except Unauthenticated as error:
            status = status_of(error)
            await context.abort(status.code, status.message, status.trailers)
        # The published stub forgets that this is a generator.
        answers = cast("AsyncIterator[Response]", servicer.ServerReflectionInfo(requests, context))
        async for response in answers:
            yield response

    handler = grpc.stream_stream_rpc_method_handler(info, Request.FromString, Response.SerializeToString)
    return [
        grpc.method_handlers_generic_handler(service, {"ServerReflectionInfo": handler}) for service in REFLECTION_SERVICES
    ]
