"""The protos: linted, compared with the last accepted contract, and generated code in step with them."""

import filecmp
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own tools on our own files
        command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    shutil.copytree(ROOT / "protos", tmp_path / "protos")
    shutil.copytree(ROOT / ".buf", tmp_path / ".buf")
    return tmp_path


def breaking(directory: Path) -> subprocess.CompletedProcess[str]:
    return run(BIN / "buf", "breaking", "protos", "--against", "protos/baseline.binpb", cwd=directory)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_protos_break_nothing_that_was_accepted(copy: Path) -> None:
    result = breaking(copy)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("file", "old", "new", "complaint"),
    [
        ("runs.proto", "string request_id = 4;", "string start_id = 4;", 'changed name from "request_id"'),
        ("runs.proto", "int32 attempt = 9;", "int64 attempt = 9;", "changed type"),
        ("events.proto", "  int32 sequence_number = 1;\n", "", "was deleted"),
        ("model_service.proto", "rpc ListProviders(", "rpc ShowProviders(", 'RPC "ListProviders"'),
    ],
)
def test_a_change_that_breaks_callers_is_found(copy: Path, file: str, old: str, new: str, complaint: str) -> None:
    edit(copy / "protos/letta_grpc/v1" / file, old, new)
    result = breaking(copy)
    assert result.returncode != 0
    assert complaint in result.stdout


def test_a_field_without_a_comment_is_found(copy: Path) -> None:
    edit(copy / "protos/letta_grpc/v1/runs.proto", "  // The run it belongs to.\n", "")
    result = run(BIN / "buf", "lint", "protos", cwd=copy)
    assert result.returncode != 0
    assert "comment" in result.stdout


def test_generating_again_changes_nothing(tmp_path: Path) -> None:
    # -o: the environment that runs this test is the one to generate with, whatever the stamps say.
    make = ("make", "-s", "-o", ".venv/.everything-installed", "generate", f"OUT={tmp_path}")
    result = run(*make)
    assert result.returncode == 0, result.stderr
    for folder in folders_with_files(tmp_path):
        fresh, committed = tmp_path / folder, ROOT / folder
        names = {path.name for path in fresh.iterdir()}
        # The one file beside generated ones that may be written by hand.
        assert names | {"__init__.py"} == {path.name for path in committed.iterdir() if path.suffix} | {"__init__.py"}
        _, different, missing = filecmp.cmpfiles(fresh, committed, names, shallow=False)
        assert not different, f"stale in {folder}: run `make proto`"
        assert not missing


def folders_with_files(root: Path) -> list[Path]:
    return [Path(folder).relative_to(root) for folder, _, files in os.walk(root) if files]
