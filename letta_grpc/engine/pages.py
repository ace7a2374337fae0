"""Lists by pages: reading all pages of one, and putting things that are stored nowhere in front of a stored one."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from letta_grpc.domain.paging import MAX_PAGE_SIZE, Page, PageRequest

T = TypeVar("T")
ReadPage = Callable[[PageRequest], Awaitable[Page[T]]]

# Stored things have positions from 1 on; those before them have the negative ones. This one is between the two.
_BORDER = 0


async def items_of(read: ReadPage[T]) -> AsyncIterator[T]:
    """Yield the items of all pages. A page is read once those before it have been gone through."""
    after: int | None = None
    while True:
        page = await read(PageRequest(size=MAX_PAGE_SIZE, after=after))
        for item in page.items:
            yield item
        after = page.next
        if after is None:
            return


async def page_behind(front: Sequence[T], stored: ReadPage[T], page: PageRequest) -> Page[T]:
    """Return a page of the list that begins with `front` and goes on with what `stored` gives."""
    placed = [(index - len(front), item) for index, item in enumerate(front)]
    if page.descending:
        return await _descending(placed[::-1], stored, page)
    return await _ascending(placed, stored, page)


async def _ascending(front: Sequence[tuple[int, T]], stored: ReadPage[T], page: PageRequest) -> Page[T]:
    shown = [(place, item) for place, item in front if page.after is None or place > page.after]
    if len(shown) > page.size:
        return Page(tuple(item for _, item in shown[: page.size]), shown[page.size - 1][0])
    items = tuple(item for _, item in shown)
    if len(shown) == page.size:
        follows = (await stored(PageRequest(size=1))).items
        return Page(items, _BORDER if follows else None)
    after = page.after if page.after is not None and page.after > _BORDER else None
    rest = await stored(replace(page, size=page.size - len(shown), after=after))
    return Page(items + rest.items, rest.next)


async def _descending(front: Sequence[tuple[int, T]], stored: ReadPage[T], page: PageRequest) -> Page[T]:
    found: Page[T] = Page((), None)
    if page.after is None or page.after > _BORDER:
        found = await stored(page)
        if found.next is not None:
            return found
    left = [(place, item) for place, item in front if page.after is None or place < page.after]
    shown = left[: page.size - len(found.items)]
    last = shown[-1][0] if shown else _BORDER
    return Page(found.items + tuple(item for _, item in shown), last if len(left) > len(shown) else None)
