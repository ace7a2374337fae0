"""Who may watch health where not everybody can."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2

from letta_grpc.transport.health import Health

pytestmark = pytest.mark.timeout(20)


class AbortedError(Exception):
    pass


class Watcher:
    """A watch as the server sees it. `code`: what it ended with; `heard`: it has been told a status, or its end."""

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self.code: grpc.StatusCode | None = None
        self.heard, self.ended = asyncio.Event(), asyncio.Event()

    def peer(self) -> str:
        return self._peer

    async def write(self, _response: object) -> None:
        self.heard.set()

    async def abort(self, code: grpc.StatusCode, _details: str = "", _trailers: object = ()) -> None:
        self.code = code
        self.heard.set()
        self.ended.set()
        raise AbortedError


class Door:
    """Health, and those who come to watch it."""

    def __init__(self, max_watches: int, group: asyncio.TaskGroup) -> None:
        self.health = Health(max_watches=max_watches)
        self._group = group

    async def comes(self, peer: str) -> Watcher:
        """Let one come; return it once it watches, or has been refused."""
        watcher = Watcher(peer)
        self._group.create_task(self._watch(watcher))
        await watcher.heard.wait()
        return watcher

    async def _watch(self, watcher: Watcher) -> None:
        with suppress(AbortedError):
            await self.health.Watch(health_pb2.HealthCheckRequest(), cast("Any", watcher))


@asynccontextmanager
async def door(max_watches: int) -> AsyncIterator[Door]:
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        opened = Door(max_watches, group)
        yield opened
        opened.health.close()


FULL = grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("many", "other"),
    [
        ("ipv4:192.0.2.1:{}", "ipv4:192.0.2.2:1"),
        ("ipv6:%5B2001:db8::{}%5D:50000", "ipv6:[2001:db8:1::1]:50000"),
        ("ipv4:192.0.2.1:{}", "unix:"),
        ("unix:/run/{}.sock", "ipv6:[fe80::1%eth0]:50000"),
    ],
)
async def test_who_watches_most_makes_room_for_another(many: str, other: str) -> None:
    async with door(4) as here:
        theirs = [await here.comes(many.format(number)) for number in range(1, 5)]
        fifth = await here.comes(many.format(5))
        assert fifth.code is FULL
        first, second = await here.comes(other), await here.comes(other)
        for each in theirs[2:]:
            await each.ended.wait()
        assert [each.code for each in theirs] == [None, None, FULL, FULL]
        # They share by now.
        assert (await here.comes(other)).code is FULL
        assert (first.code, second.code) == (None, None)


async def test_nobody_makes_room_where_everybody_watches_once() -> None:
    async with door(2) as here:
        watching = [await here.comes(f"ipv4:192.0.2.{number}:1") for number in (1, 2)]
        assert (await here.comes("ipv4:192.0.2.3:1")).code is FULL
        assert [each.code for each in watching] == [None, None]


async def test_all_are_told_that_the_server_stops() -> None:
    async with door(4) as here:
        watching = [await here.comes(f"ipv4:192.0.2.{number}:1") for number in (1, 2)]
    assert [each.code for each in watching] == [grpc.StatusCode.UNAVAILABLE] * 2
