"""The server that commands call: which one, with which key, and what happens when it refuses."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated

import typer

from letta_grpc.cli.exits import Exit, exit_of
from letta_grpc.cli.rendering import visible
from letta_grpc.client import AsyncClient, LettaError, RetryPolicy, ServerUnavailable

DEFAULT_TARGET = "127.0.0.1:50051"
# Whoever sits before a terminal wants to know within a second that there is no server. Streams are as patient as ever.
PATIENCE = RetryPolicy(call_attempts=4)


def _check_target(target: str) -> str:
    if not target or not target.isprintable():
        raise typer.BadParameter("it is a server's address, host:port")
    return target


def _check_key(key: str) -> str:
    if not key.isascii() or not key.isprintable():
        raise typer.BadParameter("a key has printable ASCII characters alone")
    return key


Target = Annotated[
    str,
    typer.Option("--target", envvar="LETTA_GRPC_TARGET", help="Server to call, host:port.", callback=_check_target),
]
ApiKey = Annotated[
    str,
    typer.Option("--api-key", envvar="LETTA_GRPC_TARGET_API_KEY", help="Key to show to the server.", callback=_check_key),
]
Tls = Annotated[bool, typer.Option("--tls", help="Speak TLS, with the system's trusted roots.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line, for scripts.")]


@asynccontextmanager
async def calling(target: str, api_key: str, *, tls: bool) -> AsyncIterator[AsyncClient]:
    """Open a client; its failures become one line on stderr and an exit code."""
    with failures_told(target):
        async with AsyncClient(target, api_key=api_key or None, tls=tls, retry=PATIENCE) as client:
            yield client


@contextmanager
def failures_told(target: str) -> Iterator[None]:
    """Turn a client's failures into one line on stderr and an exit code."""
    try:
        yield
    except LettaError as error:
        raise _refused(error, target) from error
    except UnicodeEncodeError as error:
        # An argument's bytes that are no text; Python carries them through as surrogates.
        given = error.object.encode(errors="backslashreplace").decode()
        raise typer.BadParameter(f"not UTF-8: {visible(given)}") from error


def _refused(error: LettaError, target: str) -> typer.Exit:
    """Say what the server refused; return the exit that it means."""
    typer.echo(f"letta-grpc: {visible(str(error))}", err=True)
    if isinstance(error, ServerUnavailable):
        typer.echo(f"Is a server running at {target}? `letta-grpc serve` starts one; --target names another.", err=True)
    return typer.Exit(exit_of(error))


def complete(command: Coroutine[object, object, Exit]) -> None:
    """Run a command to its end and exit with its code."""
    try:
        code = asyncio.run(command)
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    raise typer.Exit(code)


def pair(given: str) -> tuple[str, str]:
    """Return the two halves of NAME=VALUE."""
    name, separator, value = given.partition("=")
    if not separator:
        raise typer.BadParameter(f"{given} is no NAME=VALUE")
    return name, value
