"""The standard streams of a command: a reader that has left ends it well, a disk that is full in one line."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from letta_grpc.cli.exits import Exit


@contextmanager
def output_checked() -> Iterator[None]:
    """Exit with 0 when nobody reads any more, as `| head` does, and with 1 and one line when what is printed has no room."""
    try:
        try:
            yield
        finally:
            # Here and not as the interpreter ends, where it would be too late to say anything.
            sys.stdout.flush()
    except BrokenPipeError as error:
        _discard_output()
        raise typer.Exit(Exit.OK) from error
    except OSError as error:
        # A TimeoutError of asyncio's is one as well, but without a number: that is for whoever looks for the fault.
        if error.errno is None:
            raise
        _discard_output()
        where = f": {error.filename}" if error.filename else ""
        typer.echo(f"letta-grpc: {error.strerror}{where}", err=True)
        raise typer.Exit(Exit.FAILED) from error


def _discard_output() -> None:
    """Let the interpreter throw away at its end what it still has to write."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
