"""Programs for Node beside the tests, with what `npm ci` installed for them."""

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.support.programs import missing, required

FOLDER = Path(__file__).parent.parent / "node"


async def node(program: str, *arguments: str) -> Any:  # noqa: ANN401 - any JSON
    """Run a program; return the JSON that it prints. Skips where there is no Node, but not in CI."""
    executable = required("node")
    if not (FOLDER / "node_modules").is_dir():
        missing("what `npm ci` installs in tests/node (`make test` does that where npm is)")
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
