"""Work on large input in a thread: others wait a few milliseconds at a time, not until it is done."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# In bytes. Work on less is done before a thread would have begun, or takes some 40 ms at the worst.
_LARGE_BYTES = 16 * 1024


async def aside(size: int, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Do work on input of this size, in a thread if it is large; return and raise what it does."""
    if size < _LARGE_BYTES:
        return work(*given, **named)
    return await asyncio.to_thread(work, *given, **named)
