"""Work on what may be large, beside the event loop: others wait a few milliseconds at a time, not until it is done."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# Less than this is done before a thread has begun, or takes some 40 ms at the worst.
_LARGE_BYTES = 16 * 1024


async def aside(size: int, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Return what the work returns, which is done on input of this size. Raises what it raises."""
    if size < _LARGE_BYTES:
        return work(*given, **named)
    return await asyncio.to_thread(work, *given, **named)
