"""Watching calls: the hook for telemetry. It works the same over a socket and in process."""

from collections.abc import Mapping
from typing import Protocol

from grpc import StatusCode


class RpcObservation(Protocol):
    """One call under way."""

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context of the call's own span; None leaves it to what the caller sent."""
        ...

    def run(self, run_id: str) -> None:
        """The call is about this run."""
        ...

    def sent(self, events: int) -> None:
        """A response went out, with this number of stored events in it."""
        ...

    def ended(self, code: StatusCode, reason: str | None) -> None:
        """The call ended. CANCELLED and DEADLINE_EXCEEDED are told too; `reason` is the one of ErrorInfo."""
        ...


class RpcObserver(Protocol):
    """Is told of every call of our services, before anything else happens in it."""

    def started(self, method: str, metadata: Mapping[str, str]) -> RpcObservation:
        """A call began. `method` is `package.Service/Method`; `metadata` holds its textual metadata but no credentials."""
        ...


class NoObservation:
    """A call that nobody watches."""

    traceparent: str | None = None

    def run(self, run_id: str) -> None:
        """Do nothing."""

    def sent(self, events: int) -> None:
        """Do nothing."""

    def ended(self, code: StatusCode, reason: str | None) -> None:
        """Do nothing."""


class NoObserver:
    """Nobody watches."""

    _nobody = NoObservation()

    def started(self, method: str, metadata: Mapping[str, str]) -> RpcObservation:  # noqa: ARG002 - the protocol's shape
        """Return an observation that does nothing."""
        return self._nobody
