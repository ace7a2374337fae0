"""The person's own editor, for a text of which they change a part."""

import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


class EditingFailedError(Exception):
    """The editor left no text; says which editor, and why."""


def chosen_editor() -> str:
    """Return the command that $VISUAL or $EDITOR has; nothing if neither has one."""
    return (os.environ.get("VISUAL") or os.environ.get("EDITOR") or "").strip()


def edited(editor: str, text: str, name: str) -> str:
    """Return what the person makes of a text, in a file of this name. Raises EditingFailedError: then they want none of it."""
    with tempfile.TemporaryDirectory(prefix="letta-grpc-") as folder:
        file = Path(folder) / name
        # As bytes: in a text, ends of lines of another system would be made this one's, and nobody had changed them.
        file.write_bytes(f"{text}\n".encode())
        try:
            with _interrupts_left_to_it():
                code = subprocess.run([*shlex.split(editor), str(file)], check=False).returncode  # noqa: S603 - the person's own editor
            if code == 0:
                return file.read_bytes().decode().removesuffix("\n")
            trouble = f"ended with {code}"
        except OSError as error:
            trouble = error.strerror or str(error)
        except UnicodeDecodeError:
            trouble = "it left no text"
        except ValueError as error:
            # A quote in the variable that nothing closes.
            trouble = str(error)
    raise EditingFailedError(f"{editor}: {trouble}")


@contextmanager
def _interrupts_left_to_it() -> Iterator[None]:
    """Do nothing on Ctrl-C, which means something to editors, and would end them together with this process."""

    def ignore(_number: int, _frame: FrameType | None) -> None:
        """Do nothing; unlike SIG_IGN it is not handed down to the editor."""

    before = signal.signal(signal.SIGINT, ignore)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
