"""What an operator's files hold, and replaces under a running server.

Whoever needs it asks each time: so nothing runs while nobody does.
"""

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")

# What is refused is read again when the files change. Unless what was wrong shows in no file, as being out of descriptors
# does: so it is read again after this time, too, and not each time that somebody asks, since that may take 2 ms.
_PATIENCE_SECONDS = 1.0


class UnusableFileError(Exception):
    """Files do not hold what they should; the message says which of them, and what is wrong."""


class Renewable(Generic[T]):
    """What files hold, read again when they change; any thread may ask for it.

    Rule: what is in service is good. Files may be replaced one after the other; in between, and whenever they cannot be read,
    the last good one stays, and that is logged once.
    """

    def __init__(self, what: str, files: Sequence[Path], read: Callable[[], T]) -> None:
        """Read the files. Raises UnusableFileError, which alone `read` may raise. `what`: a word for it in the log."""
        self._what, self._files, self._read = what, files, read
        self._looking = Lock()
        # Before they are read: a change in between is one that the next look finds.
        self._seen = self._stamp()
        self._held = self._found()
        self._again = math.inf
        self._complaint: str | None = None

    def now(self) -> T:
        """Return what is in service, the same object until it is renewed. Never raises, and waits for nobody.

        It blocks for a call of stat for each file, 5 µs, and once for each renewal for the reading.
        """
        # Who comes while another looks takes what is there: the event loop would wait for a thread that reads.
        if self._looking.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._looking.release()
        return self._held

    def _look(self) -> None:
        stamp = self._stamp()
        if stamp == self._seen and monotonic() < self._again:
            return
        try:
            found: T | UnusableFileError = self._found()
        except UnusableFileError as error:
            found = error
        # Replaced while they were read: it may be a half of the old with a half of the new. The next look reads them again.
        if self._stamp() != stamp:
            return
        self._seen = stamp
        if isinstance(found, UnusableFileError):
            self._refuse(str(found))
        else:
            self._take(found)

    def _found(self) -> T:
        for file in self._files:
            # Whoever reads a pipe waits until somebody writes.
            if file.exists() and not file.is_file():
                raise UnusableFileError(f"{file} is not a file")
        return self._read()

    def _refuse(self, complaint: str) -> None:
        if complaint != self._complaint:
            logger.warning("the %s in service stays: %s", self._what, complaint)
        self._complaint, self._again = complaint, monotonic() + _PATIENCE_SECONDS

    def _take(self, found: T) -> None:
        self._complaint, self._again = None, math.inf
        # Files that were touched, or put back, hold nothing new.
        if found != self._held:
            self._held = found
            logger.info("a renewed %s is in service", self._what, extra={"file": str(self._files[0])})

    def _stamp(self) -> object:
        """Return what changes when a file does, or what a link to it leads to; None while there is none."""
        try:
            states = [file.stat() for file in self._files]
        except OSError:
            return None
        # The last of them also tells that a file may be read now.
        return [(state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns) for state in states]
