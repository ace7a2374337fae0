"""The standard streams of a command: a reader that has left ends it well, a disk that is full in one line."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from rich.console import Console
from typer.core import TyperGroup

from letta_grpc.cli.exits import Exit


class Commands(TyperGroup):
    """All commands, each of which ends as `output_checked` says."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:  # noqa: ANN401 - typer's own types
        """Read the arguments; asked for help, print it."""
        with output_checked():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as above
        """Run the command."""
        with output_checked():
            return super().invoke(ctx)


class PipedConsole(Console):
    """A console that leaves it to `output_checked` what a closed pipe means."""

    def on_broken_pipe(self) -> NoReturn:
        """Say so."""
        raise BrokenPipeError


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
