"""One call: a supervisor out of reach of the tool, the first process of the cell, and the tool's own process.

    zygote ── supervisor ──(new namespaces)── warden, pid 1 ── tool ── whatever it starts

The supervisor ends the cell when the server closes the lifeline, and tells the server when the last process is gone.
The warden cannot be stopped, traced or outlived by what it guards; it watches the memory of all of them together.
"""

import fcntl
import json
import os
import resource
import select
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from . import kernel, root, tool
from .limits import Limits

_SPAWNING = kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWIPC
_TOOL_USER = 1000
_WATCH_SECONDS = 0.1
_NICENESS = 5
_CHILD_ENDED = frozenset({signal.SIGCHLD})
_CHANNEL = 3
_SELF_MADE = 2  # The supervisor and the warden count as processes of the cell's user.


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What all cells share.

    `proc_fd` is the server's /proc, of which only supervisors get hold. `address_space` is what the warm interpreter takes.
    """

    limits: Limits
    proc_fd: int = -1
    has_proc: bool = False
    as_nobody: bool = False
    address_space: int = 0


def supervise(setup: Setup, descriptors: list[int], *, network: bool) -> NoReturn:
    """Run a call in this process's children; report on the lifeline when all of them are gone."""
    lifeline, channel, out, err = descriptors
    report = b""
    folder = None
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        status_reader, status_writer = os.pipe()
        if setup.limits.contained:
            _enter_cell(setup, network=network)
            kernel.die_with_parent()
        else:
            folder = tempfile.mkdtemp(prefix="tool-")
            os.chdir(folder)
        warden = os.fork()
        if warden == 0:
            os.close(status_reader)
            _guard(setup, status_writer, (channel, out, err))
        for descriptor in (channel, out, err, status_writer):
            os.close(descriptor)
        report = _outlive(setup, warden, lifeline, status_reader)
    except BaseException as failure:  # noqa: BLE001 - the server waits for a report, whatever happened
        report = _failed(failure)
    # Not wherever this process is: that is the root until there is a folder, and a tool's own process goes where it likes.
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    _send(lifeline, report)
    os._exit(0)


def _enter_cell(setup: Setup, *, network: bool) -> None:
    user, group = os.geteuid(), os.getegid()
    kernel.unshare(_SPAWNING | (0 if network else kernel.CLONE_NEWNET))
    map_user(setup.proc_fd, user=user, group=group)


def map_user(proc_fd: int, *, user: int, group: int) -> None:
    """Give this process's user its number in the user namespace that it has just made.

    Not 0: whoever has no capabilities, as the zygote, may not map a 0 into a namespace below.
    """
    for name, text in (("setgroups", "deny"), ("uid_map", f"{_TOOL_USER} {user} 1"), ("gid_map", f"{_TOOL_USER} {group} 1")):
        file = os.open(f"self/{name}", os.O_WRONLY, dir_fd=proc_fd)
        os.write(file, text.encode())
        os.close(file)


def _outlive(setup: Setup, warden: int, lifeline: int, status_reader: int) -> bytes:
    """Wait until the warden ends or the server lets go; end whatever is left."""
    readable, _, _ = select.select([lifeline, status_reader], [], [])
    if not setup.limits.contained:
        _kill_group(warden)
    elif lifeline in readable:
        os.kill(warden, signal.SIGKILL)
    # The first process of a namespace is gone when all others are.
    os.waitpid(warden, 0)
    return os.read(status_reader, 4096)


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        # It has not become a leader yet.
        os.kill(leader, signal.SIGKILL)


def refuse(lifeline: int, failure: OSError) -> None:
    """Report why a call has no supervisor."""
    _send(lifeline, _failed(failure))


def _failed(failure: BaseException) -> bytes:
    return json.dumps({"failed": f"{type(failure).__name__}: {failure}"}).encode()


def _send(lifeline: int, report: bytes) -> None:
    with socket.socket(fileno=lifeline) as server:
        try:
            server.send(report, getattr(socket, "MSG_NOSIGNAL", 0))
        except OSError:
            return  # The server has let go.


