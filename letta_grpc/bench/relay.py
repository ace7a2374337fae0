"""The yardstick, grpc-raw: relays an upstream's tokens over gRPC, one event each, and keeps nothing.

`python -m letta_grpc.bench.relay UPSTREAM`. It answers `RunService.StreamRun` and has no agents, no log, no ids and no
numbers that outlive the call: what a server that has all of these is measured against.
"""

import asyncio
import gc
import sys
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import uvloop

from letta_grpc.bench.completions import completion_request, texts
from letta_grpc.bench.connections import ConnectionPool
from letta_grpc.v1.run_service_pb2 import StreamRunRequest, StreamRunResponse

_SERVICE = "letta_grpc.v1.RunService"

Context = grpc.aio.ServicerContext[StreamRunRequest, StreamRunResponse]


class Relay:
    """Gives the upstream's tokens on as they come."""

    def __init__(self, upstream: str) -> None:
        self._pool = ConnectionPool(upstream)

    async def stream_run(self, request: StreamRunRequest, context: Context) -> AsyncIterator[StreamRunResponse]:
        """Ask the upstream's model that the request names; send each token in a message of its own."""
        del context
        # One message serves the whole stream: it is serialized before the write waits for anything.
        response = StreamRunResponse()
        event = response.events.add()
        model = request.run.model.partition("/")[2]
        async for events in self._pool.events(completion_request(model, request.run.messages[0].user.text)):
            for text in texts(events):
                event.sequence_number += 1
                event.text_delta.text = text
                yield response


async def serve(upstream: str) -> None:
    """Serve on a free port of the loopback address, and say which."""
    server = grpc.aio.server()
    handler = grpc.unary_stream_rpc_method_handler(
        Relay(upstream).stream_run,
        request_deserializer=StreamRunRequest.FromString,
        response_serializer=StreamRunResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {"StreamRun": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    gc.collect()
    gc.freeze()
    sys.stdout.write(f"listening grpc=127.0.0.1:{port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
