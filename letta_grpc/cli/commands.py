"""All commands. Each is loaded when it is asked for: what serves needs nothing of what calls, and the other way round."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from letta_grpc.cli.missing import stop_for_lack_of
from letta_grpc.cli.streams import output_checked

# By name, what `--help` says of each, for which none is loaded. Each is what has its name in the file of its name: a function,
# or a group of commands.
COMMANDS: Mapping[str, str] = {
    "serve": "Serve agents over gRPC, and over HTTP with --http, from a SQLite file or PostgreSQL.",
    "gateway": "Serve HTTP in front of a server that runs elsewhere.",
    "demo": "Watch an agent answer over gRPC.",
    "chat": "Talk with an agent, its reasoning and tool calls included.",
    "agents": "Make, list, show, change and delete agents, and take them along as files.",
    "conversations": "List an agent's conversations, read what was said there, and delete them.",
    "runs": "List, show, follow, answer and cancel runs.",
    "tools": "Add tools of Python source to the server, list them, try them out and delete them.",
    "models": "List the models that agents can have, as the server's providers tell them.",
    "mcp": "Register MCP servers with the server, list them and their tools, and add the tools.",
    "migrate": "Bring a database to this version's schema.",
    "doctor": "Say what would work here if `serve` were started with the same flags.",
    "bench": "Measure the server beside a relay that keeps nothing.",
    "conformance": "Test a client of any language against a server that breaks what can break.",
}


class Commands(TyperGroup):
    """All commands, each of which ends as `output_checked` says."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - typer's own types
        super().__init__(**attributes)
        self.commands = {name: TyperCommand(name, help=text) for name, text in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - as above
        """Load the command that is meant, and return it with its arguments."""
        if args[0] in COMMANDS:
            self.commands[args[0]] = load(args[0])
        return super().resolve_command(ctx, args)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:  # noqa: ANN401 - as above
        """Read the arguments; asked for help, print it."""
        with output_checked():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as above
        """Run the command."""
        with output_checked():
            return super().invoke(ctx)


def load(name: str) -> Any:  # noqa: ANN401 - as above
    """Return a command. Exits where packages are missing."""
    try:
        file = import_module(f"letta_grpc.cli.{name}")
    except ModuleNotFoundError as missing:
        stop_for_lack_of(missing)
    found, parent = getattr(file, name), typer.Typer(rich_markup_mode=None)
    if isinstance(found, typer.Typer):
        parent.add_typer(found)
    else:
        parent.command(epilog=getattr(file, "EPILOG", None))(found)
    return typer.main.get_group(parent).commands[name]
