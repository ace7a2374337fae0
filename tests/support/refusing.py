"""A server that is away: whoever dials it is hung up on."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any


class Dials:
    """When it was dialled, in seconds by the loop's clock."""

    def __init__(self) -> None:
        self.times: list[float] = []

    async def longest_wait_of(self, caller: Coroutine[Any, Any, Any], seconds: float) -> float:
        """Let someone call for so long, who may not give up; return the longest time in which nobody dialled."""
        async with asyncio.TaskGroup() as group:
            calling = group.create_task(caller)
            # Real time on purpose: grpc's own clock says when it dials.
            await asyncio.sleep(seconds)
            assert not calling.done()
            calling.cancel()
        return max(later - earlier for earlier, later in pairwise([*self.times, asyncio.get_running_loop().time()]))


@asynccontextmanager
async def refusing() -> AsyncIterator[tuple[Dials, str]]:
    """Give the dials that are to come, and the address."""
    dials = Dials()

    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dials.times.append(asyncio.get_running_loop().time())
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield dials, f"{host}:{port}"
