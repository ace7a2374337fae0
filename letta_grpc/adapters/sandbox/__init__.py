"""Tools that people wrote, in Linux namespaces: `NamespaceSandbox`.

    server process                      │ inside/: an interpreter of its own, loaded by path
    namespaces.py  the port             │ zygote.py     warm, forks one cell a call
    warm_process.py  starts the zygote  │ cell.py       namespaces, limits, the watch over them
    calls.py       one call's channels  │ root.py       the file system that a tool sees
    output.py      what a tool writes   │ filter.py     system calls that it does not get
    endings.py     how it ended         │ tool.py       the job itself; signature.py, rendering.py

Whatever comes from the right side once a tool runs is untrusted: it has a size and is checked before it is used.
"""

from letta_grpc.adapters.sandbox.namespaces import NamespaceSandbox

__all__ = ["NamespaceSandbox"]
