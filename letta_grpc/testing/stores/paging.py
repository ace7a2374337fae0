"""What every list promises."""
# ruff: noqa: S101 - assert is what a contract does

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from letta_grpc.domain.paging import Page, PageRequest

T = TypeVar("T")


class Named(Protocol):
    """Something with an id."""

    @property
    def id(self) -> str:
        """The id."""
        ...


N = TypeVar("N", bound=Named)

ListPage = Callable[[PageRequest], Awaitable[Page[T]]]
SIZES = (1, 2, 3, 1000)


async def read_all(list_page: ListPage[T], *, size: int, descending: bool = False) -> list[T]:
    """Read a list to its end, page by page; no page but the last is short of `size`."""
    found: list[T] = []
    page = await list_page(PageRequest(size=size, descending=descending))
    while page.next is not None:
        assert len(page.items) == size
        found += page.items
        page = await list_page(PageRequest(size=size, descending=descending, after=page.next))
    return [*found, *page.items]


async def check_pages(list_page: ListPage[T], expected: Sequence[T]) -> None:
    """Read the list in pages of several sizes, both ways: always all of it, in order, each item once."""
    for size in (*SIZES, len(expected)):
        assert await read_all(list_page, size=max(size, 1)) == list(expected)
        assert await read_all(list_page, size=max(size, 1), descending=True) == list(reversed(expected))


async def check_pages_by_id(list_page: ListPage[N], expected: Sequence[N]) -> None:
    """Begin after each item by its id, both ways; behind an id that is not in the list there is nothing."""
    for descending in (False, True):
        ordered = list(expected)[:: -1 if descending else 1]
        for place, item in enumerate(ordered):
            page = await list_page(PageRequest(size=2, after_id=item.id, descending=descending))
            assert list(page.items) == ordered[place + 1 : place + 3]
            assert (page.next is None) == (place + 3 >= len(ordered))
        assert not (await list_page(PageRequest(after_id="no-such-id", descending=descending))).items


async def check_pages_while_items_are_added(list_page: ListPage[T], add: Callable[[], Awaitable[T]]) -> None:
    """Add items between pages: forwards all of them are seen, backwards those that were there at the beginning."""
    present = [await add() for _ in range(5)]
    for descending in (False, True):
        added: list[T] = []
        page = await list_page(PageRequest(size=2, descending=descending))
        seen = [*page.items]
        while page.next is not None:
            if len(added) < 4:  # noqa: PLR2004 - forwards it would never end
                added.append(await add())
            page = await list_page(PageRequest(size=2, descending=descending, after=page.next))
            seen += page.items
        assert seen == ([*reversed(present)] if descending else [*present, *added])
        present += added
