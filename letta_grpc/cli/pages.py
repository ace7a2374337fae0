"""Reading the first items of a list."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

Item = TypeVar("Item")
LARGEST_PAGE = 1000


async def first(limit: int, items: AsyncGenerator[Item, None]) -> list[Item]:
    """Return the first `limit` items, or all of them if there are fewer."""
    found = []
    async with aclosing(items):
        async for item in items:
            found.append(item)
            if len(found) == limit:
                break
    return found
