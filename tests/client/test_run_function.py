"""How a caller's functions are run: in both worlds, and whatever they are called with."""

from typing import Any

from letta_grpc.client import on_asyncio, on_threads


def plot(function: str, arguments: str, named: str) -> str:
    return f"{function} {arguments} {named}"


async def test_parameters_may_have_any_names() -> None:
    names: dict[str, Any] = {"function": "sin", "arguments": "x", "named": "wave"}
    assert on_threads.run_function(plot, **names) == "sin x wave"
    assert await on_asyncio.run_function(plot, **names) == "sin x wave"
