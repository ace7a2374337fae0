"""What `make` installs is compiled: else each process that may write no bytecode compiles it all over again as it starts."""

import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib.util import cache_from_source
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What `make` touches once all is installed and compiled.
STAMP = Path(sys.prefix) / ".everything-installed"


def not_compiled(files: Iterable[Path]) -> Iterator[str]:
    """Tell which files have no bytecode; that of an older text, and of what is no Python of this version, is not asked for."""
    since = STAMP.stat().st_mtime
    for file in files:
        if file.stat().st_mtime < since and not Path(cache_from_source(file)).exists() and can_be_compiled(file):
            yield str(file)


def can_be_compiled(file: Path) -> bool:
    try:
        compile(file.read_bytes(), file, "exec")
    except (SyntaxError, ValueError):
        return False
    return True


@pytest.mark.skipif(not STAMP.exists(), reason="this environment was not made by `make`")
@pytest.mark.parametrize("folder", [Path(sysconfig.get_path("purelib")), ROOT / "letta_grpc"], ids=["packages", "letta_grpc"])
def test_what_is_installed_has_its_bytecode(folder: Path) -> None:
    assert list(not_compiled(folder.rglob("*.py"))) == []
