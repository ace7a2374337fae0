"""A server of one's own, as a process beside the command."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

STOP_SECONDS = 30


@contextmanager
def embedded_server(database: str) -> Iterator[str]:
    """Run a server on a free loopback port; give its address, and stop it at the end. Exits with its code if it cannot start.

    A process of its own, in a group of its own: Ctrl-C is for the conversation and must not reach the server. Its stdin is its
    life line: that ends together with this process, and no signal that ends this one can keep it from it.
    """
    flags = ["--until-stdin-ends", "--listen", "127.0.0.1:0", "--database", database, "--log-level", "error"]
    command = [sys.executable, "-m", "letta_grpc", "serve", *flags]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, process_group=0) as process:  # noqa: S603 - ourselves
        line = process.stdout.readline() if process.stdout else ""
        if not line.startswith("listening grpc="):
            raise typer.Exit(process.wait())
        try:
            yield line.strip().removeprefix("listening grpc=")
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)
