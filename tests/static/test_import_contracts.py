"""Each import contract is seen to fail when it is broken: in a copy of the package with one bad import added."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = Path(sys.executable).with_name("lint-imports")


def lint(directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own tool on our own copy
        [LINT, "--no-cache"], cwd=directory, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "letta_grpc", tmp_path / "letta_grpc", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_every_contract_holds(copy: Path) -> None:
    result = lint(copy)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("contract", "module", "bad_import"),
    [
        ("Layers", "domain/runs.py", "import letta_grpc.engine"),
        ("Layers", "transport/errors.py", "import letta_grpc.client"),
        ("The core knows no wire, vendor or framework", "engine/runs.py", "import grpc"),
        ("The core knows no wire, vendor or framework", "domain/events.py", "import letta_grpc.v1"),
        ("Generated code is for the edge", "app/in_process.py", "import letta_grpc.v1.runs_pb2"),
        ("Only the composition root names adapters", "cli/serve.py", "import letta_grpc.adapters.clock"),
        ("Only telemetry knows OpenTelemetry", "transport/errors.py", "import opentelemetry.trace"),
        ("Layers", "gateway/streams.py", "import letta_grpc.transport.wire"),
        ("The gateway works far from the server", "gateway/streams.py", "import letta_grpc.domain.ids"),
        ("No cycles", "domain/ids.py", "import letta_grpc.ports"),
    ],
)
def test_a_bad_import_breaks_its_contract(copy: Path, contract: str, module: str, bad_import: str) -> None:
    path = copy / "letta_grpc" / module
    path.write_text(f"{path.read_text()}\n{bad_import}\n")
    result = lint(copy)
    assert result.returncode == 1
    assert f"{contract} BROKEN" in result.stdout


def test_a_new_module_must_choose_its_layer(copy: Path) -> None:
    (copy / "letta_grpc" / "elsewhere.py").write_text('"""Belongs nowhere."""\n')
    result = lint(copy)
    assert result.returncode == 1
    assert "Layers BROKEN" in result.stdout
