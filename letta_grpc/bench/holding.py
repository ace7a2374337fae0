"""What a StreamRun costs in memory while it waits on its model."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass

from letta_grpc.bench.accounting import resident_bytes
from letta_grpc.bench.scenarios import Scenario
from letta_grpc.bench.streams import Received, streamer
from letta_grpc.bench.subjects import Server

_SETTLE_SECONDS = 1.0
_DEADLINE_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Keep so many streams waiting, on the upstream of this address."""

    server: Server
    upstream: str
    streams: int


async def bytes_per_waiting_stream(hold: Hold) -> float:
    """Return what the server's memory grows by for each stream, both its connections included. Checks every answer."""
    scenario = Scenario(tokens=1, held=True)
    async with (
        asyncio.timeout(_DEADLINE_SECONDS),
        streamer(hold.server, scenario, requests=hold.streams, concurrency=hold.streams) as stream,
        asyncio.TaskGroup() as group,
    ):
        await asyncio.sleep(_SETTLE_SECONDS)
        before = resident_bytes(hold.server.pid)
        for index in range(hold.streams):
            group.create_task(_wait_for_answer(stream(index)))
        await _tell(hold.upstream, f"GET /held/{hold.streams}")
        await asyncio.sleep(_SETTLE_SECONDS)
        grown = resident_bytes(hold.server.pid) - before
        await _tell(hold.upstream, "POST /release")
    return grown / hold.streams


async def _wait_for_answer(answer: Awaitable[Received]) -> None:
    await answer


async def _tell(upstream: str, request: str) -> None:
    host, _, port = upstream.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{request} HTTP/1.1\r\nhost: {upstream}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    writer.close()
