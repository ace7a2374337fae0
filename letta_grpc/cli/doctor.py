"""`letta-grpc doctor`."""

from typing import Annotated, Any

import typer

from letta_grpc.cli.exits import Exit
from letta_grpc.cli.flags import read_settings, with_settings
from letta_grpc.cli.rendering import columns, json_text


@with_settings()
def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of what was found.")] = False,
    **flags: Any,  # noqa: ANN401 - `with_settings` says what is in it
) -> None:
    """Say what would work here if `serve` were started with the same flags: database, addresses, TLS, tools, models, MCP.

    It starts no server, changes nothing and calls nobody. Exit code 1 if something failed.
    """
    from letta_grpc import app  # noqa: PLC0415 - only the commands that run a server pay for loading one

    found = app.examine(read_settings(flags))
    if as_json:
        rows = [{"subject": one.subject, "state": one.state.value, "detail": one.detail} for one in found]
        typer.echo(json_text(rows))
    else:
        typer.echo(columns(("SUBJECT", "STATE", "DETAIL"), [(one.subject, one.state.value, one.detail) for one in found]))
    if any(one.state is app.State.FAILED for one in found):
        raise typer.Exit(Exit.FAILED)
