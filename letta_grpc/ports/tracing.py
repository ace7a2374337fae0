"""What the engine tells about itself: spans and measures. The contract: `letta_grpc.testing.tracing`."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from letta_grpc.domain.completions import ModelRequest
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.messages import ToolCall
from letta_grpc.domain.runs import Run
from letta_grpc.domain.usage import Usage


class Span(Protocol):
    """Something under way."""

    def fail(self, reason: str) -> None:
        """Say that it went wrong, by a reason of ErrorInfo."""
        ...

    def first_token(self) -> None:
        """Say that the first token came now."""
        ...

    def used(self, usage: Usage) -> None:
        """Say what the model call cost."""
        ...


class Tracing(Protocol):
    """Opens spans, each inside the one that is open in the same task. A run's span belongs to its caller's trace."""

    def run(self, run: Run, traceparent: str | None) -> AbstractContextManager[Span]:
        """Open the span of a run, given as it starts, for as long as it is worked on."""
        ...

    def step(self, run_id: RunId, index: int) -> AbstractContextManager[Span]:
        """Open the span of one step."""
        ...

    def model_call(self, handle: str, request: ModelRequest) -> AbstractContextManager[Span]:
        """Open the span of one call of a model."""
        ...

    def tool_call(self, call: ToolCall) -> AbstractContextManager[Span]:
        """Open the span of one execution of a tool."""
        ...

    def headers(self) -> Mapping[str, str]:
        """Return the trace context of the open span, for outgoing calls and for storing: W3C `traceparent`."""
        ...


class NoSpan:
    """A span that nobody looks at."""

    def fail(self, reason: str) -> None:
        """Do nothing."""

    def first_token(self) -> None:
        """Do nothing."""

    def used(self, usage: Usage) -> None:
        """Do nothing."""


_NO_SPAN = nullcontext(NoSpan())


class NoTracing:
    """Telemetry switched off."""

    def run(self, run: Run, traceparent: str | None) -> AbstractContextManager[Span]:  # noqa: ARG002 - the port's shape
        """Return a span that nobody looks at."""
        return _NO_SPAN

    def step(self, run_id: RunId, index: int) -> AbstractContextManager[Span]:  # noqa: ARG002 - the port's shape
        """Return a span that nobody looks at."""
        return _NO_SPAN

    def model_call(self, handle: str, request: ModelRequest) -> AbstractContextManager[Span]:  # noqa: ARG002 - the port's shape
        """Return a span that nobody looks at."""
        return _NO_SPAN

    def tool_call(self, call: ToolCall) -> AbstractContextManager[Span]:  # noqa: ARG002 - the port's shape
        """Return a span that nobody looks at."""
        return _NO_SPAN

    def headers(self) -> Mapping[str, str]:
        """Return no headers."""
        return {}
