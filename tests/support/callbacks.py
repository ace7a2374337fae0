"""Receivers of callbacks: in memory, and as a web server."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from letta_grpc.domain.callbacks import CallbackOutcome
from letta_grpc.domain.errors import InvalidRequest
from tests.support.listening import listening

REFUSED = "http://refused.example.com/"
SECONDS = 20


@dataclass
class Receivers:
    """Whoever is told: `told` has each address and what it was told, `sent` the text and the headers of that.

    They answer `outcomes` in turn, then 204.
    """

    outcomes: list[CallbackOutcome | Exception] = field(default_factory=list)
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    sent: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    came: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    answering: asyncio.Event | None = None

    def check(self, url: str) -> None:
        if url == REFUSED:
            raise InvalidRequest(fields={"run.callback_url": "is not allowed here"})

    async def post(self, url: str, body: str, headers: Mapping[str, str] = MappingProxyType({})) -> CallbackOutcome:
        self.told.append((url, json.loads(body)))
        self.sent.append((body, headers))
        self.came.release()
        if self.answering:
            await self.answering.wait()
        outcome = self.outcomes.pop(0) if self.outcomes else CallbackOutcome(status_code=204)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def next(self) -> dict[str, Any]:
        """What is told next."""
        async with asyncio.timeout(SECONDS):
            await self.came.acquire()
        return self.told[-1][1]


@dataclass
class WebReceiver:
    """A web server that is told: its address, the heads and bodies of what it got, and what it answers, in turn, then 204."""

    url: str
    answers: list[str] = field(default_factory=list)
    got: "asyncio.Queue[tuple[str, bytes]]" = field(default_factory=asyncio.Queue)

    async def next(self) -> dict[str, Any]:
        """What it is told next."""
        async with asyncio.timeout(SECONDS):
            _, body = await self.got.get()
        told: dict[str, Any] = json.loads(body)
        return told

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(int(line.split(":")[1]) for line in head.lower().splitlines() if line.startswith("content-length"))
        self.got.put_nowait((head, await reader.readexactly(length)))
        answer = self.answers.pop(0) if self.answers else "204 No Content"
        writer.write(f"HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()


@asynccontextmanager
async def receiving(*answers: str) -> AsyncIterator[WebReceiver]:
    """Run a web server on this machine."""
    receiver = WebReceiver("", list(answers))
    async with listening(receiver.serve) as address:
        receiver.url = f"http://{address}/told"
        yield receiver


def statuses(told: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    """The statuses that receivers were told."""
    return [body["status"] for _, body in told]
