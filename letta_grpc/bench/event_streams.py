"""Asking a web server for server-sent events with as little as it takes, on kept-alive connections."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson

from letta_grpc.bench.completions import Dechunker
from letta_grpc.bench.conversations import open_conversations
from letta_grpc.bench.scenarios import Scenario
from letta_grpc.bench.sse_relay import PATH
from letta_grpc.bench.subjects import Server


class EventStreamPool:
    """Kept-alive connections to one server."""

    def __init__(self, address: str) -> None:
        self._host, _, self._port = address.partition(":")
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def stream(self, request: bytes) -> AsyncIterator[Any]:
        """Send a whole request; yield the JSON of each event, comments left out."""
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(self._host, int(self._port))
        dechunker = Dechunker()
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise ConnectionError(head.decode())
            while not dechunker.ended:
                data = await reader.read(65536)
                if not data:
                    raise ConnectionError("the server cut the stream")
                for event in dechunker.feed(data):
                    if (at := event.find(b"data: ")) >= 0:
                        yield orjson.loads(event[at + 6 :])
        finally:
            if dechunker.ended:
                self._idle.append((reader, writer))
            else:
                writer.close()

    def close(self) -> None:
        """Let the idle connections go."""
        for _, writer in self._idle:
            writer.close()


async def event_requests(server: Server, scenario: Scenario, count: int, text: str) -> list[bytes]:
    """Return so many requests that start an answer; ours each in a conversation of its own."""
    if not server.agents:
        return [_request(server, PATH, {"model": scenario.model, "text": text})] * count
    run = {"model": f"bench/{scenario.model}", "messages": [{"user": {"text": text}}]}
    return [
        _request(server, f"/api/v1/agents/{agent_id}/runs:stream", {"conversationId": conversation_id, "run": run})
        for agent_id, conversation_id in await open_conversations(server, count)
    ]


def _request(server: Server, path: str, asked: dict[str, Any]) -> bytes:
    body = orjson.dumps(asked)
    head = f"POST {path} HTTP/1.1\r\nhost: {server.web}\r\ncontent-type: application/json\r\naccept: text/event-stream"
    return f"{head}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
