"""The file system that tools see: the interpreter, the system's libraries, nothing of the server's.

The mounts are made once, by the zygote. A cell only adds its own folder and /proc.
"""

# Paths are texts here, most of them below a root that is not entered yet, and /tmp is the sandbox's own.
# ruff: noqa: PTH103, PTH110, PTH112, PTH113, PTH114, PTH115, PTH118, PTH120, PTH211, S108

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from . import kernel

# Not /usr as a whole: images keep applications in /usr/src and /usr/local.
_SYSTEM = (
    *("/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/share"),
    *("/bin", "/sbin", "/lib", "/lib32", "/lib64"),
    *("/etc/alternatives", "/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/ld.so.cache", "/etc/localtime"),
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
# Needed to find hosts, where the network is allowed.
_COPIED = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/services")
_STUBS = {
    "/etc/passwd": "tool:x:1000:1000:tool:/tmp:/bin/sh\n",
    "/etc/group": "tool:x:1000:\n",
}
_LINKS = {"/dev/fd": "/proc/self/fd", "/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2"}


def interpreter_paths() -> list[str]:
    """Return where this interpreter, its standard library and its installed packages are."""
    homes = {
        sys.prefix,
        sys.exec_prefix,
        sys.base_prefix,
        sys.base_exec_prefix,
        *map(os.path.realpath, (sys.prefix, sys.base_prefix)),
    }
    paths = [os.path.join(home, part) for home in sorted(homes) for part in ("bin", "lib", "lib64", "pyvenv.cfg")]
    return [path for path in paths if not path.startswith(("/usr/bin", "/usr/lib"))]


def own_folder() -> str:
    """Return where a call's own folder is: /tmp, unless that would hide the interpreter."""
    return "/sandbox" if any(path.startswith("/tmp/") for path in interpreter_paths()) else "/tmp"


def build() -> bool:
    """Make the minimal root and enter it. Return whether it has a /proc.

    The caller is the first process of its own user, mount and process namespaces.
    """
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    texts = {path: Path(path).read_text(encoding="utf-8") for path in _COPIED if os.path.isfile(path)} | _STUBS
    sources = _open_sources([*_SYSTEM, *interpreter_paths(), *_DEVICES])
    root = "/tmp"
    kernel.mount("tmpfs", root, "tmpfs", kernel.MS_NOSUID, "mode=0755,size=4m")
    for path, source in sources.items():
        _bring(path, source, root)
    for path, text in texts.items():
        Path(_make_parent(root + path)).write_text(text, encoding="utf-8")
    for path, target in {"/dev/shm": own_folder(), **_LINKS}.items():
        os.symlink(target, _make_parent(root + path))
    os.makedirs(root + own_folder(), exist_ok=True)
    has_proc = _mount_proc(f"{root}/proc")
    kernel.enter_root(root)
    kernel.restrict_mount("/", kernel.ATTR_READ_ONLY, recursive=False)
    return has_proc


def _open_sources(paths: Iterable[str]) -> dict[str, int | str]:
    """Open what there is of the paths, before the mount point hides some of it. A symbolic link is its target's name."""
    found: dict[str, int | str] = {}
    for path in paths:
        if os.path.islink(path) and os.path.dirname(path) == "/":
            found[path] = os.readlink(path)
        elif os.path.exists(path):
            found[path] = os.open(path, os.O_PATH | os.O_CLOEXEC)
    return found


def _bring(path: str, source: int | str, root: str) -> None:
    target = _make_parent(root + path)
    if isinstance(source, str):
        os.symlink(source, target)
        return
    if os.path.isdir(f"/proc/self/fd/{source}"):
        os.makedirs(target, exist_ok=True)
    else:
        Path(target).touch()
    kernel.mount(f"/proc/self/fd/{source}", target, flags=kernel.MS_BIND | kernel.MS_REC)
    os.close(source)
    device = path in _DEVICES
    kernel.restrict_mount(target, kernel.ATTR_NOSUID | (0 if device else kernel.ATTR_READ_ONLY | kernel.ATTR_NODEV))


def _make_parent(path: str) -> str:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path


def _mount_proc(target: str) -> bool:
    os.makedirs(target)
    try:
        kernel.mount("proc", target, "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    except OSError:
        # Where parts of /proc are hidden, as in many containers, a new one would show them: the kernel forbids it.
        return False
    return True


def furnish_cell(*, temp_bytes: int, with_proc: bool) -> None:
    """Add what a call has for itself: an empty folder and a /proc that shows its own processes only."""
    data = f"mode=0700,size={temp_bytes},nr_inodes=8192"
    kernel.mount("tmpfs", own_folder(), "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, data)
    if with_proc:
        kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    os.chdir(own_folder())
