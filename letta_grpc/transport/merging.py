"""One stream out of what several tasks of a call have to say."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from dataclasses import dataclass

from letta_grpc.transport.methods import Response

_Queue = asyncio.Queue[Response | Exception | None]


@dataclass(frozen=True, slots=True)
class StreamTasks:
    """The tasks of one stream. A task sends one response at a time and waits until it is taken, so that all take turns."""

    _group: asyncio.TaskGroup
    _queue: _Queue

    async def send(self, response: Response) -> None:
        """Put a response into the stream; return when there is room for the next one."""
        await self._queue.put(response)

    def start(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Start another task. If it fails, all end, and the stream with its error."""
        return self._group.create_task(work, name=name)


async def merged(lead: Callable[[StreamTasks], Awaitable[None]]) -> AsyncGenerator[Response, None]:
    """Yield what `lead` sends, and the tasks that it starts, until the last of them is done.

    Raises the first error of any. To be closed when it is left early; all tasks have ended then.
    """
    # Whoever puts waits in line, which makes it fair.
    queue: _Queue = asyncio.Queue(1)
    async with asyncio.TaskGroup() as group:
        leading = group.create_task(_led(lead, queue), name="merged")
        try:
            while isinstance(taken := await queue.get(), Response):
                yield taken
        except GeneratorExit:
            # Not raised further: the group would wrap it, and then the generator could not be closed.
            leading.cancel()
            return
    if taken is not None:
        raise taken


async def _led(lead: Callable[[StreamTasks], Awaitable[None]], queue: _Queue) -> None:
    failure: Exception | None = None
    try:
        async with asyncio.TaskGroup() as group:
            await lead(StreamTasks(group, queue))
    except ExceptionGroup as failures:
        failure = _first(failures)
    await queue.put(failure)


def _first(failures: "ExceptionGroup[Exception]") -> Exception:
    failure: Exception = failures
    while isinstance(failure, ExceptionGroup):
        failure = failure.exceptions[0]
    return failure
