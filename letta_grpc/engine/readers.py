"""Who reads which run: for the disconnect policy, and so that the server can stop."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from letta_grpc.domain.errors import ServerDraining
from letta_grpc.domain.ids import RunId


class Readers:
    """Counts the readers of each run, and ends their waiting when the server stops."""

    def __init__(self) -> None:
        self._counts: Counter[RunId] = Counter()
        self._waits: set[asyncio.Timeout] = set()
        self._draining = False
        # Told when a run gets its first reader, and when it loses its last one.
        self.on_first: Callable[[RunId], None] = lambda _run_id: None
        self.on_none: Callable[[RunId], None] = lambda _run_id: None

    def count(self, run_id: RunId) -> int:
        """Return how many read this run."""
        return self._counts[run_id]

    @contextmanager
    def reading(self, run_id: RunId) -> Iterator[None]:
        """Count one reader in for as long as the context is open."""
        self._counts[run_id] += 1
        if self._counts[run_id] == 1:
            self.on_first(run_id)
        try:
            yield
        finally:
            self._counts[run_id] -= 1
            if self._counts[run_id] == 0:
                del self._counts[run_id]
                self.on_none(run_id)

    @contextmanager
    def waiting(self, seconds: float | None) -> Iterator[asyncio.Timeout]:
        """Return a time limit for one wait, which `drain` cuts short."""
        limit = asyncio.timeout(seconds)
        self._waits.add(limit)
        try:
            yield limit
        finally:
            self._waits.discard(limit)

    @property
    def is_draining(self) -> bool:
        """Say whether the server is stopping."""
        return self._draining

    def drain(self) -> None:
        """End every wait, now and from now on."""
        self._draining = True
        now = asyncio.get_running_loop().time()
        for limit in self._waits:
            # A limit that has passed cannot be set again; its waiter is about to be told, and will look.
            if not limit.expired():
                limit.reschedule(now)

    def check(self) -> None:
        """Raise ServerDraining once the server is stopping."""
        if self._draining:
            raise ServerDraining
