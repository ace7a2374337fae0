"""Servers that can be struck down at any moment, and come back on the same database."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

import grpc

from letta_grpc.app import serving_in_process
from letta_grpc.settings import Settings
from tests.support.postgres import PostgresServer
from tests.support.server_process import BIN, serving_process


class MortalServer(Protocol):
    """`life` counts from 1. A call that is cut by a strike fails; the next channel leads to the next life."""

    life: int

    async def channel(self) -> grpc.aio.Channel:
        """Return a channel to the living server; wait while there is none."""
        ...

    def strike(self) -> None:
        """Kill it, now."""
        ...

    async def revive(self) -> None:
        """Start the next life."""
        ...


class MortalProcess:
    """`letta-grpc serve`, killed by SIGKILL. Each life has a port of its own: between two, others could take it."""

    def __init__(
        self, folder: Path, stack: ExitStack, channels: AsyncExitStack, flags: Sequence[str], more: Mapping[str, str]
    ) -> None:
        self.life = 0
        self.address = ""
        self.pid = 0
        self._folder = folder
        self._flags = flags
        self._more = more
        self._stack = stack
        self._channels = channels
        self._alive = asyncio.Event()

    async def channel(self) -> grpc.aio.Channel:
        await self._alive.wait()
        return self._channel

    def strike(self) -> None:
        self._alive.clear()
        self._process.kill()

    async def until_dead(self) -> None:
        """Return once it has died by itself."""
        await asyncio.to_thread(self._process.wait, 30)
        self._alive.clear()

    async def revive(self, dies_at: str = "") -> None:
        """Start the next life. `dies_at`: where it is to kill itself, as `dying_server` knows it."""
        program = (sys.executable, "-m", "tests.support.dying_server", dies_at) if dies_at else (str(BIN / "letta-grpc"),)
        serving = serving_process(self._folder, *self._flags, program=program, **self._more)
        self.address, self._process = await asyncio.to_thread(self._stack.enter_context, serving)
        await self._live()

    async def _live(self) -> None:
        self._channel = await self._channels.enter_async_context(grpc.aio.insecure_channel(self.address))
        self.pid = self._process.pid
        self.life += 1
        self._alive.set()


class MortalPostgres(MortalProcess):
    """`letta-grpc serve` on a PostgreSQL that is killed instead of it: in each life it serves anew, on a port of its own."""

    def __init__(
        self, folder: Path, stack: ExitStack, channels: AsyncExitStack, flags: Sequence[str], postgres: PostgresServer
    ) -> None:
        super().__init__(folder, stack, channels, flags, {})
        self._postgres = postgres

    def strike(self) -> None:
        self._alive.clear()
        self._postgres.kill()

    async def revive(self, dies_at: str = "") -> None:
        if not self.life:
            await super().revive(dies_at)
            return
        await asyncio.to_thread(self._postgres.start)
        assert self._process.stdout
        line = await asyncio.to_thread(self._process.stdout.readline)
        self.address = line.strip().removeprefix("listening grpc=")
        await self._live()


class MortalHouse:
    """The server in this process, over its local channel: calls are cut and the house is left, without any grace."""

    def __init__(self, folder: Path, group: asyncio.TaskGroup) -> None:
        self.life = 0
        self._settings = Settings(database=f"sqlite:///{folder / 'letta.db'}")
        self._group = group
        self._living: asyncio.Task[None] | None = None
        self._alive = asyncio.Event()

    async def channel(self) -> grpc.aio.Channel:
        await self._alive.wait()
        return self._channel

    def strike(self) -> None:
        self._alive.clear()
        if self._living:
            self._living.cancel()

    async def revive(self) -> None:
        if self._living:
            await asyncio.wait([self._living])
        self._living = self._group.create_task(self._live(), name=f"life {self.life + 1}")
        async with asyncio.timeout(30):
            await self._alive.wait()

    async def _live(self) -> None:
        async with serving_in_process(self._settings, {}) as house, house.channel() as self._channel:
            self.life += 1
            self._alive.set()
            await asyncio.Event().wait()


@asynccontextmanager
async def mortal_process(folder: Path, dies_at: str = "", *, database: str = "", **more: str) -> AsyncIterator[MortalProcess]:
    """Start a server of its own process; its log is `server.log` in the folder.

    `database`: its URL, if it isn't to be a file there; `more`: what its environment has, too.
    """
    with ExitStack() as stack:
        async with AsyncExitStack() as channels:
            server = MortalProcess(folder, stack, channels, ["--database", database] if database else [], more)
            await server.revive(dies_at)
            try:
                yield server
            finally:
                # Here, so that leaving the stack finds nothing left to wait for.
                server.strike()


@asynccontextmanager
async def mortal_postgres(folder: Path, postgres: PostgresServer, url: str) -> AsyncIterator[MortalPostgres]:
    """Start a server on a database of this PostgreSQL, which is what dies."""
    with ExitStack() as stack:
        async with AsyncExitStack() as channels:
            server = MortalPostgres(folder, stack, channels, ["--database", url], postgres)
            await server.revive()
            yield server


@asynccontextmanager
async def mortal_house(folder: Path) -> AsyncIterator[MortalHouse]:
    """Start a server in this process."""
    async with asyncio.TaskGroup() as group:
        server = MortalHouse(folder, group)
        await server.revive()
        try:
            yield server
        finally:
            server.strike()
