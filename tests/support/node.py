"""Programs for Node beside the tests, with what `npm ci` installed for them."""

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent.parent / "node"


async def node(program: str, *arguments: str) -> Any:  # noqa: ANN401 - any JSON
    """Run a program; return the JSON that it prints. Skips where there is no Node, but not in CI."""
    executable = shutil.which("node")
    if executable is None or not (FOLDER / "node_modules").is_dir():
        reason = "needs Node 20 and `npm ci` in tests/node (`make test` does that where npm is)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    process = await asyncio.create_subprocess_exec(
        executable, str(FOLDER / program), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(40):
            out, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complaints.decode()
    return json.loads(out)
