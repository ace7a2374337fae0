"""Two pieces of work at once, of which the first to end ends the other."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

A = TypeVar("A")
B = TypeVar("B")


async def first_of(one: Coroutine[Any, Any, A], other: Coroutine[Any, Any, B]) -> A | B:
    """Return what came of the work that ended first, `one` where both have; the other is cancelled, and over by then.

    What either raises comes in an ExceptionGroup.
    """
    async with asyncio.TaskGroup() as group:
        tasks = group.create_task(one), group.create_task(other)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        first = tasks[0] if tasks[0].done() else tasks[1]
        for task in tasks:
            task.cancel()
    return first.result()
