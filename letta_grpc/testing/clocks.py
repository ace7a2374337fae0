"""A Clock that a test moves, and what every Clock promises."""
# ruff: noqa: S101 - assert is what a contract does

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count

from letta_grpc.ports.clock import Clock

START = datetime(2030, 1, 1, 12, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# How many turns of the loop are left to woken tasks after each wake-up: one may wake another, which wakes another.
_SETTLING_TURNS = 20


class FakeClock:
    """Stands still until it is moved. Belongs to one event loop; sees nothing of other threads."""

    def __init__(self, start: datetime = START) -> None:
        self._time_ns = (start - _EPOCH) // _MICROSECOND * 1000
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = count()
        self._arrival = asyncio.Event()

    def now(self) -> datetime:
        """Return the time in UTC, whole microseconds."""
        return _EPOCH + self._time_ns // 1000 * _MICROSECOND

    def time_ns(self) -> int:
        """Return nanoseconds since the epoch."""
        return self._time_ns

    async def sleep(self, seconds: float) -> None:
        """Return once the clock has been moved that far. 0 and less is one turn of the loop."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        awake = asyncio.get_running_loop().create_future()
        heappush(self._sleepers, (self._time_ns + _nanoseconds(seconds), next(self._order), awake))
        self._arrival.set()
        self._arrival = asyncio.Event()
        await awake

    @property
    def sleepers(self) -> int:
        """How many tasks sleep now."""
        return sum(not awake.done() for _, _, awake in self._sleepers)

    async def until_sleepers(self, number: int = 1) -> None:
        """Return once at least `count` tasks sleep: then moving the clock is sure to reach them."""
        while self.sleepers < number:
            await self._arrival.wait()

    def advance(self, seconds: float) -> None:
        """Move the clock and wake who is due, in order; they run when the caller next awaits.

        Whoever sleeps again after that sleeps from the new time: for a loop that sleeps again and again use `run_for`.
        """
        end = self._time_ns + _nanoseconds(seconds)
        while self._wake_next(end):
            pass
        self._time_ns = end

    async def run_for(self, seconds: float) -> None:
        """Move the clock from one sleeper's time to the next; each acts, and may sleep again, before the clock goes on."""
        end = self._time_ns + _nanoseconds(seconds)
        await _settle()
        while self._wake_next(end):
            await _settle()
        self._time_ns = end

    def _wake_next(self, end_ns: int) -> bool:
        while self._sleepers and self._sleepers[0][0] <= end_ns:
            due_ns, _, awake = heappop(self._sleepers)
            if not awake.done():
                self._time_ns = due_ns
                awake.set_result(None)
                return True
        return False


async def _settle() -> None:
    for _ in range(_SETTLING_TURNS):
        await asyncio.sleep(0)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


class ClockContract:
    """What a Clock promises. A subclass gives the fixture `clock`."""

    def let_pass(self, clock: Clock, seconds: float) -> Awaitable[None]:  # noqa: ARG002 - for clocks that must be moved
        """Make time pass; for a clock that goes by itself there is nothing to do."""
        return asyncio.sleep(0)

    def test_the_time_is_utc(self, clock: Clock) -> None:
        """`now` carries its zone."""
        assert clock.now().utcoffset() == timedelta(0)

    def test_both_readings_are_of_one_clock(self, clock: Clock) -> None:
        """`now` and `time_ns` differ by no more than the time between two calls."""
        before, between, after = clock.time_ns(), (clock.now() - _EPOCH) // _MICROSECOND, clock.time_ns()
        assert before // 1000 <= between <= after // 1000

    async def test_a_sleeper_wakes_when_its_time_has_come(self, clock: Clock) -> None:
        """Neither before nor never. A tenth is allowed for a wall clock that is being corrected."""
        begin = clock.time_ns()
        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            tasks.create_task(clock.sleep(0.05))
            await self.let_pass(clock, 0.05)
        assert clock.time_ns() - begin >= _nanoseconds(0.045)

    async def test_who_wants_less_sleep_wakes_first(self, clock: Clock) -> None:
        """Order of waking is order of time, not of falling asleep."""
        woken: list[float] = []

        async def sleep(seconds: float) -> None:
            await clock.sleep(seconds)
            woken.append(seconds)

        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            for seconds in (0.1, 0.01):
                tasks.create_task(sleep(seconds))
            await self.let_pass(clock, 0.1)
        assert woken == [0.01, 0.1]

    async def test_no_sleep_at_all_returns_by_itself(self, clock: Clock) -> None:
        """Zero and less wait for nobody."""
        async with asyncio.timeout(5):
            await clock.sleep(0)
            await clock.sleep(-1)

    async def test_a_sleeper_can_be_cancelled(self, clock: Clock) -> None:
        """Cancelling ends the sleep at once."""
        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            sleeper = tasks.create_task(clock.sleep(3600))
            await asyncio.sleep(0)
            sleeper.cancel()
        assert sleeper.cancelled()
