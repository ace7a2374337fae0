"""A real terminal, by tmux: what a person sees there, and what they type."""

import os
import select
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.programs import required
from tests.support.server_process import environment

COLUMNS, ROWS = 160, 50
SCREEN_SECONDS = 20
COMMAND_SECONDS = 10
EXIT = "exit code"


class Terminal:
    """A command on a screen of its own. What it printed stays to be read when it has ended."""

    def __init__(self, folder: Path, command: Sequence[str], **more: str) -> None:
        kept = {name: value for name, value in environment().items() if name not in {"NO_COLOR", "TERM", "TMUX", "COLUMNS"}}
        self._environment = kept | {"TMUX_TMPDIR": str(folder), "LC_ALL": "C.UTF-8"} | more
        self._call("-f", "/dev/null", "new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS), "cat")
        self._call("set-option", "-g", "remain-on-exit", "on")
        # Whatever the command prints also goes here: a screen has changed when there is something to read.
        changes = folder / "changes"
        os.mkfifo(changes)
        self._changes = os.open(changes, os.O_RDWR | os.O_NONBLOCK)
        self._call("pipe-pane", f"cat > {shlex.quote(str(changes))}")
        # Ctrl-C is for the command: the shell that reports its end goes on.
        self._call("respawn-pane", "-k", f"trap : INT; {shlex.join(command)}; echo {EXIT} $?")

    def type(self, text: str) -> None:
        """Type a line."""
        self._call("send-keys", "-l", text)
        self.press("Enter")

    def press(self, key: str) -> None:
        """Press a key by tmux's name for it, such as C-c."""
        self._call("send-keys", key)

    def paste(self, text: str) -> None:
        """Paste a text: as one where the command has asked to be told of that, as most shells do."""
        self._call("set-buffer", text)
        self._call("paste-buffer", "-p")

    def screen(self, *, escapes: bool = False) -> list[str]:
        """Return the lines that were printed, those that have left the screen too; with `escapes` as they were coloured."""
        text = self._call("capture-pane", "-p", "-J", "-S", "-", *(["-e"] if escapes else []))
        return [line.rstrip() for line in text.splitlines()]

    def wait_for(self, wanted: Callable[[list[str]], bool]) -> list[str]:
        """Wait until the screen is as wanted; return it."""
        deadline = time.monotonic() + SCREEN_SECONDS
        while not wanted(lines := self.screen()):
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([self._changes], [], [], left)[0]
            assert ready, "\n".join(lines)
            os.read(self._changes, 65536)
        return lines

    def wait_for_line(self, start: str, *, times: int = 1) -> list[str]:
        """Wait until so many lines begin with these words; return the screen."""
        return self.wait_for(lambda lines: sum(line.startswith(start) for line in lines) >= times)

    def wait_for_exit(self) -> int:
        """Wait until the command has ended; return its exit code."""
        line = next(line for line in reversed(self.wait_for_line(EXIT)) if line.startswith(EXIT))
        return int(line.removeprefix(EXIT))

    def close(self) -> None:
        """End the command and its screen."""
        os.close(self._changes)
        with suppress(subprocess.CalledProcessError):
            self._call("kill-server")

    def _call(self, *arguments: str) -> str:
        return subprocess.run(  # noqa: S603 - our own test
            ["tmux", "-u", "-L", "letta-grpc", *arguments],  # noqa: S607 - of the system
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=COMMAND_SECONDS,
        ).stdout


@contextmanager
def terminal(*command: str, **more: str) -> Iterator[Terminal]:
    """Run a command in a terminal of its own. Skips where there is no tmux, but in CI."""
    required("tmux")
    # A short path: the address of a Unix socket has room for a hundred characters.
    with tempfile.TemporaryDirectory(prefix="tmux-", ignore_cleanup_errors=True) as folder:
        opened = Terminal(Path(folder), command, **more)
        try:
            yield opened
        finally:
            opened.close()
