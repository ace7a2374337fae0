"""The calls of Linux that Python 3.11 has no name for."""

import ctypes
import os
from collections.abc import Callable
from functools import cache
from typing import Any

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
_MNT_DETACH = 0x2

ATTR_READ_ONLY = 0x1
ATTR_NOSUID = 0x2
ATTR_NODEV = 0x4
_AT_RECURSIVE = 0x8000
_AT_FDCWD = -100
# One of the numbers that all architectures share. Kernels before 5.12 do not know it.
_SYS_MOUNT_SETATTR = 442

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITIES = 64
_CAPABILITY_VERSION_3 = 0x20080522


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilitySets(ctypes.Structure):
    _fields_ = (("words", ctypes.c_uint32 * 6),)


@cache
def libc() -> ctypes.CDLL:
    """Return the C library that the interpreter is linked with."""
    return ctypes.CDLL(None, use_errno=True)


def _checked(call: Callable[..., int], *arguments: Any) -> None:  # noqa: ANN401 - whatever ctypes takes
    if call(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call.__name__}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Move this process (for CLONE_NEWPID: its children) into new namespaces."""
    _checked(libc().unshare, ctypes.c_int(flags))


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Attach a file system to the tree of files."""
    encoded = (source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())
    _checked(libc().mount, *encoded)


def restrict_mount(target: str, attributes: int, *, recursive: bool = True) -> None:
    """Add attributes to a mount and to those below it. They can only be added: what was locked stays as it is."""
    wanted = _MountAttributes(attr_set=attributes)
    flags = ctypes.c_uint(_AT_RECURSIVE if recursive else 0)
    size = ctypes.c_size_t(ctypes.sizeof(wanted))
    if libc().syscall(_SYS_MOUNT_SETATTR, _AT_FDCWD, target.encode(), flags, ctypes.byref(wanted), size) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount_setattr {target}: {os.strerror(number)}")


def enter_root(directory: str) -> None:
    """Make a mounted directory the root and let go of the old one."""
    os.chdir(directory)
    _checked(libc().pivot_root, b".", b".")
    _checked(libc().umount2, b".", ctypes.c_int(_MNT_DETACH))
    os.chdir("/")


def die_with_parent() -> None:
    """Ask for SIGKILL when the parent ends."""
    prctl(_PR_SET_PDEATHSIG, 9)


def set_dumpable(*, dumpable: bool) -> None:
    """Say whether processes of the same user may look into this one."""
    prctl(_PR_SET_DUMPABLE, int(dumpable))


def prctl(option: int, value: int) -> None:
    """Change what the kernel allows this process, by an option that takes one argument."""
    zero = ctypes.c_ulong(0)
    _checked(libc().prctl, ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero)


def give_up_privileges() -> None:
    """Drop all capabilities for good, of this process and of whatever it executes."""
    for capability in range(_CAPABILITIES):
        libc().prctl(ctypes.c_int(_PR_CAPBSET_DROP), ctypes.c_ulong(capability), *[ctypes.c_ulong(0)] * 3)
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    header = _CapabilityHeader(version=_CAPABILITY_VERSION_3)
    _checked(libc().capset, ctypes.byref(header), ctypes.byref(_CapabilitySets()))
