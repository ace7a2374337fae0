"""A lock for threads whose longest waiter is next, as asyncio's is.

`threading.Lock` goes to whoever asks first once it is free: a reader that lets go of it between two responses has it again
before anybody else has woken.
"""

import threading
from collections import deque
from types import TracebackType


class FairLock:
    """To be used with `with`."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._guard:
            if not self._taken:
                self._taken = True
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        try:
            # Let go of by the thread before, which leaves the lock taken: there is no moment for a third.
            turn.acquire()
        except BaseException:
            self._give_up(turn)
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pass_on()

    def _give_up(self, turn: threading.Lock) -> None:
        """Leave the queue after an interrupt; if it was one's turn already, it is the next one's."""
        with self._guard:
            waits = turn in self._waiting
            if waits:
                self._waiting.remove(turn)
        if not waits:
            self._pass_on()

    def _pass_on(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False
