"""How many connections a serving process may have."""

import resource
from contextlib import suppress

# Each connection is an open file. Not all that a system would give: programs that are run from here inherit the limit.
_OPEN_FILES = 65_536


def allow_many_connections() -> None:
    """Raise the limit on open files, of which most systems let a process use only 1024 until it asks for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _OPEN_FILES:
        wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
        # Some systems have another limit behind this one.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
