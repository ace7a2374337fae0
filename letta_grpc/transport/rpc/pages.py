"""Pages that fit into a response."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from itertools import accumulate
from typing import TypeVar

from google.protobuf.message import Message

from letta_grpc.domain.paging import DEFAULT_PAGE_SIZE, Page, PageRequest

T = TypeVar("T")
M = TypeVar("M", bound=Message)

# Clients take 4 MiB by default; half of it leaves room for one last large item.
MAX_PAGE_BYTES = 2 * 1024 * 1024


async def fitting(page: PageRequest, read: Callable[[PageRequest], Awaitable[Page[T]]], to_pb: Callable[[T], M]) -> Page[M]:
    """Return a page, a shorter one than was asked for where the whole would be too large to be received."""
    items: list[M] = []
    size, part = 0, replace(page, size=min(page.size, DEFAULT_PAGE_SIZE))
    while True:
        found = await read(part)
        sent = [to_pb(item) for item in found.items]
        sizes = [item.ByteSize() for item in sent]
        if len(items) + len(sent) > 1 and size + sum(sizes) > MAX_PAGE_BYTES:
            fit = sum(size + total <= MAX_PAGE_BYTES for total in accumulate(sizes))
            if items and not fit:
                return Page(tuple(items), part.after)
            found = await read(replace(part, size=max(1, fit)))
            return Page((*items, *map(to_pb, found.items)), found.next)
        items += sent
        size += sum(sizes)
        if found.next is None or len(items) >= page.size:
            return Page(tuple(items), found.next)
        # As many as have room if they are like those before: a thousand pictures are not read to send two of them.
        room = (MAX_PAGE_BYTES - size) * len(items) // max(1, size)
        part = replace(page, size=min(page.size - len(items), max(1, room)), after=found.next, after_id=None)


def that_fit(items: Iterable[M]) -> list[M]:
    """Return the first items that can be received together; one at least, if there is one."""
    fit: list[M] = []
    size = 0
    for item in items:
        size += item.ByteSize()
        if fit and size > MAX_PAGE_BYTES:
            break
        fit.append(item)
    return fit
