"""Several servers on one PostgreSQL database: one serves, the others stand by. Callers know all addresses."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from enum import Enum, auto
from pathlib import Path

import grpc

from tests.support.ports import kept_port
from tests.support.postgres import PostgresServer
from tests.support.server_process import PROGRAM, STOP_SECONDS, environment
from tests.support.sessions import end_sessions

ADDRESSED = "listening grpc="
# Callers look for the next server as often as one that stands by looks for its chance.
OPTIONS = (("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 300))


class Blow(Enum):
    """What happens to the server that serves."""

    # It is killed, and started again as one of those that stand by.
    KILL = auto()
    # The database ends its connections.
    DISCONNECT = auto()
    # The database dies, and recovers.
    RESTART = auto()
    # It is suspended, loses its connections, and goes on when another one has its place.
    FREEZE = auto()


class Member:
    """A server of the fleet, at an address of its own in all its lives."""

    def __init__(self, address: str, url: str, log: Path) -> None:
        self.address = address
        self._command = (*PROGRAM, "serve", "--standby", "--listen", address, "--database", url, "--drain-seconds", "1")
        self._log = log

    async def start(self) -> None:
        """Begin a life."""
        self.process = await asyncio.to_thread(self._run)
        self._said = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(self._said)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, self.process.stdout)

    def _run(self) -> subprocess.Popen[bytes]:
        with self._log.open("a") as log:
            return subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=log, env=environment())  # noqa: S603 - our own

    async def lines(self) -> AsyncIterator[str]:
        """Yield what this life says."""
        async for line in self._said:
            yield line.decode()

    async def kill(self) -> None:
        """End it, if it has not ended."""
        self.process.kill()
        await asyncio.to_thread(self.process.wait, STOP_SECONDS)

    @property
    def log(self) -> str:
        """What all its lives have logged."""
        return self._log.read_text()


class Fleet:
    """A MortalServer of several: a life is the time in which one of them serves. Blows fall in their order."""

    def __init__(self, postgres: PostgresServer, url: str, members: list[Member], group: asyncio.TaskGroup) -> None:
        self.life = 0
        self.members = members
        self.blows: list[Blow] = []
        self._postgres = postgres
        self._url = url
        self._group = group
        self._active: Member | None = None
        self._serves = asyncio.Condition()
        self._struck: tuple[Blow, Member, int] | None = None

    @property
    def target(self) -> str:
        """All addresses, as callers name them."""
        return "ipv4:" + ",".join(member.address for member in self.members)

    async def open(self, stack: AsyncExitStack) -> None:
        """Start all, and wait until one serves."""
        self._channel = await stack.enter_async_context(grpc.aio.insecure_channel(self.target, OPTIONS))
        for member in self.members:
            stack.push_async_callback(member.kill)
            await self._begin(member)
        await self.serving()

    async def channel(self) -> grpc.aio.Channel:
        """Return a channel to whichever serves; wait while none does."""
        while (state := self._channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
            await self._channel.wait_for_state_change(state)
        return self._channel

    async def serving(self, after: int = 0) -> Member:
        """Return who serves, in a life after this one."""
        async with self._serves:
            await self._serves.wait_for(lambda: self.life > after)
            assert self._active
            return self._active

    def strike(self) -> None:
        assert self._active
        self._struck = (self.blows.pop(0) if self.blows else Blow.KILL, self._active, self.life)
        if self._struck[0] is Blow.KILL:
            self._active.process.kill()

    async def revive(self) -> None:
        """See the blow through to the next life."""
        assert self._struck
        blow, member, life = self._struck
        match blow:
            case Blow.KILL:
                await member.kill()
                await self._begin(member)
            case Blow.DISCONNECT:
                await asyncio.to_thread(end_sessions, self._url)
            case Blow.RESTART:
                await asyncio.to_thread(self._postgres.kill)
                await asyncio.to_thread(self._postgres.start)
            case Blow.FREEZE:
                member.process.send_signal(signal.SIGSTOP)
                await asyncio.to_thread(end_sessions, self._url)
                await self.serving(after=life)
                member.process.send_signal(signal.SIGCONT)
        await self.serving(after=life)

    async def _begin(self, member: Member) -> None:
        await member.start()
        self._group.create_task(self._watch(member), name=f"life of {member.address}")

    async def _watch(self, member: Member) -> None:
        async for line in member.lines():
            assert line == f"{ADDRESSED}{member.address}\n", line
            async with self._serves:
                self.life += 1
                self._active = member
                self._serves.notify_all()


@asynccontextmanager
async def fleet(
    folder: Path, postgres: PostgresServer, url: str, *, size: int = 2, blows: Iterable[Blow] = ()
) -> AsyncIterator[Fleet]:
    """Run so many servers; the logs are `0.log`, `1.log`, … in the folder."""
    with ExitStack() as ports:
        addresses = [f"127.0.0.1:{ports.enter_context(kept_port())}" for _ in range(size)]
        members = [Member(address, url, folder / f"{number}.log") for number, address in enumerate(addresses)]
        async with asyncio.TaskGroup() as group, AsyncExitStack() as stack:
            servers = Fleet(postgres, url, members, group)
            servers.blows = list(blows)
            await servers.open(stack)
            yield servers
