"""System calls that no tool needs, and that attacks on the kernel or on the limits do.

Namespaces already take most of their effect away; refused here, their code in the kernel is out of reach as well.
"""

import ctypes
import platform
import struct

from . import kernel

_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_ALLOW = 0x7FFF0000
_KILL = 0x80000000
_REFUSE = 0x00050000
_EPERM = 1
_ENOSYS = 38
_EAFNOSUPPORT = 97

_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
# Offsets in struct seccomp_data.
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16

_NEW_NAMESPACES = 0x7E020000
_CLONE3 = 435
# x86-64 programs reach a second table of calls by this bit. No real number is as high.
_X32_BIT = 0x40000000
# Of other families some are in no network namespace, as AF_VSOCK, which reaches the machine's host; none is of use to a tool.
_FAMILIES = (1, 2, 10, 16)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK

# In both columns: kernel memory that no limit counts (memfd, System V), other processes' memory, mounts and namespaces,
# keys, tracing, modules, clocks.
_SAME = (*range(425, 434), 442, 447)  # io_uring_*, open_tree, move_mount, fsopen…fspick, mount_setattr, memfd_secret
_X86_64 = (
    *(29, 64, 68, 319),  # shmget, semget, msgget, memfd_create
    *(101, 310, 311, 312, 298, 321, 323),  # ptrace, process_vm_*, kcmp, perf_event_open, bpf, userfaultfd
    *(
        155,
        161,
        165,
        166,
        272,
        308,
        303,
        304,
        300,
    ),  # pivot_root, chroot, mount, umount2, unshare, setns, *_handle_at, fanotify
    *(248, 249, 250),  # add_key, request_key, keyctl
    *(103, 163, 167, 168, 169, 175, 176, 179, 246, 313, 320),  # syslog, acct, swap*, reboot, *_module, quotactl, kexec_*
    *(159, 164, 227, 305),  # clocks
)
_AARCH64 = (
    *(194, 190, 186, 279),
    *(117, 270, 271, 272, 241, 280, 282),
    *(41, 51, 40, 39, 97, 268, 264, 265, 262),
    *(217, 218, 219),
    *(116, 89, 224, 225, 142, 105, 106, 60, 104, 273, 294),
    *(171, 170, 112, 266),
)
# The architecture, clone, socket and socketpair, what is refused.
_TABLES = {"x86_64": (0xC000003E, 56, (41, 53), _X86_64), "aarch64": (0xC00000B7, 220, (198, 199), _AARCH64)}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def refuse_dangerous_calls() -> None:
    """Refuse them to this process and all that it starts. Does nothing on a machine whose numbers are not known here."""
    table = _TABLES.get(platform.machine())
    if table is None:
        return
    code = _assemble(*table)
    program = _Program(length=len(code) // 8, instructions=code)
    mode = ctypes.c_ulong(_SECCOMP_MODE_FILTER)
    # A kernel without filters says so; the namespaces hold without them.
    kernel.libc().prctl(ctypes.c_int(_PR_SET_SECCOMP), mode, ctypes.byref(program), ctypes.c_ulong(0), ctypes.c_ulong(0))


def _assemble(architecture: int, clone: int, sockets: tuple[int, int], refused: tuple[int, ...]) -> bytes:
    code = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_IF_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        *_when(_IF_AT_LEAST, _X32_BIT, _REFUSE | _ENOSYS),
        # Its flags are in memory, out of a filter's sight. The C library then uses clone.
        *_when(_IF_EQUAL, _CLONE3, _REFUSE | _ENOSYS),
    ]
    for number in (*_SAME, *refused):
        code += _when(_IF_EQUAL, number, _REFUSE | _EPERM)
    of_a_family = [
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        *(step for family in _FAMILIES for step in _when(_IF_EQUAL, family, _ALLOW)),
        (_RETURN, 0, 0, _REFUSE | _EAFNOSUPPORT),
    ]
    code += [
        (_IF_EQUAL, 1, 0, sockets[0]),
        (_IF_EQUAL, 0, len(of_a_family), sockets[1]),
        *of_a_family,
        (_IF_EQUAL, 0, 3, clone),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        *_when(_IF_ANY_BIT, _NEW_NAMESPACES, _REFUSE | _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def _when(test: int, value: int, verdict: int) -> list[tuple[int, int, int, int]]:
    return [(test, 0, 1, value), (_RETURN, 0, 0, verdict)]
