"""Our calls as handlers of a grpc.aio server."""

from collections.abc import AsyncIterator

import grpc

from letta_grpc.transport.calls import Calls
from letta_grpc.transport.methods import BidiMethod, Method, StreamMethod, UnaryMethod

# grpc.aio tells handlers apart by what kind of function they are: every one here is a coroutine function. One that merely
# returns a generator would be taken for a synchronous handler.


def generic_handlers(calls: Calls) -> list[grpc.GenericRpcHandler]:
    """Return a handler for each service. Requests and responses are bytes to grpc: decoding is ours, and so are its errors."""
    services: dict[str, dict[str, grpc.RpcMethodHandler[bytes, bytes]]] = {}
    for name, method in calls.methods.items():
        service, _, short = name.rpartition("/")
        services.setdefault(service, {})[short] = _handler(calls, method)
    return [grpc.method_handlers_generic_handler(service, handlers) for service, handlers in services.items()]


def _handler(calls: Calls, method: Method) -> "grpc.RpcMethodHandler[bytes, bytes]":
    match method:
        case UnaryMethod() as answering:

            async def unary(request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
                return await calls.unary(answering, request, context)

            return grpc.unary_unary_rpc_method_handler(unary)
        case StreamMethod() as streaming:

            async def stream(request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> None:
                await calls.stream(streaming, request, context)

            return grpc.unary_stream_rpc_method_handler(stream)
        case BidiMethod() as conversing:

            async def bidi(requests: AsyncIterator[bytes], context: "grpc.aio.ServicerContext[bytes, bytes]") -> None:
                await calls.bidi(conversing, requests, context)

            return grpc.stream_stream_rpc_method_handler(bidi)
