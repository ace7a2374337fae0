"""What a StreamRun costs in memory while it waits on its model."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

from letta_grpc.bench.accounting import resident_bytes
from letta_grpc.bench.scenarios import Scenario
from letta_grpc.bench.streams import channels, served, start_requests
from letta_grpc.bench.subjects import Server
from letta_grpc.v1.run_service_pb2_grpc import RunServiceStub

_SETTLE_SECONDS = 1.0
_DEADLINE_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Keep `streams` streams waiting, on the upstream of this address."""

    server: Server
    upstream: str
    streams: int


async def bytes_per_waiting_stream(hold: Hold) -> float:
    """Return what the server's memory grows by for each stream.

    Both its connections are in it: each stream has a client connection of its own, as it has one to the model. Checks every
    answer.
    """
    scenario = Scenario(tokens=1, held=True)
    async with (
        asyncio.timeout(_DEADLINE_SECONDS),
        AsyncExitStack() as stack,
        asyncio.TaskGroup() as group,
    ):
        requests = await start_requests(hold.server, scenario, hold.streams)
        await asyncio.sleep(_SETTLE_SECONDS)
        before = resident_bytes(hold.server.pid)
        opened = await stack.enter_async_context(channels(hold.server, hold.streams))
        for channel, request in zip(opened, requests, strict=True):
            group.create_task(served(RunServiceStub(channel), request, scenario))
        await _tell(hold.upstream, f"GET /held/{hold.streams}")
        await asyncio.sleep(_SETTLE_SECONDS)
        grown = resident_bytes(hold.server.pid) - before
        await _tell(hold.upstream, "POST /release")
    return grown / hold.streams


async def _tell(upstream: str, request: str) -> None:
    host, _, port = upstream.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{request} HTTP/1.1\r\nhost: {upstream}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    writer.close()
