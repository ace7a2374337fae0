"""Which packages a command needs, and what is said where they are missing."""

import subprocess
import sys

import pytest


def run(prelude: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program behind some lines of its own."""
    program = f"import sys; sys.argv[0] = 'letta-grpc'; {prelude}; from letta_grpc.__main__ import main; main()"
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - our own program


@pytest.mark.parametrize(("missing", "command"), [("typer", "serve"), ("pydantic_settings", "serve"), ("rich", "chat")])
def test_without_the_servers_packages_it_says_what_to_install(missing: str, command: str) -> None:
    told = run(f"sys.modules['{missing}'] = None", command)
    assert told.returncode == 1
    assert f"({missing}" in told.stderr
    assert "pip install 'letta-grpc[server]', or '.[server]' in a clone of it" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize(
    ("command", "unneeded"),
    [
        ("serve", ["rich", "pygments", "letta_grpc.client", "letta_grpc.conformance", "openai", "alembic", "mcp"]),
        ("agents", ["rich", "pydantic_settings", "structlog", "sqlalchemy", "letta_grpc.conformance"]),
    ],
)
def test_a_command_loads_nothing_that_it_does_not_need(command: str, unneeded: list[str]) -> None:
    told = run(
        f"import atexit; atexit.register(lambda: print([n for n in {unneeded} if n in sys.modules]))", command, "--help"
    )
    assert told.returncode == 0
    assert told.stdout.splitlines()[-1] == "[]"
    assert "Usage" in told.stdout
