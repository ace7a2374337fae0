"""The client's side of a call, and what a servicer sees of it."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Never, Protocol

import grpc

from letta_grpc.transport.keys import AUTHORIZATION
from letta_grpc.transport.methods import RUN_ID_KEY
from letta_grpc.transport.observers import RpcObservation
from letta_grpc.transport.traces import valid_traceparent

Metadata = Sequence[tuple[str, str | bytes]]


class Wire(Protocol):
    """The client's side of a call: grpc.aio's ServicerContext, or its twin in process."""

    def invocation_metadata(self) -> Metadata | grpc.aio.Metadata | None:
        """What the client sent beside the request."""
        ...

    def peer(self) -> str:
        """The other end of the connection, as grpc writes it: ipv4:127.0.0.1:50051."""
        ...

    def time_remaining(self) -> float | None:
        """How long until the call's deadline."""
        ...

    async def send_initial_metadata(self, metadata: Metadata, /) -> None:
        """Send metadata ahead of the first response."""
        ...

    async def write(self, message: bytes, /) -> None:
        """Send a response; waits while the client does not read."""
        ...

    async def abort(self, code: grpc.StatusCode, details: str, trailing_metadata: Metadata) -> Never:
        """End the call with this status; raises to leave the handler."""
        ...


class LiveCall:
    """A call under way: what its servicer sees."""

    def __init__(self, wire: Wire, metadata: Mapping[str, str], observation: RpcObservation) -> None:
        self._wire = wire
        self._metadata = metadata
        self.observation = observation

    @property
    def traceparent(self) -> str | None:
        """The trace context of the call's span, else the caller's."""
        return self.observation.traceparent or valid_traceparent(self._metadata.get("traceparent"))

    @property
    def caller(self) -> str:
        """A short name for whoever holds the API key of the call, which does not tell the key; empty without one."""
        sent = self._metadata.get(AUTHORIZATION, "")
        return sha256(sent.encode()).hexdigest()[:12] if sent else ""

    async def announce(self, run_id: str) -> None:
        """Send the run's id as initial metadata, at once."""
        self.observation.run(run_id)
        await self._wire.send_initial_metadata(((RUN_ID_KEY, run_id),))


def text_metadata(metadata: Metadata | grpc.aio.Metadata | None) -> dict[str, str]:
    """Return metadata without what is binary."""
    return {key: value for key, value in metadata or () if isinstance(value, str)}
