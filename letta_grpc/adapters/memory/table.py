"""Rows in the order of their creation."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import count
from typing import Generic, Self, TypeVar

from letta_grpc.domain.paging import Page, PageRequest

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Table(Generic[K, V]):
    """Values by key. Each has a position that rises with creation, survives replacement and is never given again.

    Tables that share `positions` are parts of one order.
    """

    def __init__(self, positions: Iterator[int] | None = None) -> None:
        self._rows: dict[K, tuple[int, V]] = {}
        self._positions = positions or count(1)

    @classmethod
    def merged(cls, parts: Iterable[Self]) -> Self:
        """Return one table of what parts of one order have now."""
        whole = cls()
        rows = [item for part in parts for item in part._rows.items()]  # noqa: SLF001 - of its own kind
        whole._rows = dict(sorted(rows, key=lambda item: item[1][0]))
        return whole

    def __contains__(self, key: K) -> bool:
        return key in self._rows

    def __iter__(self) -> Iterator[V]:
        return (value for _, value in self._rows.values())

    def __reversed__(self) -> Iterator[V]:
        return (value for _, value in reversed(self._rows.values()))

    def find(self, key: K) -> V | None:
        """Return the value, None if there is none."""
        row = self._rows.get(key)
        return None if row is None else row[1]

    def add(self, key: K, value: V) -> None:
        """Store a value under a new key."""
        self._rows[key] = (next(self._positions), value)

    def replace(self, key: K, value: V) -> None:
        """Store another value under a known key."""
        self._rows[key] = (self._rows[key][0], value)

    def remove(self, key: K) -> None:
        """Drop a key, if it is there."""
        self._rows.pop(key, None)

    def clear(self) -> None:
        """Drop all keys."""
        self._rows.clear()

    def page(self, request: PageRequest, where: Callable[[V], bool] = lambda _: True) -> Page[V]:
        """Return the page of the values for which `where` holds."""
        rows = [row for row in self._in_order(request) if where(row[1])]
        shown = rows[: request.size]
        more = len(rows) > len(shown)
        return Page(tuple(value for _, value in shown), shown[-1][0] if more and shown else None)

    def _position(self, key: Hashable) -> int | None:
        return next((position for known, (position, _) in self._rows.items() if known == key), None)

    def _in_order(self, request: PageRequest) -> Iterator[tuple[int, V]]:
        rows = reversed(self._rows.values()) if request.descending else iter(self._rows.values())
        after = request.after if request.after_id is None else self._position(request.after_id)
        if after is None:
            return rows if request.after_id is None else iter(())
        if request.descending:
            return (row for row in rows if row[0] < after)
        return (row for row in rows if row[0] > after)
