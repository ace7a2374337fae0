"""`letta-grpc`, and `python -m letta_grpc`."""

import io
import os
import signal
import sys
from typing import TextIO

from letta_grpc.cli.missing import stop_for_lack_of
from letta_grpc.cli.signals import end_at_once_on, ended_at_once_by_interrupts

_LAST_STANDARD = 2


def main() -> None:
    """Run the command line; say what to install where its packages are missing."""
    # Until a server drains on it, which takes it seconds to be able to.
    end_at_once_on(signal.SIGTERM)
    settle_grpc()
    settle_streams()
    with ended_at_once_by_interrupts():
        try:
            from letta_grpc.cli.program import program  # noqa: PLC0415 - the base install has none of what this needs
        except ModuleNotFoundError as missing:
            stop_for_lack_of(missing)
    program()


def settle_grpc() -> None:
    """Say to grpc's C core, which reads it on first use, how this program uses it."""
    # It would write notes of its own between the lines that people and scripts read.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # uvloop forks where asyncio would use vfork. In a child grpc would start its threads again, in the moment before the child
    # becomes another program; one time in twenty they crash there: sandboxes and MCP servers would die as they start.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")


def settle_streams() -> None:
    """Have what one side of a pipe cannot read or show replaced: a question mark in an answer is better than no answer.

    A stream that is closed becomes one to nowhere. Its number would go to the next file that is opened, the database maybe,
    and what a library says on it would be written there.
    """
    while (nowhere := os.open(os.devnull, os.O_RDWR)) <= _LAST_STANDARD:
        os.set_inheritable(nowhere, True)  # noqa: FBT003 - the name of the function says it
    os.close(nowhere)
    sys.stdin, sys.stdout, sys.stderr = (
        sys.stdin or _to_nowhere("r"),
        sys.stdout or _to_nowhere("w"),
        sys.stderr or _to_nowhere("w"),
    )
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _to_nowhere(mode: str) -> TextIO:
    return io.TextIOWrapper(io.FileIO(os.devnull, mode))


if __name__ == "__main__":
    main()
