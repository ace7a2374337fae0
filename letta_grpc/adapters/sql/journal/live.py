"""The newest events of open runs, in memory, for readers that are up to date. Belongs to the event loop."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from letta_grpc.adapters.sql.journal.group import SEGMENT_BYTES, Published, Snapshot
from letta_grpc.domain.errors import StoreUnavailable
from letta_grpc.domain.frames import skip_frames, take_frames
from letta_grpc.domain.ids import RunId
from letta_grpc.ports.log import LogPage

# Runs that have just ended stay for a moment, so that their last readers need not go to the database.
_ENDED_RUNS = 1024
_ENDED_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Chunk:
    """The frames of the numbers `first` to `last`."""

    first: int
    last: int
    frames: bytes


@dataclass(slots=True, eq=False)
class LiveRun:
    """A run's newest events: at least all that no segment has yet."""

    last: int = 0
    ended: bool = False
    dead: bool = False
    chunks: deque[Chunk] = field(default_factory=deque)
    size: int = 0
    waiters: set["asyncio.Future[None]"] = field(default_factory=set)

    def add(self, chunk: Chunk, sealed: int) -> None:
        """Take newer events in, and let go of old ones that are in segments."""
        self.last = chunk.last
        self.chunks.append(chunk)
        self.size += len(chunk.frames)
        while self.size > SEGMENT_BYTES and self.chunks and self.chunks[0].last <= sealed:
            self.size -= len(self.chunks.popleft().frames)

    def wake(self) -> None:
        """Let the waiters go on."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)
        self.waiters.clear()

    async def changed(self) -> None:
        """Return when there is more, or when there will not be any more."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiters.add(waiter)
        try:
            await waiter
        finally:
            self.waiters.discard(waiter)

    def page(self, after: int, max_bytes: int) -> LogPage | None:
        """Return what follows a number that is not ahead, None if memory does not have it any more."""
        if after == self.last:
            return LogPage(after + 1, after, b"", self.ended)
        if not self.chunks or self.chunks[0].first > after + 1:
            return None
        index = len(self.chunks) - 1
        while self.chunks[index].first > after + 1:
            index -= 1
        newest = self.chunks[index]
        if newest.first == after + 1 and newest.last == self.last and len(newest.frames) <= max_bytes:
            return LogPage(after + 1, self.last, newest.frames, self.ended)
        pieces = (self.chunks[i] for i in range(index, len(self.chunks)))
        last, frames = join(pieces, after, max_bytes)
        return LogPage(after + 1, last, frames, self.ended and last == self.last)


def join(chunks: Iterable[Chunk], after: int, max_bytes: int) -> tuple[int, bytes]:
    """Return the last number and the frames of as many chunks as fit, the first of which has the event behind `after`.

    Only a first chunk that does not fit alone is cut.
    """
    parts: list[bytes] = []
    size, last = 0, after
    for chunk in chunks:
        if chunk.last <= after:
            continue
        frames = chunk.frames if parts else skip_frames(chunk.frames, after + 1 - chunk.first)
        if not parts and len(frames) > max_bytes:
            count, frames = take_frames(frames, max_bytes)
            return after + count, frames
        size += len(frames)
        if size > max_bytes:
            break
        parts.append(frames)
        last = chunk.last
    return last, b"".join(parts)


class LiveRuns:
    """Every open run, and some that have just ended."""

    def __init__(self) -> None:
        self._open: dict[RunId, LiveRun] = {}
        self._ended: OrderedDict[RunId, LiveRun] = OrderedDict()
        self._ended_bytes = 0

    def find(self, run_id: RunId) -> LiveRun | None:
        """Return what memory has of a run."""
        return self._open.get(run_id) or self._ended.get(run_id)

    def find_open(self, run_id: RunId) -> LiveRun | None:
        """Return an open run."""
        return self._open.get(run_id)

    def load(self, snapshot: Snapshot) -> None:
        """Take a run as the database has it."""
        live = self._open.setdefault(snapshot.run_id, LiveRun())
        live.chunks.clear()
        live.size, live.last, live.dead = 0, snapshot.sealed, False
        if snapshot.frames:
            live.add(Chunk(snapshot.sealed + 1, snapshot.last, snapshot.frames), snapshot.sealed)
        live.wake()

    def publish(self, published: Published) -> None:
        """Show readers what has been committed."""
        run_id = published.run_id
        live = self._open.get(run_id)
        if live is None:
            live = self._open[run_id] = LiveRun()
        if published.frames:
            live.add(Chunk(published.first, published.last, published.frames), published.sealed)
        if published.ended:
            live.ended = True
            self._keep_ended(run_id, self._open.pop(run_id))
        live.wake()

    def bury(self, run_id: RunId) -> None:
        """Tell a run's readers that its writer failed."""
        live = self._open.get(run_id)
        if live is not None:
            live.dead = True
            live.wake()

    def forget_ended(self) -> None:
        """Leave ended runs to the database alone."""
        self._ended.clear()
        self._ended_bytes = 0

    def _keep_ended(self, run_id: RunId, live: LiveRun) -> None:
        self._ended[run_id] = live
        self._ended_bytes += live.size
        while len(self._ended) > _ENDED_RUNS or self._ended_bytes > _ENDED_BYTES:
            _, oldest = self._ended.popitem(last=False)
            self._ended_bytes -= oldest.size


async def wait_for_more(live: LiveRun, after: int) -> None:
    """Return once a run has more after a number, or has ended. Raises StoreUnavailable if its writer failed."""
    while live.last <= after and not live.ended:
        if live.dead:
            raise StoreUnavailable
        await live.changed()
