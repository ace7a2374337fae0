"""Work for a client that may leave at any moment."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from starlette.types import Receive


async def while_connected(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do the work; cancel it when the client leaves. The request's body has been read before."""
    async with asyncio.TaskGroup() as group:
        working = group.create_task(work, name="answer")
        leaving = group.create_task(_left(receive), name="client")
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        working.cancel()
        leaving.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
