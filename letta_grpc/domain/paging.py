"""Pages of a list."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Which part of a list. `after` is the position that the page before ended at, as its `next` said.

    `after_id` is the id of the item to begin after instead; behind one that is not in the list there is nothing.
    """

    size: int = DEFAULT_PAGE_SIZE
    after: int | None = None
    after_id: str | None = None
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list. `next` is where the following page begins; None on the last one."""

    items: tuple[T, ...]
    next: int | None = None
