"""How a caller's functions are run: in both worlds, and whatever they are called with."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial, wraps
from typing import Any

import pytest

from letta_grpc.client import on_asyncio, on_threads


def plot(function: str, arguments: str, named: str) -> str:
    return f"{function} {arguments} {named}"


async def test_parameters_may_have_any_names() -> None:
    names: dict[str, Any] = {"function": "sin", "arguments": "x", "named": "wave"}
    assert on_threads.run_function(plot, **names) == "sin x wave"
    assert await on_asyncio.run_function(plot, **names) == "sin x wave"


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


@wraps(double)
def plainly_decorated(number: int) -> Coroutine[Any, Any, int]:
    return double(number)


class Doubling:
    async def __call__(self, number: int) -> int:
        return await double(number)


HIDDEN = [lambda number: double(number=number), plainly_decorated, Doubling()]


@pytest.mark.parametrize("function", [double, partial(double), *HIDDEN])
async def test_what_gives_an_awaitable_is_awaited(function: Callable[[int], object]) -> None:
    assert await on_asyncio.run_function(function, 2) == 4


@pytest.mark.parametrize("function", [double, partial(double)])
def test_the_blocking_client_runs_coroutine_functions(function: Callable[[int], object]) -> None:
    assert on_threads.run_function(function, 2) == 4


# Warnings are errors here: a coroutine that nobody awaited or closed would be one.
@pytest.mark.parametrize("function", HIDDEN)
def test_the_blocking_client_refuses_an_awaitable_that_comes_unannounced(function: Callable[[int], object]) -> None:
    with pytest.raises(TypeError, match="gave an awaitable"):
        on_threads.run_function(function, 2)


def exhausted() -> object:
    return next(iter(()))


async def exhausted_as_well() -> object:
    return await anext(aiter(nothing()))


async def nothing() -> AsyncIterator[object]:
    for one in list[object]():
        yield one


@pytest.mark.parametrize("function", [exhausted, exhausted_as_well])
async def test_a_function_that_has_no_more_to_give_ends_nobodys_iteration(function: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        with pytest.raises(RuntimeError, match="Stop"):
            await on_asyncio.run_function(function)


def test_nor_does_it_with_the_blocking_client() -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        on_threads.run_function(exhausted)
