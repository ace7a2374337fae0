"""Values that hold up whoever reads them until the event loop has had a turn."""

import asyncio
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class ReadAside(tuple[T, ...]):  # noqa: SLOT001 - tuples take no slots that hold anything
    """A tuple that the loop's own thread cannot read: it fails there after five seconds."""

    def __init__(self, _: Iterable[T]) -> None:
        self._loop = asyncio.get_running_loop()

    def __iter__(self) -> Iterator[T]:
        went_on = threading.Event()
        self._loop.call_soon_threadsafe(went_on.set)
        assert went_on.wait(5), "the event loop was held up"
        return super().__iter__()
