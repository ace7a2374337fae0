"""Files that commands are given to read."""

import sys
from pathlib import Path

import typer

PIPED = "`-`: what is piped in."
_DASH = Path("-")


def existing(file: Path) -> Path:
    """Return a file that is there, or the dash; a callback, for typer itself takes no dash for a path."""
    if file != _DASH and not file.exists():
        raise typer.BadParameter(f"there is no file {file}")
    if file.is_dir():
        raise typer.BadParameter(f"{file} is a directory")
    return file


def text_in(file: Path) -> str:
    """Return what a file says, or of a dash what is piped in. Raises UnicodeDecodeError for what is no text.

    It may begin with the mark that editors on Windows write.
    """
    return (sys.stdin.buffer.read() if file == _DASH else file.read_bytes()).decode("utf-8-sig")
