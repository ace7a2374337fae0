"""Files that commands are given to read."""

import os
import sys
from pathlib import Path

import typer

from letta_grpc.cli.rendering import visible

PIPED = "`-`: what is piped in."
_DASH = Path("-")


def existing(file: Path) -> Path:
    """Return a file that can be read, or the dash; a callback, for typer itself takes no dash for a path."""
    # Path.exists raises for a name that is too long, and for one in a directory that is closed to the caller.
    if file != _DASH and not os.access(file, os.R_OK):
        raise typer.BadParameter(visible(f"there is no file {file} that can be read"))
    if file.is_dir():
        raise typer.BadParameter(visible(f"{file} is a directory"))
    return file


def text_in(file: Path) -> str:
    """Return what a file says, or of a dash what is piped in. Raises UnicodeDecodeError for what is no text.

    It may begin with the mark that editors on Windows write.
    """
    return (sys.stdin.buffer.read() if file == _DASH else file.read_bytes()).decode("utf-8-sig")
