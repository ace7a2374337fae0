"""All of a list that is read by pages."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from letta_grpc.domain.paging import MAX_PAGE_SIZE, Page, PageRequest

T = TypeVar("T")


async def items_of(read: Callable[[PageRequest], Awaitable[Page[T]]]) -> AsyncIterator[T]:
    """Yield what is on all pages. Each is read when those before it have been gone through."""
    after: int | None = None
    while True:
        page = await read(PageRequest(size=MAX_PAGE_SIZE, after=after))
        for item in page.items:
            yield item
        after = page.next
        if after is None:
            return
