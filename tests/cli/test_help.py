"""Help that a stranger understands, and a flag for each setting."""

from collections.abc import Iterator
from importlib.metadata import version

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from letta_grpc.cli.exits import EXIT_CODES, Exit
from letta_grpc.cli.flags import WITHOUT_FLAG
from letta_grpc.cli.program import program
from letta_grpc.settings import Settings, variable_of

ROOT = typer.main.get_command(program)
CONTEXT = typer.Context(ROOT)


def commands(command: object = ROOT, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    yield path, command
    if isinstance(command, TyperGroup):
        for name in command.list_commands(CONTEXT):
            yield from commands(command.get_command(CONTEXT, name), (*path, name))


ALL = dict(commands())


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_explains_itself_and_each_of_its_flags(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(program, [*path, "--help"], prog_name="letta-grpc")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: {' '.join(('letta-grpc', *path))}")
    parameters = getattr(ALL[path], "params", [])
    assert all(parameter.help for parameter in parameters)


def test_the_program_says_which_version_it_is() -> None:
    result = CliRunner().invoke(program, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"letta-grpc {version('letta-grpc')}\n")


def test_each_setting_has_its_flag_and_each_flag_its_variable() -> None:
    flags = {parameter.name: parameter for parameter in getattr(ALL["serve",], "params", [])}
    for name in Settings.model_fields.keys() - WITHOUT_FLAG:
        assert flags[name].envvar == variable_of(name)


def test_the_exit_codes_are_documented() -> None:
    shown = CliRunner().invoke(program, ["--help"]).stdout
    assert set(EXIT_CODES) == set(Exit)
    assert all(f"{code.value:<4}{meaning}" in shown for code, meaning in EXIT_CODES.items())
