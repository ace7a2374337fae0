"""What the writer thread keeps of every open run, and the journal rows that hold its newest events."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct

from letta_grpc.domain.ids import ConversationId, RunId

# A journal row is a sequence of these, each before its frames: run position, first number, how many events, how many bytes.
_HEADER = Struct("<QQII")


@dataclass(slots=True, eq=False)
class OpenRun:
    """A queued or running run. `sealed` is the last number in its segments; `unsealed` is what came after it."""

    position: int
    run_id: RunId
    conversation_id: ConversationId
    owner: str | None
    attempt: int
    cancel_requested: bool = False
    last: int = 0
    sealed: int = 0
    unsealed: list[bytes] = field(default_factory=list)
    unsealed_bytes: int = 0
    ended: bool = False
    # The store failed under it: its lease is void, and only the database says how far it got.
    dead: bool = False


@dataclass(slots=True, eq=False)
class JournalRow:
    """A row of the journal, and the runs that have unsealed events in it."""

    position: int
    size: int
    holders: set[OpenRun]


@dataclass(slots=True)
class JournalRows:
    """The rows that somebody needs, oldest first; those before `free_to` can be dropped from the database."""

    rows: deque[JournalRow] = field(default_factory=deque)
    held_by: dict[OpenRun, list[JournalRow]] = field(default_factory=dict)
    size: int = 0
    next_position: int = 1
    free_to: int = 0
    free_bytes: int = 0

    def add(self, row: JournalRow) -> None:
        """Take note of a stored row."""
        self.rows.append(row)
        self.size += row.size
        for run in row.holders:
            self.held_by.setdefault(run, []).append(row)

    def release(self, run: OpenRun) -> None:
        """Take note that all of a run's events that stood in rows stand in segments."""
        for row in self.held_by.pop(run, ()):
            row.holders.discard(run)

    def forget_free(self) -> None:
        """Forget the oldest rows as far as nobody needs them."""
        while self.rows and not self.rows[0].holders:
            row = self.rows.popleft()
            self.size -= row.size
            self.free_bytes += row.size
            self.free_to = row.position


def pack(run: OpenRun, first: int, count: int, frames: bytes) -> tuple[bytes, bytes]:
    """Return a run's part of a journal row."""
    return _HEADER.pack(run.position, first, count, len(frames)), frames


def unpack(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield the parts of a journal row: run position, first number, how many events, frames."""
    offset = 0
    while offset < len(data):
        position, first, count, size = _HEADER.unpack_from(data, offset)
        offset += _HEADER.size
        yield position, first, count, data[offset : offset + size]
        offset += size
