"""The machine's clock."""

import asyncio
import time
from datetime import UTC, datetime


class SystemClock:
    """Real time. `sleep` goes by the event loop's monotonic clock, so setting the machine's time wakes nobody."""

    def now(self) -> datetime:
        """Return the time in UTC."""
        return datetime.now(UTC)

    def time_ns(self) -> int:
        """Return nanoseconds since the epoch."""
        return time.time_ns()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        await asyncio.sleep(seconds)
