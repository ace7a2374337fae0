"""Telling callers that their runs have ended.

The contracts: `letta_grpc.testing.callbacks` and, of the store, `letta_grpc.testing.stores`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

from letta_grpc.domain.callbacks import Callback, CallbackOutcome
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.runs import Run


class CallbackSender(Protocol):
    """Speaks to receivers."""

    def check(self, url: str) -> None:
        """Raise InvalidRequest, naming field and setting, for an address that is not allowed here. Asks nobody."""
        ...

    async def post(self, url: str, body: str, headers: Mapping[str, str] = MappingProxyType({})) -> CallbackOutcome:
        """Post JSON text to a receiver, within a bounded time. The outcome tells what went wrong; nothing is raised."""
        ...


@dataclass(frozen=True, slots=True)
class DueCallback:
    """A run that has ended, who is due to be told of it, and the trace context of its start."""

    run: Run
    callback: Callback
    traceparent: str | None = None


class CallbackStore(Protocol):
    """Who is still to be told. A run that was started with a callback address is there from its claim on."""

    async def take(self, now: datetime, until: datetime, limit: int) -> tuple[DueCallback, ...]:
        """Return up to `limit` callbacks of ended runs that are due, the longest due first.

        They are not returned again before `until`, unless `put` says otherwise. One that is to come later than after any pause
        is due, too: the clock has been put back.
        """
        ...

    async def next_time(self) -> datetime | None:
        """Return when the next callback of a run that has ended is due, None if none will be."""
        ...

    async def put(self, run_id: RunId, callback: Callback, next_time: datetime | None) -> None:
        """Keep what came of an attempt, and when the next is due, None for never. Does nothing for a run that is gone."""
        ...
