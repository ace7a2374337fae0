"""All commands in one program."""

from importlib.metadata import version
from typing import Annotated

import typer

from letta_grpc.cli import chat, demo, gateway, serve, waiting
from letta_grpc.cli.agents import agents
from letta_grpc.cli.bench import bench
from letta_grpc.cli.conformance import conformance
from letta_grpc.cli.doctor import doctor
from letta_grpc.cli.exits import EXIT_CODES
from letta_grpc.cli.mcp import mcp
from letta_grpc.cli.migrate import migrate
from letta_grpc.cli.runs import runs
from letta_grpc.cli.streams import Commands
from letta_grpc.cli.tools import tools

_CODES = "\n".join(f"  {code.value:<4}{meaning}" for code, meaning in EXIT_CODES.items())

program = typer.Typer(
    name="letta-grpc",
    cls=Commands,
    help="A gRPC streaming server for stateful LLM agents, and the tools to use it.",
    epilog=f"Begin with `letta-grpc demo`. It needs no key.\n\n\b\nExit codes:\n{_CODES}",
    no_args_is_help=True,
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


program.command(epilog=serve.EPILOG)(serve.serve)
program.command(epilog=gateway.EPILOG)(gateway.gateway)
program.command()(demo.demo)
program.command(epilog=chat.EPILOG)(chat.chat)
program.add_typer(agents)
# Files of their own, commands of the same group.
runs.command()(waiting.waiting)
runs.command(epilog=waiting.EPILOG)(waiting.answer)
program.add_typer(runs)
program.add_typer(tools)
program.add_typer(mcp)
program.command()(migrate)
program.command()(doctor)
program.command()(bench)
program.add_typer(conformance)
