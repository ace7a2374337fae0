"""The yardstick of server-sent events, sse-raw: relays an upstream's tokens by Starlette, one event each, and keeps nothing.

`python -m letta_grpc.bench.sse_relay UPSTREAM`. What a web server costs that only passes tokens on.
"""

import gc
import socket
import sys
from collections.abc import AsyncIterator

import orjson
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from letta_grpc.bench.completions import completion_request, texts
from letta_grpc.bench.connections import ConnectionPool

PATH = "/stream"


class SseRelay:
    """Gives the upstream's tokens on as they come."""

    def __init__(self, upstream: str) -> None:
        self._pool = ConnectionPool(upstream)

    async def stream(self, request: Request) -> StreamingResponse:
        """Ask the upstream's model that the request names."""
        asked = await request.json()
        return StreamingResponse(self._events(asked["model"], asked["text"]), media_type="text/event-stream")

    async def _events(self, model: str, text: str) -> AsyncIterator[bytes]:
        number = 0
        async for events in self._pool.events(completion_request(model, text)):
            for token in texts(events):
                number += 1
                yield b"data: " + orjson.dumps({"sequenceNumber": number, "textDelta": {"text": token}}) + b"\n\n"


async def serve(upstream: str) -> None:
    """Serve on a free port of the loopback address, and say which."""
    app = Starlette(routes=[Route(PATH, SseRelay(upstream).stream, methods=["POST"])])
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", http="httptools")
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    gc.collect()
    gc.freeze()
    # Connections wait in the backlog until it accepts.
    sys.stdout.write(f"listening http=127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    await uvicorn.Server(config).serve([listener])


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
