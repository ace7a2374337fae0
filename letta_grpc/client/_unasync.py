"""Makes `_sync` from `_async`: `python -m letta_grpc.client._unasync [DIRECTORY]`. Needs the development tools."""

import sys
from pathlib import Path

import unasync  # type: ignore[import-untyped]  # it has no annotations

HERE = Path(__file__).parent
SOURCE = HERE / "_async"
NAMES = {
    "_async": "_sync",
    "on_asyncio": "on_threads",
    "AsyncClient": "Client",
    "AsyncDialogue": "Dialogue",
    "AsyncRunStream": "RunStream",
    "AsyncRunStreams": "RunStreams",
    "AsyncTurn": "Turn",
    "aclose": "close",
    "anext": "next",
}


def write_twin(target: Path) -> None:
    """Write the blocking twin of every module into a directory, and remove what has no original any more."""
    rule = unasync.Rule(f"{SOURCE}/", f"{target}/", additional_replacements=NAMES)
    originals = sorted(SOURCE.glob("*.py"))
    unasync.unasync_files([str(path) for path in originals], [rule])
    for path in target.glob("*.py"):
        if path.name not in {original.name for original in originals}:
            path.unlink()


if __name__ == "__main__":
    write_twin(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else HERE / "_sync")
