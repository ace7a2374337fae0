"""A stand-in for Anthropic on a socket, which sends exactly the bytes that it is told to."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Piece = bytes | asyncio.Event


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class FakeAnthropic:
    """Answers everything with `head` and `pieces`; waits at events. Without its last piece the answer is cut."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    head: bytes = b""
    pieces: Sequence[Piece] = ()
    left: asyncio.Event = field(default_factory=asyncio.Event)

    def says(self, text: str, *, message_id: str = "msg_1") -> bytes:
        """Answer with a whole message; return its bytes."""
        message = _message(message_id) | {"content": [{"type": "text", "text": text}], "stop_reason": "end_turn"}
        body = json.dumps(message, indent=1).encode()
        self.answers(200, b"content-type: application/json\r\nrequest-id: req_1\r\n", body)
        return body

    def answers(self, status: int, headers: bytes, body: bytes) -> None:
        """Answer with these."""
        self.head = b"HTTP/1.1 %d X\r\n%bcontent-length: %d\r\n\r\n" % (status, headers, len(body))
        self.pieces = (body,)

    def streams(self, *texts: str | asyncio.Event, ends: bool = True) -> bytes:
        """Answer with a stream; return its bytes."""
        events: list[bytes | asyncio.Event] = [
            _event({"type": "message_start", "message": _message("msg_1")}),
            _event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            _event({"type": "ping"}),
        ]
        for text in texts:
            delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
            events.append(text if isinstance(text, asyncio.Event) else _event(delta))
        if ends:
            usage = {"output_tokens": len(texts)}
            events += [
                _event({"type": "content_block_stop", "index": 0}),
                _event({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage}),
                _event({"type": "message_stop"}),
            ]
        self.head = (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n"
            b"request-id: req_1\r\nanthropic-ratelimit-requests-remaining: 49\r\n\r\n"
        )
        chunked: list[Piece] = [event if isinstance(event, asyncio.Event) else _chunk(event) for event in events]
        self.pieces = [*chunked, b"0\r\n\r\n"] if ends else chunked
        return b"".join(event for event in events if isinstance(event, bytes))


@asynccontextmanager
async def fake_anthropic() -> AsyncIterator[FakeAnthropic]:
    """Listen on a free port."""
    fake = FakeAnthropic()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await _answer(fake, reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            fake.left.set()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield fake
    finally:
        server.close()


async def _answer(fake: FakeAnthropic, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *lines = head.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    fake.asked.append(Asked(line, headers, body))
    writer.write(fake.head)
    for piece in fake.pieces:
        if isinstance(piece, asyncio.Event):
            async with asyncio.TaskGroup() as group:
                waiting, leaving = group.create_task(piece.wait()), group.create_task(reader.read(1))
                await asyncio.wait((waiting, leaving), return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                leaving.cancel()
            if not piece.is_set():
                return False
        else:
            writer.write(piece)
            await writer.drain()
    return fake.pieces[-1] == b"0\r\n\r\n" or b"content-length" in fake.head


def _message(message_id: str) -> dict[str, Any]:
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": "claude-test",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 1},
    }


def _event(data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (data["type"].encode(), json.dumps(data).encode())


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
