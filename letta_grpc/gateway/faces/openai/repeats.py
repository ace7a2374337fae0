"""Requests that an SDK repeats by itself because it would wait no longer: a repeat goes on with the run of the try before.

OpenAI's SDKs say with each try how often they have asked before and how long they wait, but not which request they repeat. A
try that was given up is remembered for as long as an SDK pauses, and the next repeat that says the same takes it over: one
repeat one try, so that what a user asks for twice is two runs. A repeat of nothing that is remembered is a request of its own.
"""

import hashlib
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson

# The SDKs pause for 8 s at most. Behind that the run that waits for its client is cancelled.
PAUSE_SECONDS = 9
GRACE_SECONDS = PAUSE_SECONDS + 1
_MOST = 1000
_COUNT = "x-stainless-retry-count"
_TIMEOUTS = ("x-stainless-read-timeout", "x-stainless-timeout")
# Its clock started before ours: it had to connect, and Node's seconds are whole ones.
_EARLIER_SECONDS = 1


class Attempt:
    """One try of a request. `key` is that of all its tries; empty for who neither repeats by itself nor names what it asks."""

    def __init__(self, key: str, give_up: Callable[[], bool] = lambda: False) -> None:
        self.key = key
        self.is_answered = False
        self._give_up = give_up

    def leave(self) -> bool:
        """Say whether a client that leaves now may come again: only before the answer, and only when its time is over."""
        return not self.is_answered and self._give_up()


class Repeats:
    """The tries that were given up of late, the oldest first."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._given_up: deque[tuple[float, bytes, str]] = deque(maxlen=_MOST)

    def attempt(self, headers: Mapping[str, str], body: Any) -> Attempt:  # noqa: ANN401 - any JSON
        """Return the try that a request is."""
        named = headers.get("idempotency-key", "")
        count = headers.get(_COUNT)
        if count is None:
            return Attempt(named)
        said = orjson.dumps([headers.get("authorization"), named, body])
        digest = hashlib.sha256(said).digest()
        key = named or (self._taken_over(digest) if count != "0" else None) or str(uuid.uuid4())
        overdue = self._now() + _seconds(headers) - _EARLIER_SECONDS
        return Attempt(key, partial(self._give_up, digest, key, overdue))

    def _give_up(self, digest: bytes, key: str, overdue: float) -> bool:
        now = self._now()
        if is_overdue := now >= overdue:
            self._given_up.append((now, digest, key))
        return is_overdue

    def _taken_over(self, digest: bytes) -> str | None:
        since = self._now() - PAUSE_SECONDS
        for given_up in tuple(self._given_up):
            at, of, key = given_up
            if at < since:
                self._given_up.popleft()
            elif of == digest:
                self._given_up.remove(given_up)
                return key
        return None


def _seconds(headers: Mapping[str, str]) -> float:
    """Return how long a client waits at least; Node's SDK keeps to itself what holds for all requests of a client."""
    try:
        return float(next((headers[name] for name in _TIMEOUTS if name in headers), 0))
    except ValueError:
        return 0
