"""What the adversarial upstream answers with: HTTP in whatever pieces it likes, and the frames in it."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

Json = dict[str, Any]


class Answer:
    """One answer under way."""

    def __init__(self, body: Json, writer: asyncio.StreamWriter, gate: asyncio.Semaphore, seen: Counter[str]) -> None:
        self.body = body
        self.model = str(body.get("model", ""))
        self.writer = writer
        self.gate = gate
        self.seen = seen
        self.keep_alive = True

    @property
    def user_text(self) -> str:
        texts = [message.get("content") or "" for message in self.body.get("messages", []) if message["role"] == "user"]
        return texts[-1] if texts else ""

    @property
    def after_tool(self) -> bool:
        return bool(self.body.get("messages")) and self.body["messages"][-1]["role"] == "tool"

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def plain(self, status: int, body: bytes, content_type: str = "application/json", headers: str = "") -> None:
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
        await self.raw(head.encode() + body)

    async def refuse(self, status: int, error: Json, headers: str = "") -> None:
        await self.plain(status, json.dumps({"error": error}).encode(), headers=headers)

    async def begin(self) -> None:
        await self.raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")

    async def body_bytes(self, *pieces: bytes) -> None:
        """Send pieces as HTTP chunks in one write."""
        await self.raw(b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece))

    async def frames(self, *chunks: Json) -> None:
        """Send frames in one write."""
        await self.body_bytes(*(frame(chunk) for chunk in chunks))

    async def end(self, reason: str | None = "stop", completion: int = 0) -> None:
        """Send finish, usage (if it was asked for), [DONE] and the end of the body."""
        if reason is not None:
            await self.frames(chunk({}, reason))
        if (self.body.get("stream_options") or {}).get("include_usage"):
            await self.frames(usage_chunk(self.body, completion))
        await self.body_bytes(b"data: [DONE]\n\n")
        await self.raw(b"0\r\n\r\n")

    def cut(self) -> None:
        """Break the connection."""
        self.keep_alive = False
        self.writer.transport.abort()

    def close(self) -> None:
        """Close the connection, with the answer as it is."""
        self.keep_alive = False
        self.writer.close()

    async def say(self, words: Iterable[str]) -> int:
        count = 0
        for word in words:
            await self.frames(chunk({"content": word}))
            count += 1
        return count


def chunk(delta: Json, reason: str | None = None) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def usage_chunk(body: Json, completion: int) -> Json:
    prompt = sum(len(str(message.get("content") or "").split()) for message in body.get("messages", []))
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return chunk({}) | {"choices": [], "usage": usage}


def call_delta(index: int, call_id: str | None, name: str | None, arguments: str) -> Json:
    piece: Json = {"index": index, "function": {"arguments": arguments}}
    if call_id:
        piece |= {"id": call_id, "type": "function"}
    if name:
        piece["function"]["name"] = name
    return {"tool_calls": [piece]}


def frame(data: Json) -> bytes:
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


def numbered(count: int) -> list[str]:
    return [f"w{number} " for number in range(count)]


# How it answers, by the name of the model: a regular expression, whose groups are further arguments.
Answers = Sequence[tuple[str, Callable[..., Awaitable[None]]]]
