"""Help that a stranger understands, and a flag for each setting."""

from collections.abc import Iterator
from importlib.metadata import version

import pytest
import typer
from typer.testing import CliRunner

from letta_grpc.cli.commands import COMMANDS, load
from letta_grpc.cli.exits import EXIT_CODES, Exit
from letta_grpc.cli.flags import WITHOUT_FLAG
from letta_grpc.cli.program import program
from letta_grpc.settings import Settings, variable_of
from tests.support.server_process import letta_grpc

ROOT = typer.main.get_command(program)


def commands(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


ALL = {(): ROOT, **{path: child for name in COMMANDS for path, child in commands(load(name), (name,))}}


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_explains_itself_and_each_of_its_flags(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(program, [*path, "--help"], prog_name="letta-grpc")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: {' '.join(('letta-grpc', *path))}")
    parameters = getattr(ALL[path], "params", [])
    assert all(parameter.help for parameter in parameters)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_of_each_what_itself_says(name: str) -> None:
    # Sentences end at the first full stop or colon.
    said = load(name).get_short_help_str(limit=200).rstrip(".").partition(":")[0]
    assert COMMANDS[name].rstrip(".") == said


def test_a_wide_terminal_shows_whole_what_the_list_of_commands_says() -> None:
    # A process: the runner has a width of its own.
    shown = letta_grpc("--help", COLUMNS="160").stdout
    assert all(text in shown for text in COMMANDS.values())


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


@pytest.mark.parametrize("command", ["chat", "demo"])
def test_what_takes_a_model_says_which_one_it_takes_without(command: str) -> None:
    shown = " ".join(CliRunner().invoke(program, [command, "--help"]).stdout.split())
    assert "openai/gpt-4o-mini where OPENAI_API_KEY is set, else scripted/demo." in shown
