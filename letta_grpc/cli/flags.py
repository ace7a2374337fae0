"""Flags made from settings: each has its variable, and a new setting has its flag the day it is added."""

import inspect
import os
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo

from letta_grpc.cli.exits import Exit
from letta_grpc.settings import Settings, SettingsError, variable_of

# A command line can be read by everybody on the machine, and a flag for each provider has no name.
WITHOUT_FLAG = frozenset({"api_keys", "callback_secrets", "providers"})

Flags = Mapping[str, Any]


def with_settings(*only: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command that takes `**flags` a flag for each setting, or for these alone."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
        chosen = only or [name for name in Settings.model_fields if name not in WITHOUT_FLAG]
        flags = [_parameter(name, Settings.model_fields[name]) for name in chosen]
        # Typer reads a command's signature; this one says what `**flags` will hold.
        command.__signature__ = inspect.Signature([*own, *flags])  # type: ignore[attr-defined]  # functions allow it
        return command

    return decorate


def read_settings(flags: Flags, **fixed: str) -> Settings:
    """Return the settings that the environment and the flags mean; the flags win. Exits when they are wrong."""
    given = {variable_of(name): str(value) for name, value in flags.items() if value is not None}
    forced = {variable_of(name): value for name, value in fixed.items()}
    try:
        return Settings.from_env({**os.environ, **given, **forced})
    except SettingsError as error:
        for line in str(error).splitlines():
            typer.echo(f"letta-grpc: {line}", err=True)
        raise typer.Exit(Exit.USAGE) from error


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    is_switch = field.annotation is bool
    flag, default = name.replace("_", "-"), "" if field.default in (None, ()) else f" Default: {field.default}."
    option = typer.Option(
        f"--{flag}/--no-{flag}" if is_switch else f"--{flag}",
        envvar=variable_of(name),
        help=f"{field.description}{default}",
        metavar=None if is_switch else "VALUE",
        show_default=False,
    )
    kind: Any = bool | None if is_switch else str | None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option])
