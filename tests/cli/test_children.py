"""Processes that the server starts: the sandbox of tools, and MCP servers."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

CHILDREN = 150


def test_children_live_also_if_they_are_started_while_grpc_is_busy() -> None:
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "tests.support.busy_parent", str(CHILDREN)],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        cwd=ROOT,
    )
    assert done.stdout == "0\n", done.stderr
