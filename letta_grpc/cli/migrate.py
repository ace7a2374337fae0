"""`letta-grpc migrate`."""

from typing import Any

import typer

from letta_grpc.cli.exits import Exit
from letta_grpc.cli.flags import read_settings, with_settings


@with_settings("database")
def migrate(**flags: Any) -> None:  # noqa: ANN401 - `with_settings` says what is in it
    """Bring a database to this version's schema. `serve` does it by itself; this does it while nothing is served."""
    from letta_grpc import app  # noqa: PLC0415 - only the commands that touch a database pay for loading it

    settings = read_settings(flags)
    try:
        told = app.migrate(settings)
    except app.StartupError as error:
        typer.echo(f"letta-grpc: {error.message}", err=True)
        raise typer.Exit(Exit.CANNOT_START) from error
    typer.echo(f"{told} is up to date")
