"""Lists as the SDKs page through them: bare arrays, `after` and `before` the id of an item, until an empty one."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from letta_grpc.gateway.faces.letta.errors import not_here, unprocessable
from letta_grpc.gateway.faces.letta.operations import Ask, Json, Method

T = TypeVar("T")

MAX_LIMIT = 1000
# How many resources are asked for at once where few of them are listed; more could be too large for one answer.
_MANY = 100
CREATION = "created_at"


class PageRequest(Protocol):
    """A request for a page of a list."""

    page_size: int
    page_token: str


class Paged(PageRequest, Protocol):
    """The same of a list that is read from any item on, either way."""

    after_id: str
    descending: bool


class Page(Protocol):
    """A page of a list."""

    next_page_token: str


Q = TypeVar("Q", bound=PageRequest)
P = TypeVar("P", bound=Paged)
R = TypeVar("R", bound=Page)
Fetch = Callable[[Q], Awaitable[tuple[Sequence[T], str]]]


def fetch_of(ask: Ask, method: Method[Q, R], resources_of: Callable[[R], Sequence[T]]) -> Fetch[Q, T]:
    """Return what fetches the resources of a page, and where the next one begins."""

    async def fetch(request: Q) -> tuple[Sequence[T], str]:
        page = await ask.call(method, request)
        return resources_of(page), page.next_page_token

    return fetch


async def listed(
    ask: Ask,
    request: P,
    fetch: Fetch[P, T],
    items_of: Callable[[T], list[Json]],
    *,
    order: str = "desc",
    limit: int = 50,
) -> list[Json]:
    """Return the items that a request's query asks for. Raises Failure.

    A page is empty only behind the last item, however many resources come to nothing: the SDKs take it for the end.
    """
    check_order(ask)
    size = ask.number("limit", limit, MAX_LIMIT)
    descending = is_descending(ask, order)
    before = ask.query("before")
    # What comes before an item is read from it backwards.
    request.descending = descending != bool(before)
    request.after_id = before or ask.query("after") or ""
    request.page_size = size
    found: list[list[Json]] = []
    while len(found) < size:
        resources, request.page_token = await fetch(request)
        found += [items for resource in resources if (items := items_of(resource))]
        if not request.page_token:
            break
        request.after_id = ""
        request.page_size = max(size, min(2 * request.page_size, _MANY))
    del found[size:]
    groups = found[::-1] if before else found
    return [item for items in groups for item in (items[::-1] if descending else items)]


async def every(request: Q, fetch: Fetch[Q, T]) -> AsyncIterator[T]:
    """Yield a whole list. Raises Failure."""
    request.page_size = MAX_LIMIT
    while True:
        resources, request.page_token = await fetch(request)
        for resource in resources:
            yield resource
        if not request.page_token:
            return


async def all_of(request: Q, fetch: Fetch[Q, T]) -> list[T]:
    """Return a whole list. Raises Failure."""
    return [resource async for resource in every(request, fetch)]


async def count_of(request: Q, fetch: Fetch[Q, T]) -> int:
    """Return how long a list is. Raises Failure."""
    return sum([1 async for _ in every(request, fetch)])


def check_order(ask: Ask) -> None:
    """Raise Failure if a query asks for another order than that of creation."""
    if (by := ordered_by(ask)) != CREATION:
        raise not_here(f"This list is in the order of creation: sort by {by} on your side.")


def ordered_by(ask: Ask) -> str:
    """Return what a query wants a list ordered by."""
    return ask.query("order_by") or ask.query("sort_by") or CREATION


def is_descending(ask: Ask, default: str) -> bool:
    """Say whether a query asks for the newest first. Raises Failure."""
    match ask.query("order") or {"true": "asc", "false": "desc"}.get(ask.query("ascending") or "", default):
        case "asc":
            return False
        case "desc":
            return True
        case other:
            raise unprocessable("order", f"{other!r} is none of asc, desc", "query")
