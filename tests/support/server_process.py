"""The server as its users start it: a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

STOP_SECONDS = 30
BIN = Path(sys.executable).parent
PROGRAM = (str(BIN / "letta-grpc"),)
# What would reach into a test from the machine that it runs on.
_FOREIGN = ("LETTA_GRPC_", "OTEL_", "OPENAI_", "ANTHROPIC_")


def environment(**more: str) -> Mapping[str, str]:
    """Return the environment of a stranger with our tools on the path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    path = f"{BIN}:{BIN.parent / 'go/bin'}:{kept.get('PATH', '')}"
    return kept | {"PATH": path, "COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"} | more


def letta_grpc(*arguments: str, stdin: str = "", timeout: float = 60, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(  # noqa: S603 - our own command
        [BIN / "letta-grpc", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        env=environment(**more),
    )


@contextmanager
def serving_process(
    folder: Path, *flags: str, program: Sequence[str] = PROGRAM, **more: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run `letta-grpc serve` on a free port and a database in `folder`; give its address and process."""
    own = ["--listen", "127.0.0.1:0", "--database", f"sqlite:///{folder / 'letta.db'}", "--drain-seconds", "1"]
    with _announced([*program, "serve", *own, *flags], "listening grpc=", folder / "server.log", **more) as running:
        yield running


@contextmanager
def gateway_process(
    folder: Path, target: str, *flags: str, program: Sequence[str] = PROGRAM, **more: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run `letta-grpc gateway` on a free port in front of a server; give its URL and process."""
    command = [*program, "gateway", "--target", target, "--http", "127.0.0.1:0", *flags]
    with _announced(command, "listening http=", folder / "gateway.log", **more) as running:
        yield running


@contextmanager
def _announced(command: Sequence[str], words: str, log: Path, **more: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a command that says where it listens; give what it says behind these words, and its process."""
    with (
        log.open("a") as stderr,
        subprocess.Popen(  # noqa: S603 - our own command
            command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment(**more)
        ) as process,
    ):
        try:
            line = process.stdout.readline() if process.stdout else ""
            assert line.startswith(words), log.read_text()
            yield line.strip().removeprefix(words), process
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            finally:
                process.kill()
