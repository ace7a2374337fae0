"""`letta-grpc conformance`."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer

from letta_grpc.cli.signals import ending_signals
from letta_grpc.conformance import CASES, Case, text_of
from letta_grpc.conformance import serving as serving_cases

conformance = typer.Typer(
    name="conformance", help="Test a client of any language against a server that breaks what can break.", no_args_is_help=True
)

Listen = Annotated[str, typer.Option("--listen", help="Address to serve gRPC on; port 0 picks one.")]


@conformance.command()
def serve(listen: Listen = "127.0.0.1:0") -> None:
    """Serve the cases: an agent's id is the name of a case.

    Prints one line on stdout once it accepts calls: listening grpc=127.0.0.1:50051.
    """
    asyncio.run(_serve(CASES, listen))


@conformance.command()
def cases() -> None:
    """Print the cases as JSON: what the server does, and what a program must print."""
    typer.echo(text_of(CASES), nl=False)


async def _serve(served: Sequence[Case], listen: str) -> None:
    stop = asyncio.Event()
    for number in ending_signals():
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving_cases(served, listen) as address:
        typer.echo(f"listening grpc={address}")
        await stop.wait()
