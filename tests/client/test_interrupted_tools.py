"""A person who interrupts a blocking turn does not wait until its `async def` tool has ended by itself."""

import asyncio
import contextvars
import signal
import threading

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


def test_a_tool_knows_what_its_caller_does_of_the_context() -> None:
    async def who() -> str:
        return WHO.get("nobody")

    WHO.set("Ada")
    assert on_threads.run_function(who) == "Ada"
