"""Values by name, as flags give them: NAME=VALUE, or NAME alone for what should not stand on a command line."""

import os
from collections.abc import Callable, Sequence

import typer

from letta_grpc.cli.rendering import visible

METAVAR = "NAME[=VALUE]"
FROM_VARIABLE = "NAME alone takes the value of the variable $NAME. Repeat it for several."


def named_values(given: Sequence[str] | None, variable_of: Callable[[str], str] = str) -> dict[str, str]:
    """Return values by name; those of names that stand alone from the environment. Exits where there is none."""
    return dict(_named(one, variable_of) for one in given or ())


def variable_of_header(name: str) -> str:
    """Return the variable that holds a header: a shell has none with a hyphen."""
    return name.upper().replace("-", "_")


def _named(given: str, variable_of: Callable[[str], str]) -> tuple[str, str]:
    name, separator, value = given.partition("=")
    if not name:
        raise typer.BadParameter(f"a value without a name: say {METAVAR}")
    if separator:
        return name, value
    variable = variable_of(name)
    found = os.environb.get(os.fsencode(variable))
    if found is None:
        told = visible(name)
        raise typer.BadParameter(f"{told} has no value: say {told}=VALUE, or set the variable {visible(variable)}")
    try:
        return name, found.decode()
    except UnicodeDecodeError as error:
        # Without what it holds: it may be a secret.
        raise typer.BadParameter(f"the variable {visible(variable)} is not UTF-8") from error
