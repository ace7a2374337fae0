"""Files that an operator replaces."""

from pathlib import Path


def replace(file: Path, content: bytes) -> None:
    """Put other content in a file's place at once."""
    # By a file of its own: what is written twice within a tick of the kernel's clock, and is of one size, looks the same.
    new = file.with_suffix(".new")
    new.write_bytes(content)
    new.replace(file)
