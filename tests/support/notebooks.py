"""Notebooks, executed: `python -m tests.support.notebooks SOURCE TARGET GRPC_ADDRESS` writes one with its outputs."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from tests.support.documents import ROOT, Addresses, normal
from tests.support.server_process import environment

NOTEBOOKS = sorted((ROOT / "clients").glob("*/*.ipynb"))
EXECUTION_SECONDS = 200
# With their unit: what takes milliseconds takes seconds on a machine that has other things to do.
_SPANS = re.compile(r"\b\d+(\.\d+)? m?s\b")


def execute(source: Path, addresses: Addresses, folder: Path) -> Path:
    """Execute a notebook in a kernel of its own, in a process of its own; return where it is with its outputs."""
    target = folder / source.name
    # Nothing of the person's who runs it: no profile, no history.
    own = {name: str(folder / name.lower()) for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")}
    subprocess.run(  # noqa: S603 - our own notebooks
        [sys.executable, "-m", "tests.support.notebooks", source, target, addresses.grpc],
        check=True,
        capture_output=True,
        cwd=ROOT,
        env=environment(**own),
        timeout=EXECUTION_SECONDS,
    )
    return target


def shown(path: Path) -> list[list[str]]:
    """Return what each code cell shows, less what differs each time; of a picture, that there is one."""
    cells = json.loads(path.read_text())["cells"]
    return [[_words(output) for output in cell["outputs"]] for cell in cells if cell["cell_type"] == "code"]


def _words(output: dict[str, Any]) -> str:
    if "data" not in output:
        return normal("".join(output.get("text") or [f"{output['ename']}: {output['evalue']}"]))
    if "image/png" in output["data"]:
        return "a picture"
    told = output["data"].get("text/markdown") or output["data"]["text/plain"]
    return _SPANS.sub("… s", normal("".join(told)))


def _main(source: Path, target: Path, grpc: str) -> None:
    addresses = Addresses(grpc)
    notebook = nbformat.reads(addresses.named_in(source.read_text()), as_version=4)  # type: ignore[no-untyped-call]  # partly typed
    patience: dict[str, Any] = {"timeout": 60, "startup_timeout": 120}
    NotebookClient(notebook, **patience, coalesce_streams=True, record_timing=False, allow_errors=True).execute()
    notebook.metadata.language_info = {"name": "python"}
    text = nbformat.writes(notebook)  # type: ignore[no-untyped-call]  # as above
    target.write_text(f"{addresses.documented(normal(text))}\n")


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
