"""Server reflection under both of its names.

grpcio-reflection knows `v1alpha` alone. `v1` is the same on the wire, so the same servicer answers it.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import cast

import grpc
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection, reflection_pb2

from letta_grpc.domain.errors import Unauthenticated
from letta_grpc.transport.errors import status_of
from letta_grpc.transport.keys import ApiKeys
from letta_grpc.transport.wire import text_metadata

REFLECTION_SERVICES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")

Request = reflection_pb2.ServerReflectionRequest
Response = reflection_pb2.ServerReflectionResponse


def reflection_handlers(services: Sequence[str], keys: ApiKeys) -> list[grpc.GenericRpcHandler]:
    """Return handlers that describe the services to whoever has a key."""
    servicer = reflection.aio.ReflectionServicer([*services, *REFLECTION_SERVICES], pool=_Descriptors())

    async def info(
        requests: AsyncIterator[Request], context: "grpc.aio.ServicerContext[Request, Response]"
    ) -> AsyncIterator[Response]:
        try:
            keys.check(text_metadata(context.invocation_metadata()), context.peer)
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


class _Descriptors:
    """The process's descriptors, found by the name of a method too, and `grpc.reflection.v1`, which nobody publishes.

    Named as the servicer calls it, which sees a DescriptorPool.
    """

    def __init__(self) -> None:
        self._pools = (descriptor_pool.Default(), _v1_pool())

    def __getattr__(self, name: str) -> object:
        # Extensions are looked up among the process's own descriptors alone.
        return getattr(self._pools[0], name)

    def FindFileByName(self, name: str) -> FileDescriptor:  # noqa: N802 - the pool's word
        """Return a file. Raises KeyError."""
        for pool in self._pools:
            with suppress(KeyError):
                return pool.FindFileByName(name)
        raise KeyError(name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802 - the pool's word
        """Return the file of a symbol. Raises KeyError."""
        service_name, _, method = symbol.rpartition(".")
        for pool in self._pools:
            with suppress(KeyError):
                return pool.FindFileContainingSymbol(symbol)
            # The pool knows no method by its name, but clients ask for methods.
            with suppress(KeyError):
                service = pool.FindServiceByName(service_name)
                if method in service.methods_by_name:
                    return service.file
        raise KeyError(symbol)


def _v1_pool() -> descriptor_pool.DescriptorPool:
    """Return a pool, apart from the process's own, that has `v1alpha` under the name that it has as `v1`."""
    alpha = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(alpha)
    # Options name packages of other languages, and say that v1alpha is deprecated.
    alpha.ClearField("options")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(text_format.MessageToString(alpha).replace("v1alpha", "v1"), FileDescriptorProto()))
    return pool
