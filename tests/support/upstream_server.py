"""The process behind `upstream.py`: HTTP/1.1 by hand, because it has to break the rules of HTTP too."""

import asyncio
import json
import re
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from tests.support.upstream_answers import ANSWERS
from tests.support.upstream_embeddings import embeddings
from tests.support.upstream_troubles import TROUBLES
from tests.support.upstream_vendors import VENDORS
from tests.support.upstream_wire import Answer, Json

_LONGEST_WAIT_SECONDS = 10.0


@dataclass(slots=True)
class _Seen:
    requests: list[Json] = field(default_factory=list)
    models: Counter[str] = field(default_factory=Counter)
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    active: int = 0
    aborted: int = 0
    connections: int = 0
    accepted: int = 0

    async def count(self, step: int) -> None:
        async with self.changed:
            self.active += step
            self.changed.notify_all()

    def reset(self) -> None:
        self.requests, self.models, self.gate = [], Counter(), asyncio.Semaphore(0)
        self.aborted = self.accepted = 0

    def report(self) -> Json:
        numbers = {"active": self.active, "aborted": self.aborted, "connections": self.connections}
        return {"requests": self.requests, "accepted": self.accepted, **numbers}


class _Connection:
    def __init__(self, seen: _Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen = seen
        self.reader = reader
        self.writer = writer
        self.has_asked = False
        # A byte of the next request, read while waiting for the client to leave.
        self.ahead = b""

    async def serve(self) -> None:
        try:
            while await self._exchange():
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.seen.connections -= self.has_asked
            self.writer.close()

    async def _exchange(self) -> bool:
        head = (self.ahead + await self.reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        self.ahead = b""
        method, path, _ = head[0].split(" ", 2)
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        match path.lstrip("/").partition("?"):
            case ("v1/chat/completions", _, _):
                return await self._complete({"path": path, "headers": headers, "body": json.loads(body)})
            case ("v1/embeddings", _, _):
                asked = json.loads(body)
                self.seen.requests.append({"path": path, "headers": headers, "body": asked})
                await self._reply(*embeddings(asked))
            case ("v1/models", _, _):
                await self._reply({"object": "list", "data": _models()})
            case ("state", _, query):
                await self._until(query)
                await self._reply(self.seen.report())
            case ("release", _, query) if method == "POST":
                for _ in range(int(query.partition("=")[2])):
                    self.seen.gate.release()
                await self._reply(self.seen.report())
            case ("reset", _, _) if method == "POST":
                self.seen.reset()
                await self._reply(self.seen.report())
        return False

    async def _complete(self, request: Json) -> bool:
        if not self.has_asked:
            self.has_asked = True
            self.seen.connections += 1
            self.seen.accepted += 1
        self.seen.requests.append(request)
        body = request["body"]
        self.seen.models[str(body.get("model", ""))] += 1
        answer = Answer(body, self.writer, self.seen.gate, self.seen.models)
        await self.seen.count(1)
        try:
            return await self._send(answer)
        finally:
            await self.seen.count(-1)

    async def _send(self, answer: Answer) -> bool:
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(_ended(answer))
            # A client sends nothing while it waits for an answer: what comes is its leaving.
            leaving = group.create_task(self.reader.read(1))
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            was_left = not sending.done()
            sending.cancel()
            leaving.cancel()
        if not leaving.cancelled():
            self.ahead = leaving.result()
        if was_left:
            self.seen.aborted += 1
            answer.cut()
        return answer.keep_alive

    async def _until(self, query: str) -> None:
        if query:
            active = int(query.partition("=")[2])
            with suppress(TimeoutError):
                async with asyncio.timeout(_LONGEST_WAIT_SECONDS), self.seen.changed:
                    await self.seen.changed.wait_for(lambda: self.seen.active == active)

    async def _reply(self, data: Json, status: int = 200) -> None:
        body = json.dumps(data).encode()
        kind = f"content-type: application/json\r\ncontent-length: {len(body)}"
        head = f"HTTP/1.1 {status} OK\r\n{kind}\r\nconnection: close\r\n\r\n"
        self.writer.write(head.encode() + body)
        await self.writer.drain()


async def _ended(answer: Answer) -> None:
    with suppress(ConnectionError):
        for pattern, send in (*ANSWERS, *TROUBLES, *VENDORS):
            if match := re.fullmatch(pattern, answer.model):
                await send(answer, *match.groups())
                return
        await answer.refuse(404, {"message": f"The model `{answer.model}` does not exist", "code": "model_not_found"})


def _models() -> list[Json]:
    windows: dict[str, Json] = {"echo": {}, "words-3": {"context_length": 4096}, "burst-3": {"max_model_len": 2048}}
    windows["gated-3"] = {"meta": {"n_ctx_train": 1024}}
    return [{"id": name, "object": "model", "created": 1, "owned_by": "tests", **window} for name, window in windows.items()]


async def _main() -> None:
    seen = _Seen()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _Connection(seen, reader, writer).serve()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1\n")
    sys.stdout.flush()
    # Whoever started this holds the other end: when that is gone, nobody needs it any longer.
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_main())
