"""The server that commands call: which one, with which key, and what happens when it refuses."""

import asyncio
import inspect
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar

import grpc
import typer

from letta_grpc.cli.exits import Exit
from letta_grpc.cli.rendering import visible
from letta_grpc.client import (
    ApprovalPending,
    AsyncClient,
    DeadlineExceeded,
    InvalidRequest,
    LettaError,
    NotFound,
    PermissionDenied,
    RetryPolicy,
    ServerUnavailable,
    Unauthenticated,
)
from letta_grpc.client.dialing import address_in

R = TypeVar("R")
DEFAULT_TARGET = "127.0.0.1:50051"
# Whoever sits before a terminal wants to know within a second that there is no server. Streams are as patient as ever.
PATIENCE = RetryPolicy(call_attempts=4)
# Shorter waits for a server are over before they are read of.
_TOLD_SECONDS = 1.0


def _check_target(target: str) -> str:
    if not target or not target.isprintable():
        raise typer.BadParameter("it is a server's address, host:port")
    if (address := address_in(target)) is not None:
        raise typer.BadParameter(f"{target} is a URL: say {address or 'host:port'}, where gRPC is served, and --tls for TLS")
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


def _check_authority(file: Path | None) -> Path | None:
    if file is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
        except ssl.SSLError as error:
            raise typer.BadParameter(f"{file} holds no certificate in PEM") from error
    return file


Tls = Annotated[bool, typer.Option("--tls", help="Speak TLS, with the system's trusted roots.")]
TlsCa = Annotated[
    Path | None,
    typer.Option(
        "--tls-ca",
        exists=True,
        dir_okay=False,
        metavar="FILE",
        help="PEM file of the authority to trust in place of the system's roots; it turns TLS on.",
        callback=_check_authority,
    ),
]
Agent = Annotated[str, typer.Argument(help="The agent's id, agent-…, or its name.")]
RunId = Annotated[str, typer.Argument(help="The run's id, run-….")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line, for scripts.")]


# False for plain text, True for TLS with the system's roots, or credentials.
Security = bool | grpc.ChannelCredentials


def security(tls: bool, authority: Path | None) -> Security:  # noqa: FBT001 - a flag's value
    """Return how --tls and --tls-ca have a channel secured."""
    return grpc.ssl_channel_credentials(authority.read_bytes()) if authority else tls


@dataclass(frozen=True, slots=True)
class Server:
    """The server to call, as a command's flags say it."""

    target: Target = DEFAULT_TARGET
    api_key: ApiKey = ""
    tls: Tls = False
    tls_ca: TlsCa = None

    @property
    def security(self) -> Security:
        """How a channel to it is secured."""
        return security(self.tls, self.tls_ca)


def with_server(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command that takes a `server` the flags that say which, in its place among the others."""
    flags = [flag.replace(kind=flag.KEYWORD_ONLY) for flag in inspect.signature(Server).parameters.values()]

    @wraps(command)
    def run(**given: Any) -> R:  # noqa: ANN401 - the signature below says what is in it
        server = Server(**{flag.name: given.pop(flag.name) for flag in flags})
        return command(**given, server=server)

    own = inspect.signature(command).parameters.values()
    # Typer reads a command's signature.
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # functions allow it
        [each for taken in own for each in (flags if taken.name == "server" else [taken])]
    )
    return run


@asynccontextmanager
async def calling(server: Server) -> AsyncIterator[AsyncClient]:
    """Open a client of a server; its failures become one line on stderr and an exit code."""
    with failures_told(server.target):
        key = server.api_key or None
        async with AsyncClient(
            server.target, api_key=key, tls=server.security, retry=PATIENCE, sleep=_sleep_and_tell
        ) as client:
            yield client


def tell_of_wait(seconds: float, before: str = "") -> None:
    """Say that a stream is about to wait for the server: it may do so for two minutes."""
    if seconds >= _TOLD_SECONDS:
        # Which of them it is, a client does not say here.
        told = f"the server is out of reach, or has no room now; trying again in {seconds:.0f} s"
        typer.echo(f"{before}letta-grpc: {told}", err=True)


async def _sleep_and_tell(seconds: float) -> None:
    tell_of_wait(seconds)
    await asyncio.sleep(seconds)


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
        typer.echo(_advice(error.message.lower(), target), err=True)
    return typer.Exit(_exit_of(error))


def _exit_of(error: LettaError) -> Exit:
    match error:
        case ServerUnavailable() | DeadlineExceeded():
            return Exit.UNAVAILABLE
        case NotFound():
            return Exit.NOT_FOUND
        case Unauthenticated() | PermissionDenied():
            return Exit.DENIED
        case InvalidRequest():
            return Exit.USAGE
        case ApprovalPending():
            return Exit.WAITING
        case _:
            return Exit.FAILED


def _advice(said: str, target: str) -> str:
    """Return what may help who does not reach a server; grpc has only words for why."""
    # Not "certificate" alone: of a server without TLS it is said that there is none to look at.
    if "certificate_verify_failed" in said:
        return f"The certificate of {target} is not trusted: --tls-ca names the authority that signed it."
    if "hostname verification" in said:
        return f"The certificate is of another name than {target}."
    if "http1.x server" in said:
        return (
            f"What answers at {target} speaks HTTP/1.1: `serve` has one address for that, --http, and one for gRPC, --listen."
        )
    if "handshake" in said:
        return f"Does the server at {target} speak TLS? If not, leave --tls out."
    # So does a server of TLS end what speaks plain text; one that goes away ends it so as well.
    if "socket closed" in said:
        return f"Is a server running at {target}? If it speaks TLS, say --tls, or --tls-ca."
    return f"Is a server running at {target}? `letta-grpc serve` starts one; --target names another."


def asynchronous(command: Callable[..., Coroutine[object, object, Exit]]) -> Callable[..., None]:
    """Make a command of a coroutine function, which takes a `server` and returns the code to exit with."""

    @with_server
    @wraps(command)
    def run(**given: Any) -> None:  # noqa: ANN401 - what the command takes
        try:
            code = asyncio.run(command(**given))
        except KeyboardInterrupt:
            code = Exit.INTERRUPTED
        raise typer.Exit(code)

    return run
