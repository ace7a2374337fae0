"""The event log in memory."""

from datetime import datetime

from letta_grpc.adapters.memory.state import MemoryState, StoredRun
from letta_grpc.domain.errors import CursorAhead, EventsExpired
from letta_grpc.domain.frames import take_frames
from letta_grpc.domain.ids import RunId
from letta_grpc.ports.log import LogPage


class MemoryEventLog:
    """Gives the stored events of any run."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def read(self, run_id: RunId, after: int, max_bytes: int) -> LogPage:
        """Return what is stored after a number, without waiting."""
        stored = self._state.run(run_id)
        last = stored.last_sequence_number
        if after > last:
            raise CursorAhead(run_id=run_id, last=str(last))
        oldest = last - len(stored.frames) + 1
        if after + 1 < oldest:
            raise EventsExpired(run_id=run_id, oldest=str(oldest), last=str(last))
        count, frames = take_frames(b"".join(_enough(stored.frames[after - oldest + 1 :], max_bytes)), max_bytes)
        reached = after + count
        return LogPage(first=after + 1, last=reached, frames=frames, ended=_ended(stored) and reached == last)

    async def wait(self, run_id: RunId, after: int) -> None:
        """Return once there is more after this number, or the run has ended."""
        while True:
            # Looked up each time: the run may be deleted meanwhile, and a follower is then told so.
            stored = self._state.run(run_id)
            if stored.last_sequence_number > after or _ended(stored):
                return
            await stored.changed.wait()

    async def trim(self, ended_before: datetime) -> int:
        """Drop the events of runs that ended before this time; return of how many."""
        trimmed = [
            s
            for s in self._state.runs
            if s.frames and s.run.end_time and s.run.end_time < ended_before and not s.run.pending_actions
        ]
        for stored in trimmed:
            stored.frames.clear()
        return len(trimmed)


def _enough(frames: list[bytes], max_bytes: int) -> list[bytes]:
    """Return no more frames than a page takes and one to show that there is more: a late reader must not cost all of a log."""
    size = 0
    for count, frame in enumerate(frames, start=1):
        size += len(frame)
        if size > max_bytes:
            return frames[:count]
    return frames


def _ended(stored: StoredRun) -> bool:
    return stored.run.state.is_final
