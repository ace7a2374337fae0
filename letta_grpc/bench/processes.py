"""The processes of a measurement, each on its core."""

import asyncio
import os
import re
import resource
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self, TypeVar

import uvloop

from letta_grpc.bench.errors import ProcessFailedError

_JobT = TypeVar("_JobT")
_ResultT = TypeVar("_ResultT")

_START_SECONDS = 60
_STOP_SECONDS = 20
_JOB_SECONDS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """Where processes may run: servers on the one, load and upstream on the other. Empty sets leave it to the system."""

    servers: frozenset[int]
    load: frozenset[int]

    @classmethod
    def of_this_machine(cls) -> Self:
        """Take the first core for servers and the second for the rest, where there are two that can be chosen."""
        usable = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
        if len(usable) < 2:  # noqa: PLR2004 - one for each side
            return cls(servers=frozenset(), load=frozenset())
        return cls(servers=frozenset(usable[:1]), load=frozenset(usable[1:2]))


def allow_many_sockets() -> None:
    """Let this process, and what it starts, have as many open files as the system lets it: two sockets are one stream's."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def pin(cores: frozenset[int]) -> None:
    """Keep this thread, and what it starts from now on, on these cores."""
    if cores and sys.platform == "linux":
        os.sched_setaffinity(0, cores)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A process that has said where it listens, and how long it took to say so. `web`: where for HTTP, beside gRPC."""

    pid: int
    address: str
    web: str
    start_seconds: float


@contextmanager
def running(
    command: Sequence[str], *, cores: frozenset[int], log: Path, env: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """Run a server process until it is no longer needed; its standard error goes to the log. Raises ProcessFailedError."""
    started = time.monotonic()
    with log.open("ab") as errors, _pinned(cores):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=env)  # noqa: S603 - our own commands
    try:
        address, web = _listening(process, log)
        yield Running(pid=process.pid, address=address, web=web, start_seconds=time.monotonic() - started)
    finally:
        process.terminate()
        try:
            process.communicate(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


@contextmanager
def _pinned(cores: frozenset[int]) -> Iterator[None]:
    # A child inherits the cores of the thread that starts it, and so do all of its threads from the first on.
    mine = frozenset(os.sched_getaffinity(0)) if cores else frozenset[int]()
    pin(cores)
    try:
        yield
    finally:
        pin(mine)


def _listening(process: "subprocess.Popen[bytes]", log: Path) -> tuple[str, str]:
    if process.stdout is None:
        raise ProcessFailedError("no standard output to read from")
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        line = process.stdout.readline().decode() if selector.select(_START_SECONDS) else ""
    found = re.match(r"listening (?:grpc|http)=(\S+)(?: http=http://(\S+))?", line)
    if found is None:
        raise ProcessFailedError(f"{process.args!r} did not say where it listens: {line!r}\n{log.read_text()[-2000:]}")
    return found[1], found[2] or ""


class LoadProcess:
    """The process that makes the load. It has one loop for all jobs: gRPC's asyncio side wants no second one."""

    def __init__(self, cores: frozenset[int]) -> None:
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=pin, initargs=(cores,))

    def run(self, function: Callable[[_JobT], Coroutine[Any, Any, _ResultT]], job: _JobT) -> _ResultT:
        """Return what the coroutine function makes of the job over there."""
        return self._pool.submit(_in_loop, function, job).result(timeout=_JOB_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)


def _in_loop(function: Callable[[_JobT], Coroutine[Any, Any, _ResultT]], job: _JobT) -> _ResultT:
    return _runner().run(function(job))


@cache
def _runner() -> asyncio.Runner:
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)
