"""A disk that fails now and then under a server's database."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.programs import required

SOURCE = Path(__file__).with_suffix(".c")


def failing_disk(folder: Path, database: Path, *, free: int, every: int, burst: int, times: int) -> Mapping[str, str]:
    """Return the environment of a server whose disk fails.

    Of all reads and writes of the database the first `free` succeed; from then on the last `burst` of each `every` fail, so
    many times in each life of the server. It needs more calls to start on an old database than on a new one.
    """
    library = folder / "failing_disk.so"
    command = [
        required("cc"),
        "-shared",
        "-fPIC",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-o",
        str(library),
        str(SOURCE),
        "-ldl",
    ]
    subprocess.run(command, check=True, timeout=30)  # noqa: S603 - our own source
    return {"LD_PRELOAD": str(library), "FAILING_DISK": f"{database} {free} {every} {burst} {times}"}
