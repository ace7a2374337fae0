"""An OpenAI-compatible upstream that costs little and always answers the same: `python -m letta_grpc.bench.upstream`.

POST …/chat/completions   streams what the model's name asks for (scenarios.py)
GET  /held/N              answers once N requests are held
POST /release             lets all held answers go
"""

import asyncio
import json
import re
import sys
from typing import cast

import uvloop

from letta_grpc.bench import chunks
from letta_grpc.bench.scenarios import Scenario
from letta_grpc.bench.tokens import now_us

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class HeldRequests:
    """The requests that are held, and the connections that wait until a number of them is."""

    def __init__(self) -> None:
        self.held: set[Connection] = set()
        self._watchers: list[tuple[int, Connection]] = []

    def hold(self, connection: "Connection") -> None:
        """Keep a request until the release."""
        self.held.add(connection)
        self._tell()

    def watch(self, connection: "Connection", count: int) -> None:
        """Answer once `count` requests are held."""
        self._watchers.append((count, connection))
        self._tell()

    def release(self) -> None:
        """Let all held answers go."""
        held, self.held = self.held, set()
        for connection in held:
            connection.begin()

    def _tell(self) -> None:
        for watcher in [watcher for watcher in self._watchers if len(self.held) >= watcher[0]]:
            self._watchers.remove(watcher)
            watcher[1].reply(200, str(len(self.held)))


class Connection(asyncio.Protocol):
    """One kept-alive connection: a request at a time."""

    def __init__(self, held_requests: HeldRequests) -> None:
        self._held_requests = held_requests
        self._buffer = b""
        self._scenario = Scenario(tokens=0)
        self._sent = 0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop answering."""
        del exc
        self._held_requests.held.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer each request as soon as it is whole."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            length = _CONTENT_LENGTH.search(head)
            stop = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < stop:
                return
            body, self._buffer = self._buffer[end + 4 : stop], self._buffer[stop:]
            method, path, _ = head.split(b" ", 2)
            self._answer(f"{method.decode()} {path.decode()}", body)

    def _answer(self, request: str, body: bytes) -> None:
        if request.startswith("POST ") and request.endswith("/chat/completions"):
            self._complete(json.loads(body))
        elif request.startswith("GET /held/"):
            self._held_requests.watch(self, int(request.rpartition("/")[2]))
        elif request == "POST /release":
            self._held_requests.release()
            self.reply(200, "released")
        else:
            self.reply(404, '{"error": {"message": "no such route", "type": "invalid_request_error"}}')

    def _complete(self, request: dict[str, object]) -> None:
        try:
            self._scenario = Scenario.parse(str(request["model"]))
        except ValueError as error:
            self.reply(404, json.dumps({"error": {"message": str(error), "type": "invalid_request_error"}}))
            return
        if self._scenario.held:
            self._held_requests.hold(self)
        else:
            self.begin()

    def begin(self) -> None:
        """Write the answer: a burst at once, otherwise the first token now and each other at its own time."""
        if self._scenario.gap_ms == 0:
            self._transport.write(chunks.burst(self._scenario))
            return
        self._transport.write(chunks.opening(self._scenario.model))
        self._sent, self._due = 0, asyncio.get_running_loop().time()
        self._tick()

    def _tick(self) -> None:
        model = self._scenario.model
        self._transport.write(chunks.token(model, self._sent, now_us()))
        self._sent += 1
        if self._sent == self._scenario.tokens:
            self._timer = None
            self._transport.write(chunks.closing(model, self._sent))
            return
        self._due += self._scenario.gap_ms / 1000
        self._timer = asyncio.get_running_loop().call_at(self._due, self._tick)

    def reply(self, status: int, text: str) -> None:
        """Answer whole."""
        self._transport.write(
            f"HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n{text}".encode()
        )


async def serve() -> None:
    """Serve on a free port of the loopback address, and say which."""
    held_requests = HeldRequests()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(held_requests), "127.0.0.1", 0, backlog=1024)
    host, port = server.sockets[0].getsockname()
    sys.stdout.write(f"listening http={host}:{port}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
