"""Every notebook runs, in a real kernel, and shows what it says that it shows."""

import json
from pathlib import Path

import nbformat
import pytest

from tests.support.documents import ROOT, documented_server
from tests.support.notebooks import NOTEBOOKS, execute, shown


@pytest.mark.timeout(240)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_notebook_shows_what_its_cells_do(path: Path, tmp_path: Path) -> None:
    with documented_server(tmp_path) as addresses:
        executed = shown(execute(path, addresses, tmp_path))
    assert executed == shown(path), "run `make docs`"
    assert ["a picture"] in executed


def test_a_notebook_is_clean() -> None:
    for path in NOTEBOOKS:
        notebook = json.loads(path.read_text())
        nbformat.validate(notebook)
        counts = [cell["execution_count"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
        assert counts == list(range(1, len(counts) + 1))