def _guard(setup: Setup, status_writer: int, channels: tuple[int, int, int]) -> NoReturn:
    """Be the first process of the cell: start the tool, bury what it leaves, watch the memory."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    cause = None
    status = 0
    try:
        if setup.limits.contained:
            kernel.die_with_parent()
            root.furnish_cell(temp_bytes=setup.limits.temp_bytes, with_proc=setup.has_proc)
            kernel.give_up_privileges()
            kernel.set_dumpable(dumpable=False)
        # Whatever ends from here on is kept until it is waited for.
        signal.pthread_sigmask(signal.SIG_BLOCK, _CHILD_ENDED)
        child = os.fork()
        if child == 0:
            _become_tool(setup, channels)
        for descriptor in channels:
            os.close(descriptor)
        status, cause = _watch(setup, child)
        report = json.dumps({"status": status, "cause": cause}).encode()
    except BaseException as failure:  # noqa: BLE001 - the supervisor waits for a report, whatever happened
        report = _failed(failure)
    os.write(status_writer, report)
    os._exit(0)


def _watch(setup: Setup, child: int) -> tuple[int, str | None]:
    """Wait for the tool's own process. Return its status, and what it was stopped for."""
    next_look = time.monotonic() + _WATCH_SECONDS
    while True:
        ended, status = os.waitpid(-1, os.WNOHANG)
        if ended == child:
            return status, None
        if setup.has_proc and time.monotonic() >= next_look:
            if _memory_in_use() > setup.limits.memory_bytes:
                return 0, "memory"
            next_look = time.monotonic() + _WATCH_SECONDS
        if not ended:
            signal.sigtimedwait(_CHILD_ENDED, _WATCH_SECONDS)


def _memory_in_use() -> int:
    return sum(_memory_of(process) for process in _processes())


def _processes() -> Iterator[str]:
    return (path.name for path in Path("/proc").iterdir() if path.name.isdecimal() and path.name != "1")


def _memory_of(process: str) -> int:
    """Return a process's share of the memory that it uses."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    except (OSError, ValueError):
        pass
    try:
        # A process can hide its maps, not its size: then what it shares is counted as well.
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0


def _become_tool(setup: Setup, channels: tuple[int, int, int]) -> NoReturn:
    """Take the tool's descriptors and limits, and run it."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _CHILD_ENDED)
    _take_descriptors(*channels)
    if setup.limits.contained:
        kernel.set_dumpable(dumpable=True)
        os.nice(_NICENESS)
    _set_limits(setup)
    tool.main(_CHANNEL, setup.limits)


def _take_descriptors(channel: int, out: int, err: int) -> None:
    # Out of the way of their own places, however few descriptors this process may have.
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, _CHANNEL + 1) for descriptor in (channel, out, err)]
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    for place, descriptor in ((_CHANNEL, high[0]), (1, high[1]), (2, high[2])):
        os.dup2(descriptor, place)
    os.closerange(_CHANNEL + 1, 65536)
    os.set_inheritable(_CHANNEL, False)  # noqa: FBT003 - positional only


def _set_limits(setup: Setup) -> None:
    limits = setup.limits
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
    }
    if limits.contained:
        # Counted for each user namespace: it is this cell's. Uncontained, it would count everything of the server's user.
        wanted[resource.RLIMIT_NPROC] = limits.processes + _SELF_MADE
        wanted[resource.RLIMIT_MSGQUEUE] = 0
    if setup.address_space:
        wanted[resource.RLIMIT_AS] = setup.address_space + limits.memory_bytes
    for name, value in wanted.items():
        _, hard = resource.getrlimit(name)
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (most, most))
    # The first limit is a signal that says why, the second one cannot be ignored.
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 1))


def rehearse(setup: Setup) -> str | None:
    """Go through a call without a tool. Return what went wrong."""
    lifeline, its_lifeline = socket.socketpair()
    channel, its_channel = socket.socketpair()
    out, its_out = os.pipe()
    supervisor = os.fork()
    if supervisor == 0:
        lifeline.close()
        channel.close()
        supervise(setup, [its_lifeline.detach(), its_channel.detach(), its_out, os.dup(its_out)], network=False)
    for end in (its_lifeline, its_channel, channel):
        end.close()
    os.close(its_out)
    report = json.loads(lifeline.recv(4096) or '{"failed": "it ended without a report"}')
    lifeline.close()
    os.close(out)
    os.waitpid(supervisor, 0)
    return report.get("failed") or (f"status {report['status']}" if report["status"] else None)
