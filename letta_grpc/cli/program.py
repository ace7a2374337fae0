"""`letta-grpc` itself."""

from importlib.metadata import version
from typing import Annotated

import typer

from letta_grpc.cli.commands import Commands
from letta_grpc.cli.exits import EXIT_CODES

_CODES = "\n".join(f"  {code.value:<4}{meaning}" for code, meaning in EXIT_CODES.items())

program = typer.Typer(
    name="letta-grpc",
    cls=Commands,
    help="A gRPC streaming server for stateful LLM agents, and the tools to use it.",
    epilog=f"Begin with `letta-grpc demo`. It needs no key.\n\n\b\nExit codes:\n{_CODES}",
    no_args_is_help=True,
    # As much as a terminal has: without this 80, where many of the lines below would be cut.
    context_settings={"max_content_width": 120},
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:  # noqa: FBT001 - typer's callbacks take what the option says
    if asked:
        typer.echo(f"letta-grpc {version('letta-grpc')}")
        raise typer.Exit


@program.callback()
def _options(
    *,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take what stands before a command."""
