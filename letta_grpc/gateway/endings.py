"""How a call that streams both ways has ended, as its server says it.

A write that fails because the server has ended the call makes grpc.aio put a status of its own in the place of the server's,
whichever came first: INTERNAL, "Internal error from Core". The server's own is kept here.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import grpc

from letta_grpc.gateway.failures import Failure, failure_from

T = TypeVar("T")

_MADE_UP = (grpc.StatusCode.INTERNAL, "Internal error from Core")
# The server's status is on its way when a write fails; if the connection broke as well, it may never come.
_ARRIVAL_SECONDS = 5


class Ending:
    """The status of one call. Must be made before anything is written."""

    def __init__(self, call: grpc.aio.Call) -> None:
        self._known = asyncio.Event()
        self._error: grpc.aio.AioRpcError | None = None
        # Called for every status that is put in place, in that moment.
        call.add_done_callback(self._take)

    def _take(self, call: Any) -> None:  # noqa: ANN401 - a call of any shape
        # At once: the next status may be in its place before any task runs.
        code, text = _at_once(call.code()), _at_once(call.details())
        if (code, text) == _MADE_UP:
            return
        if code is not grpc.StatusCode.OK:
            trailers = _at_once(call.trailing_metadata())
            self._error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, text)
        self._known.set()

    async def instead_of(self, failure: Failure) -> Failure | None:
        """Return the failure that the server itself has told, None if the call ended well."""
        if (failure.code, failure.message) != _MADE_UP:
            return failure
        try:
            async with asyncio.timeout(_ARRIVAL_SECONDS):
                await self._known.wait()
        except TimeoutError:
            return failure
        return failure_from(self._error) if self._error else None


def _at_once(answer: Coroutine[Any, Any, T]) -> T:
    """Return what a call that is over says of itself: it has nothing to wait for."""
    try:
        answer.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    raise RuntimeError("a call that is over does not know its status")
