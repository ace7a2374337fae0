import asyncio
from datetime import timedelta

import pytest

from letta_grpc.adapters.clock import SystemClock
from letta_grpc.ports.clock import Clock
from letta_grpc.testing.clocks import START, ClockContract, FakeClock


class TestSystemClock(ClockContract):
    @pytest.fixture
    def clock(self) -> SystemClock:
        return SystemClock()


class TestFakeClock(ClockContract):
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    async def let_pass(self, clock: Clock, seconds: float) -> None:
        assert isinstance(clock, FakeClock)
        await clock.run_for(seconds)


async def test_a_clock_that_nobody_moves_wakes_nobody() -> None:
    clock = FakeClock()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        sleeper = tasks.create_task(clock.sleep(1))
        await clock.until_sleepers()
        clock.advance(0.999)
        await asyncio.sleep(0)
        assert not sleeper.done()
        clock.advance(0.001)
    assert clock.now() == START + timedelta(seconds=1)


async def test_moving_for_a_while_wakes_a_periodic_sleeper_at_each_of_its_times() -> None:
    clock = FakeClock()
    ticks: list[timedelta] = []

    async def tick() -> None:
        for _ in range(4):
            await clock.sleep(10)
            ticks.append(clock.now() - START)

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(tick())
        await clock.run_for(35)
        assert ticks == [timedelta(seconds=seconds) for seconds in (10, 20, 30)]
        assert clock.now() == START + timedelta(seconds=35)
        clock.advance(5)


async def test_a_cancelled_sleeper_no_longer_counts() -> None:
    clock = FakeClock()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        gone, stays = tasks.create_task(clock.sleep(1)), tasks.create_task(clock.sleep(2))
        await clock.until_sleepers(2)
        gone.cancel()
        await asyncio.sleep(0)
        assert clock.sleepers == 1
        clock.advance(2)
        await stays
