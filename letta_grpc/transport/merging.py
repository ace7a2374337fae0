"""One stream out of what several tasks of a call have to say."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from dataclasses import dataclass

from letta_grpc.transport.methods import Response

_Lane = asyncio.Queue[Response | Exception | None]


@dataclass(frozen=True, slots=True)
class Chorus:
    """The tasks of one stream. Each says one thing at a time and waits until it is taken: they take turns, none runs ahead."""

    _tasks: asyncio.TaskGroup
    _lane: _Lane

    async def say(self, response: Response) -> None:
        """Put a response into the stream; return when there is room for the next one."""
        await self._lane.put(response)

    def also(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Begin another task. If it fails, all end, and the stream with its error."""
        return self._tasks.create_task(work, name=name)


async def merged(lead: Callable[[Chorus], Awaitable[None]]) -> AsyncGenerator[Response, None]:
    """Yield what `lead` says, and what the tasks say that it begins, until the last of them is done.

    Raises the first error of any. To be closed when it is left early; all tasks have ended then.
    """
    # Putting waits in line: that makes it fair.
    lane: _Lane = asyncio.Queue(1)
    async with asyncio.TaskGroup() as group:
        singing = group.create_task(_sing(lead, lane), name="merged")
        try:
            while isinstance(said := await lane.get(), Response):
                yield said
        except GeneratorExit:
            # Not raised further: the group would wrap it, and then the generator could not be closed.
            singing.cancel()
            return
    if said is not None:
        raise said


async def _sing(lead: Callable[[Chorus], Awaitable[None]], lane: _Lane) -> None:
    failure: Exception | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            await lead(Chorus(tasks, lane))
    except ExceptionGroup as failures:
        failure = _first(failures)
    await lane.put(failure)


def _first(failures: "ExceptionGroup[Exception]") -> Exception:
    failure: Exception = failures
    while isinstance(failure, ExceptionGroup):
        failure = failure.exceptions[0]
    return failure
