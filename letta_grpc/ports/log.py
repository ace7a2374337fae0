"""Reading runs. The contract: `letta_grpc.testing.journals`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from letta_grpc.domain.ids import RunId


@dataclass(frozen=True, slots=True)
class LogPage:
    """Stored events, one behind the other: the frames of numbers `first` to `last`.

    An empty page has `first` = `last` + 1. `ended`: `last` is the run's last event and always will be.
    """

    first: int
    last: int
    frames: bytes
    ended: bool


class EventLog(Protocol):
    """The stored events of all runs, for any number of readers. A slow reader costs the writer nothing."""

    async def read(self, run_id: RunId, after: int, max_bytes: int) -> LogPage:
        """Return what is stored after a number, without waiting: at most `max_bytes`, but at least one event if there is any.

        Raises RunNotFound; CursorAhead{run_id, last} if `after` is beyond the last number;
        EventsExpired{run_id, oldest, last} if the next event is no longer kept.
        """
        ...

    async def wait(self, run_id: RunId, after: int) -> None:
        """Return once there is an event after this number, or the run has ended. Raises StoreUnavailable."""
        ...

    async def trim(self, ended_before: datetime) -> int:
        """Drop the events of runs that ended before this time and wait for no answers; return how many runs those were.

        The runs themselves and their messages stay.
        """
        ...
