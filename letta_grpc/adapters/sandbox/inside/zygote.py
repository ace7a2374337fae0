"""The warm process that every call is forked from. It never runs a tool's code itself.

    server ── launcher ── zygote (first process of its own namespaces) ── one supervisor a call ── see cell.py

The server holds the other end of `control`: one byte and four descriptors come for each call. Its end is the zygote's
end, and with the zygote the kernel ends every process below it.
"""

import gc
import importlib
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from . import cell, kernel, root
from .limits import Limits

# The kernel's own number for nobody, where the server is root: files of root's stay closed to tools, and the limit
# on processes, which does not hold for root, holds.
_NOBODY = 65534
_WARM = (
    *(
        "asyncio",
        "base64",
        "collections",
        "csv",
        "dataclasses",
        "datetime",
        "decimal",
        "email",
        "enum",
        "functools",
        "hashlib",
    ),
    *("html", "http.client", "inspect", "io", "itertools", "json", "linecache", "logging", "math", "pathlib", "random", "re"),
    *("sqlite3", "statistics", "string", "subprocess", "tempfile", "textwrap", "threading", "time", "traceback", "types"),
    *("typing", "urllib.parse", "urllib.request", "uuid", "zoneinfo", "pydantic", "pydantic_core", "docstring_parser"),
    *("inside.tool", "inside.signature"),
)
_NAMESPACES = (
    kernel.CLONE_NEWUSER
    | kernel.CLONE_NEWNS
    | kernel.CLONE_NEWPID
    | kernel.CLONE_NEWIPC
    | kernel.CLONE_NEWUTS
    | kernel.CLONE_NEWCGROUP
)
NETWORK_ALLOWED = b"1"
NETWORK_REFUSED = b"0"


def main(limits_json: str, control_fd: str) -> None:
    """Serve calls until the server's end of the control socket is closed."""
    limits = Limits.from_json(limits_json)
    # A server that was killed leaves a broken socket, and its stderr, where a traceback would be taken for its last words.
    with socket.socket(fileno=int(control_fd)) as control, suppress(ConnectionError):
        try:
            setup = _settle(limits, control)
            for name in _WARM:
                importlib.import_module(name)
            _warm_up()
            setup = _close_doors(setup)
        except BaseException as failure:  # noqa: BLE001 - whatever it is, the server must learn why there are no tools
            control.sendall(f"failed {type(failure).__name__}: {failure}\n".encode())
            sys.exit(1)
        control.sendall(b"ready\n")
        _serve(setup, control)


def probe(limits_json: str) -> None:
    """Try everything that a call needs, without a tool. Exit with the reason if it does not work."""
    limits = Limits.from_json(limits_json)
    ours, theirs = socket.socketpair()
    try:
        setup = _close_doors(_settle(limits, theirs))
        outcome = cell.rehearse(setup)
    except OSError as failure:
        sys.exit(str(failure))
    ours.close()
    theirs.close()
    sys.exit(outcome)


def _settle(limits: Limits, control: socket.socket) -> cell.Setup:
    """Become the first process of new namespaces, in a child; this process then only waits for it."""
    if not limits.contained:
        return cell.Setup(limits=limits)
    as_nobody = _enter_namespaces()
    child = os.fork()
    if child:
        control.close()
        _wait_like(child)
    return cell.Setup(limits=limits, proc_fd=os.open("/proc", os.O_RDONLY | os.O_DIRECTORY), as_nobody=as_nobody)


def _warm_up() -> None:
    """Go through a call once with a source of our own: what is made on first use is then there."""
    signature = importlib.import_module("inside.signature")
    rendering = importlib.import_module("inside.rendering")
    name, function = signature.find_function(
        "def add(a: int, b: list[str] = []) -> str:\n    '''Add.\n\n    Args:\n        a: A.\n    '''", "add"
    )
    signature.describe(name, function)
    signature.bind(function, '{"a": 1}')
    rendering.text_of({"a": 1}, 100)


def _close_doors(setup: cell.Setup) -> cell.Setup:
    """Leave the server's file system and its user behind."""
    setup = replace(setup, address_space=_address_space())
    if setup.limits.contained:
        setup = replace(setup, has_proc=root.build())
        if setup.as_nobody:
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        kernel.give_up_privileges()
        # Changing the user closed /proc/self of this process, where its children describe their users.
        kernel.set_dumpable(dumpable=True)
        # Changing the user would have cleared this, too.
        kernel.die_with_parent()
    gc.collect()
    gc.freeze()  # What is alive now is never collected: a fork shares it instead of copying it.
    return setup


def _address_space() -> int:
    """Return how much address space this process has taken, 0 if the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def _serve(setup: cell.Setup, control: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Nobody waits for supervisors: the kernel buries them.
    _leave_the_terminal_to_the_server()
    while True:
        order, descriptors, _, _ = socket.recv_fds(control, 1, 4)
        if not order:
            return
        try:
            child = os.fork()
        except OSError as failure:  # There is no room for another process now: only this call's affair.
            cell.refuse(descriptors.pop(0), failure)
        else:
            if child == 0:
                control.close()
                cell.supervise(setup, descriptors, network=order == NETWORK_ALLOWED)
        for descriptor in descriptors:
            os.close(descriptor)


def _enter_namespaces() -> bool:
    """Enter new namespaces with every power over them. Return whether nobody is there as well, to become later."""
    user, group = os.geteuid(), os.getegid()
    with _mapped_by_a_child() as write_maps:
        kernel.unshare(_NAMESPACES)
        as_nobody = user == 0 and write_maps()
    if not as_nobody:
        proc_fd = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
        cell.map_user(proc_fd, user=user, group=group)
        os.close(proc_fd)
    kernel.libc().sethostname(b"sandbox", 7)
    return as_nobody


@contextmanager
def _mapped_by_a_child() -> Iterator[Callable[[], bool]]:
    """Give what maps two users from outside of the new user namespace: from inside, only one can be."""
    ours, theirs = socket.socketpair()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        ours.close()
        os._exit(_map_two_users(theirs, parent))
    theirs.close()

    def write_maps() -> bool:
        ours.sendall(b"w")
        return ours.recv(1) == b"y"

    with ours:
        yield write_maps
        ours.shutdown(socket.SHUT_WR)
        os.waitpid(child, 0)


def _map_two_users(orders: socket.socket, process: int) -> int:
    if not orders.recv(1):
        return 0
    try:
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{process}/{name}").write_text(f"0 0 1\n{_NOBODY} {_NOBODY} 1\n", encoding="ascii")
    except OSError:
        return 1
    orders.sendall(b"y")
    return 0


def _wait_like(child: int) -> NoReturn:
    """Wait for the zygote and end as it did."""
    _leave_the_terminal_to_the_server()
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _leave_the_terminal_to_the_server() -> None:
    """Let Ctrl-C, and the terminal's end, be the server's to answer: it has calls to drain first."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
