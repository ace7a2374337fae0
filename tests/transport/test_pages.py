"""Pages of items that are too large to be sent together."""

from dataclasses import dataclass, field

import pytest
from google.protobuf.wrappers_pb2 import BytesValue

from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.transport.rpc.pages import MAX_PAGE_BYTES, fitting

LARGE = MAX_PAGE_BYTES // 20


@dataclass
class Shelf:
    """A list of so large items, which notes how many of them are read."""

    sizes: list[int]
    read: list[int] = field(default_factory=list)

    async def page(self, page: PageRequest) -> Page[bytes]:
        begin = page.after or 0
        items = tuple(bytes(size) for size in self.sizes[begin : begin + page.size])
        self.read.append(len(items))
        behind = begin + len(items)
        return Page(items, behind if behind < len(self.sizes) else None)

    async def walk(self, size: int) -> list[list[int]]:
        pages: list[list[int]] = []
        after: int | None = None
        while not pages or after is not None:
            page = await fitting(PageRequest(size=size, after=after), self.page, lambda item: BytesValue(value=item))
            pages.append([len(item.value) for item in page.items])
            after = page.next
        return pages


@pytest.mark.parametrize(
    "sizes",
    [
        [10] * 1100,
        [LARGE] * 300,
        [10] * 400 + [LARGE] * 100,
        [LARGE] * 100 + [10] * 400,
        [10, MAX_PAGE_BYTES * 2, 10],
        [MAX_PAGE_BYTES * 2] * 3,
        [0] * 60,
        [],
    ],
)
@pytest.mark.parametrize("size", [1, 7, 50, 1000])
async def test_pages_of_any_items_have_all_of_them_once_and_can_be_received(sizes: list[int], size: int) -> None:
    pages = await Shelf(sizes).walk(size)
    assert [item for page in pages for item in page] == sizes
    assert all(len(page) == 1 or sum(page) <= MAX_PAGE_BYTES for page in pages if page)
    assert max(map(len, pages)) <= size


async def test_a_page_of_large_items_reads_few_more_than_it_has() -> None:
    shelf = Shelf([LARGE] * 1000)
    page = await fitting(PageRequest(size=1000), shelf.page, lambda item: BytesValue(value=item))
    assert 10 < len(page.items) < 20
    assert sum(shelf.read) < 100


async def test_a_large_page_of_small_items_is_two_reads() -> None:
    shelf = Shelf([10] * 1000)
    assert [len(page) for page in await shelf.walk(1000)] == [1000]
    assert len(shelf.read) == 2
