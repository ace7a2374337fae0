"""Following a run: what the server tells of it, event by event."""

import asyncio
from collections.abc import Sequence
from typing import Any

from letta_grpc.gateway.faces.letta.operations import Ask
from letta_grpc.gateway.failures import Failure
from letta_grpc.gateway.upstream import run_id_of, settled
from letta_grpc.v1 import events_pb2, run_service_pb2


class Following:
    """An accepted stream of one run, from its first event on. To be closed."""

    def __init__(self, call: Any, run_id: str) -> None:  # noqa: ANN401 - a call of any channel
        self._call = call
        self.run_id = run_id

    async def read(self) -> Sequence[events_pb2.RunEvent] | None:
        """Return the next events; None behind the last. Raises Failure."""
        response: Any = await settled(self._call.read())
        events: Sequence[events_pb2.RunEvent] | None = getattr(response, "events", None)
        return events

    def close(self) -> None:
        """End the following; the run goes on."""
        self._call.cancel()


async def started(ask: Ask, request: run_service_pb2.StreamRunRequest) -> Following:
    """Start a run and follow it. Returns once it is accepted. Raises Failure."""
    return await _accepted(ask.services.runs.StreamRun(request, metadata=ask.metadata))


async def attached(ask: Ask, run_id: str, options: run_service_pb2.StreamOptions) -> Following:
    """Follow a run from its first event. Raises Failure.

    From the first whatever the reader has: what a piece is called depends on the pieces before it.
    """
    request = run_service_pb2.AttachRunRequest(run_id=run_id, options=options)
    return await _accepted(ask.services.runs.AttachRun(request, metadata=ask.metadata))


async def _accepted(call: Any) -> Following:  # noqa: ANN401 - a call of any channel
    try:
        run_id = await run_id_of(call)
        if run_id is None:
            # It was refused: reading says why.
            await settled(call.read())
            await settled(call.code())
    except (Failure, asyncio.CancelledError):
        call.cancel()
        raise
    return Following(call, run_id or "")
