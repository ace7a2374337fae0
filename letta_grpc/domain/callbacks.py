"""Telling a caller by HTTP that its run has ended: what is kept of it, and when it is tried again."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

MAX_CALLBACK_URL = 2048
# After each attempt that failed, but for the last one.
_PAUSES = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 3600))
LONGEST_PAUSE = max(_PAUSES)
# The statuses 4xx with which the next attempt may succeed.
_MAY_PASS = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """Whom to tell of the end of a run, how often that was tried, and what came of the last attempt.

    `status_code` is what the receiver answered, `error` why it did not; neither before the first attempt.
    """

    url: str
    attempts: int = 0
    send_time: datetime | None = None
    status_code: int | None = None
    error: str | None = None

    @property
    def pause(self) -> timedelta | None:
        """How long to wait before the next attempt; None if another would not help, or there were enough."""
        if self.attempts > len(_PAUSES) or not self._may_help:
            return None
        return _PAUSES[self.attempts - 1]

    @property
    def _may_help(self) -> bool:
        if self.status_code is None:
            return True
        is_fault_of_theirs = self.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
        return is_fault_of_theirs or self.status_code in _MAY_PASS


@dataclass(frozen=True, slots=True)
class CallbackOutcome:
    """What a receiver answered, or why it did not."""

    status_code: int | None = None
    error: str | None = None
