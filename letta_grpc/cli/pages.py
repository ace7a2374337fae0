"""Reading the first items of a list, and asking about each of them."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")
LARGEST_PAGE = 1000
AT_ONCE = 16


async def first(limit: int, items: AsyncGenerator[Item, None]) -> list[Item]:
    """Return the first `limit` items, or all of them if there are fewer."""
    found = []
    async with aclosing(items):
        async for item in items:
            found.append(item)
            if len(found) == limit:
                break
    return found


async def each(items: Iterable[Item], ask: Callable[[Item], Awaitable[Answer]]) -> list[Answer]:
    """Return what is answered about each item, in their order; so many are asked about at once."""
    places = asyncio.Semaphore(AT_ONCE)

    async def answer(item: Item) -> Answer:
        async with places:
            return await ask(item)

    return await asyncio.gather(*map(answer, items))
