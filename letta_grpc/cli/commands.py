"""All commands. Each is loaded when it is asked for: what serves needs nothing of what calls, and the other way round."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from letta_grpc.cli.missing import stop_for_lack_of
from letta_grpc.cli.streams import output_checked

# Each is what has this name in the file of this name: a function, or a group of commands.
NAMES: Sequence[str] = (
    "serve",
    "gateway",
    "demo",
    "chat",
    "agents",
    "runs",
    "tools",
    "mcp",
    "migrate",
    "doctor",
    "bench",
    "conformance",
)
_LATER = TyperCommand(None)


class Commands(TyperGroup):
    """All commands, each of which ends as `output_checked` says."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - typer's own types
        super().__init__(**attributes)
        self.commands = dict.fromkeys(NAMES, _LATER)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401 - as above
        """Return a command; None if there is none of this name."""
        if self.commands.get(cmd_name) is _LATER:
            self.commands[cmd_name] = _load(cmd_name)
        return super().get_command(ctx, cmd_name)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:  # noqa: ANN401 - as above
        """Read the arguments; asked for help, print it."""
        with output_checked():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as above
        """Run the command."""
        with output_checked():
            return super().invoke(ctx)


def _load(name: str) -> Any:  # noqa: ANN401 - as above
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
