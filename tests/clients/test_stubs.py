"""The stubs that the clients commit are what their generators make of the protos."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import required

CLIENTS = Path(__file__).parents[2] / "clients"
# Java's are made by each build, and not committed.
COMMITTED = {"go": "lettapb", "typescript": "src/generated", "rust": "src/generated"}
TOOLCHAINS = {"go": "go", "typescript": "npm", "rust": "cargo"}


def files_in(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("language", COMMITTED)
def test_generating_again_changes_nothing(language: str, tmp_path: Path) -> None:
    required(TOOLCHAINS[language])
    generated = tmp_path / "generated"
    command = ("make", "-s", "-C", CLIENTS / language, "generate", f"GENERATED={generated}", f"PYTHON={sys.executable}")
    # A generator that was not built yet takes its time.
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=580)  # noqa: S603 - our own tools
    assert result.returncode == 0, result.stderr
    fresh, committed = files_in(generated), files_in(CLIENTS / language / COMMITTED[language])
    assert fresh
    stale = [str(path) for path in sorted(fresh | committed) if fresh.get(path) != committed.get(path)]
    assert not stale, "run: make proto"
