"""Who is still to be told of the ends of runs, in memory."""

from datetime import datetime

from letta_grpc.adapters.memory.state import MemoryState
from letta_grpc.domain.callbacks import LONGEST_PAUSE, Callback
from letta_grpc.domain.ids import RunId
from letta_grpc.ports.callbacks import DueCallback


class MemoryCallbackStore:
    """Callbacks of runs."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def take(self, now: datetime, until: datetime, limit: int) -> tuple[DueCallback, ...]:
        """Return the callbacks of ended runs that are due."""
        ended = [stored for stored in self._state.runs if stored.run.state.is_final]
        latest = now + LONGEST_PAUSE
        due = [(time, stored) for stored in ended if (time := stored.callback_time) and not now < time <= latest]
        taken = [stored for _, stored in sorted(due, key=lambda pair: pair[0])][:limit]
        for stored in taken:
            stored.callback_time = until
        return tuple(DueCallback(stored.as_read(), stored.callback, stored.traceparent) for stored in taken if stored.callback)

    async def next_time(self) -> datetime | None:
        """Return when the next callback of a run that has ended is due."""
        times = (stored.callback_time for stored in self._state.runs if stored.run.state.is_final)
        return min(filter(None, times), default=None)

    async def put(self, run_id: RunId, callback: Callback, next_time: datetime | None) -> None:
        """Keep what came of an attempt."""
        if stored := self._state.runs.find(run_id):
            stored.callback, stored.callback_time = callback, next_time
