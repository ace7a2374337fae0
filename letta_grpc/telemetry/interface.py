"""What the rest of the server gets of telemetry.

How calls are told has the transport's shape; neither side imports the other.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from grpc import StatusCode

from letta_grpc.ports.tracing import Tracing


class RpcObservation(Protocol):
    """One call under way."""

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context of the call's own span."""
        ...

    def run(self, run_id: str) -> None:
        """The call is about this run."""
        ...

    def sent(self, events: int) -> None:
        """A response went out, with this number of events in it."""
        ...

    def ended(self, code: StatusCode, reason: str | None) -> None:
        """The call ended."""
        ...


class RpcObserver(Protocol):
    """Is told of every call."""

    def started(self, method: str, metadata: Mapping[str, str]) -> RpcObservation:
        """A call began. `method` is `package.Service/Method`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """Telemetry switched on. `shutdown` sends what waits; it blocks, for seconds if nobody takes it."""

    tracing: Tracing
    rpc: RpcObserver | None
    shutdown: Callable[[], None]
