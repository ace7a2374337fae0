"""`letta-grpc serve`."""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import uvloop

from letta_grpc.cli.exits import Exit
from letta_grpc.cli.flags import read_settings, with_settings
from letta_grpc.cli.logs import configure_logging
from letta_grpc.cli.open_files import allow_many_connections
from letta_grpc.cli.signals import end_at_once_on, ending_signals
from letta_grpc.settings import Settings

if TYPE_CHECKING:
    from letta_grpc.app import RunningServer

logger = logging.getLogger(__name__)

EPILOG = """
Prints one line on stdout once it accepts calls: listening grpc=127.0.0.1:50051, and http=http://… behind it with --http.
Logs go to stderr. SIGTERM, Ctrl-C and a terminal that is closed drain it: new runs are refused, open streams end with a status
that says to attach again, runs at work may finish. A second SIGTERM or Ctrl-C ends it at once. With --standby it waits, and
listens nowhere, while another server has the database. A server that loses PostgreSQL listens nowhere until it is back.

\b
Examples:
  letta-grpc serve
  letta-grpc serve --http 127.0.0.1:8283
  letta-grpc serve --listen 127.0.0.1:0 --database sqlite:////var/lib/letta/letta.db
  letta-grpc serve --standby --database postgresql://letta@db.example/letta
  OPENAI_API_KEY=sk-… letta-grpc serve
  LETTA_GRPC_API_KEYS=first,second letta-grpc serve --listen 0.0.0.0:50051
"""

UntilStdinEnds = Annotated[
    bool,
    typer.Option("--until-stdin-ends", hidden=True, help="Drain also when stdin ends: for who starts a server for itself."),
]


@with_settings()
def serve(*, until_stdin_ends: UntilStdinEnds = False, **flags: Any) -> None:  # noqa: ANN401 - `with_settings` says what is in it
    """Serve agents over gRPC, and over HTTP with --http, from a SQLite file or PostgreSQL."""
    settings = read_settings(flags)
    configure_logging(settings)
    # A server makes and drops objects all the time and next to no cycles: looking for them less often saves 5 % of its time.
    gc.set_threshold(20_000, 20, 50)
    # With Python's 5 ms each statement of the writer waits so long for a thread that computes, and a start is a dozen of them:
    # beside an export of 200,000 messages a run's first token took four seconds.
    sys.setswitchinterval(0.0005)
    allow_many_connections()
    raise typer.Exit(uvloop.run(_serve(settings, until_stdin_ends=until_stdin_ends)))


async def _serve(settings: Settings, *, until_stdin_ends: bool) -> Exit:
    from letta_grpc import app  # noqa: PLC0415 - only the commands that run a server pay for loading one

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        stop.set()
        # The next one ends the process at once. But for SIGHUP: a terminal that is closed sends it twice, by its shell and by
        # the system.
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            end_at_once_on(number)

    for number in ending_signals():
        loop.add_signal_handler(number, end)
    if until_stdin_ends:
        _on_end_of(sys.stdin.fileno(), end)
    try:
        await app.serve_until(stop, settings, partial(_announced, stop))
    except app.StartupError as error:
        typer.echo(f"letta-grpc: {error.message}", err=True)
        return Exit.CANNOT_START
    return Exit.OK


async def _announced(stop: asyncio.Event, server: "RunningServer") -> None:
    """Say where it serves; return when it is to end."""
    typer.echo(f"listening grpc={server.address}" + (f" http={server.http}" if server.http else ""))
    lost = server.in_process.lost
    # A relative path is found by the folder.
    place = {"database": server.in_process.database, "folder": str(Path.cwd())}
    logger.info("serving", extra={"version": version("letta-grpc"), **place})
    if warning := await asyncio.to_thread(server.in_process.tool_warning):
        logger.warning("%s", warning)
    async with asyncio.TaskGroup() as group:
        waits = [group.create_task(event.wait()) for event in (stop, lost)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
    if lost.is_set():
        logger.error("the connection to the database was lost")
    else:
        logger.info("draining")


def _on_end_of(pipe: int, end: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()

    def read() -> None:
        if not os.read(pipe, 1024):
            loop.remove_reader(pipe)
            end()

    loop.add_reader(pipe, read)
