"""The commands, called in the test's own process."""

from collections.abc import Callable

from typer.testing import CliRunner, Result

from letta_grpc.cli.program import program

Invoke = Callable[..., Result]


def commands_of(address: str) -> Invoke:
    """Return what calls a command against the server at this address."""

    def run(*arguments: str, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(program, arguments, stdin, env={"LETTA_GRPC_TARGET": address}, prog_name="letta-grpc")

    return run
