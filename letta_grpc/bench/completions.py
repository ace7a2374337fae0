"""Asking the upstream with as little as it takes: HTTP/1.1 on kept-alive connections, read straight from the socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable

import orjson

_END = b"[DONE]"


class Dechunker:
    """Turns the bytes of a chunked event stream into its events."""

    def __init__(self) -> None:
        self._bytes = b""
        self._text = b""
        self.ended = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the events that are whole by now."""
        buffer = self._bytes + data
        bodies, position = [self._text], 0
        while (line_end := buffer.find(b"\r\n", position)) >= 0:
            start = line_end + 2
            stop = start + int(buffer[position:line_end], 16)
            if len(buffer) < stop + 2:
                break
            self.ended = start == stop
            bodies.append(buffer[start:stop])
            position = stop + 2
        self._bytes = buffer[position:]
        *events, self._text = b"".join(bodies).split(b"\n\n")
        return events


class CompletionPool:
    """Kept-alive connections to one upstream."""

    def __init__(self, address: str) -> None:
        self._host, _, self._port = address.partition(":")
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def stream(self, model: str, content: str) -> AsyncIterator[list[bytes]]:
        """Ask for a completion; yield the payloads of each read."""
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(self._host, int(self._port))
        dechunker = Dechunker()
        try:
            writer.write(self._request(model, content))
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise ConnectionError(head.decode())
            while not dechunker.ended:
                data = await reader.read(65536)
                if not data:
                    raise ConnectionError("the upstream cut the stream")
                yield [event[6:] for event in dechunker.feed(data)]
        finally:
            if dechunker.ended:
                self._idle.append((reader, writer))
            else:
                writer.close()

    def _request(self, model: str, content: str) -> bytes:
        messages = [{"role": "user", "content": content}]
        body = json.dumps({"model": model, "messages": messages, "stream": True}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {self._host}\r\ncontent-length: {len(body)}\r\n\r\n"
        return head.encode() + body

    def close(self) -> None:
        """Let the idle connections go."""
        for _, writer in self._idle:
            writer.close()


def texts(payloads: Iterable[bytes]) -> list[str]:
    """Return the texts of the chunks that have one."""
    found: list[str] = []
    for payload in payloads:
        choices = [] if payload == _END else orjson.loads(payload)["choices"]
        if choices and (text := choices[0]["delta"].get("content")):
            found.append(text)
    return found
