"""Pages that fit into a response."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from google.protobuf.message import Message

from letta_grpc.domain.paging import Page, PageRequest

T = TypeVar("T")
M = TypeVar("M", bound=Message)

# Clients take 4 MiB by default; half of it leaves room for one last large item.
MAX_PAGE_BYTES = 2 * 1024 * 1024


async def fitting(page: PageRequest, read: Callable[[PageRequest], Awaitable[Page[T]]], to_pb: Callable[[T], M]) -> Page[M]:
    """Return a page, a shorter one than was asked for where the whole would be too large to be received."""
    while True:
        found = await read(page)
        items = tuple(to_pb(item) for item in found.items)
        if len(items) <= 1 or sum(item.ByteSize() for item in items) <= MAX_PAGE_BYTES:
            return Page(items, found.next)
        page = replace(page, size=len(items) // 2)


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
