"""Logging why the server behind does not answer, which callers are not told; not once for each of their requests."""

import logging
import time
from collections.abc import Callable

import grpc

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN = 60.0


class Outages:
    """Tells of the first failed call, then of one a minute."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._quiet_until = float("-inf")

    def tell(self, error: grpc.aio.AioRpcError) -> None:
        """Log why the server did not answer."""
        now = self._now()
        if now >= self._quiet_until:
            self._quiet_until = now + _SECONDS_BETWEEN
            logger.warning("the server behind this gateway cannot be reached: %s", error.details() or error.code().name)


# One for the process: whichever request finds out, all of them have the same server behind them.
outages = Outages()
