"""A person who interrupts a blocking turn does not wait until its `async def` tool has ended by itself."""

import asyncio
import contextvars
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Never

import pytest

from letta_grpc.client import on_threads

PATIENCE_SECONDS = 20
WHO: contextvars.ContextVar[str] = contextvars.ContextVar("WHO")


def test_an_interrupt_cancels_the_tool() -> None:
    tidied = threading.Event()

    async def work() -> None:
        main = threading.main_thread().ident
        assert main
        asyncio.get_running_loop().call_soon(signal.pthread_kill, main, signal.SIGINT)
        try:
            await asyncio.sleep(PATIENCE_SECONDS)
        except asyncio.CancelledError:
            tidied.set()
            raise

    with pytest.raises(KeyboardInterrupt):
        on_threads.run_function(work)
    assert tidied.is_set()


class InterruptedAtTheStart(ThreadPoolExecutor):
    def submit(self, *given: Any, **named: Any) -> Never:  # noqa: ANN401 - as it is inherited
        super().submit(*given, **named)
        raise KeyboardInterrupt


def test_an_interrupt_that_comes_while_the_tool_is_started_cancels_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    tidied = threading.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(PATIENCE_SECONDS)
        finally:
            tidied.set()

    monkeypatch.setattr(on_threads, "ThreadPoolExecutor", InterruptedAtTheStart)
    with pytest.raises(KeyboardInterrupt):
        on_threads.run_function(work)
    assert tidied.wait(PATIENCE_SECONDS / 2)


def test_a_tool_knows_what_its_caller_does_of_the_context() -> None:
    async def who() -> str:
        return WHO.get("nobody")

    WHO.set("Ada")
    assert on_threads.run_function(who) == "Ada"
