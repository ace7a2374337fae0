"""What a test needs of the machine: a skip with its reason where it is missing on a laptop, a failure in CI."""

import os
import shutil
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Do without the test, for want of this; never in CI."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is not installed")


def required(*names: str, path: str | None = None) -> str:
    """Return where the first of these programs is. `path`: where to look, if not where this process looks."""
    for name in names:
        if found := shutil.which(name, path=path):
            return found
    missing(names[0])
