"""What can go wrong, as exceptions.

    LettaError                     .code .reason .message .metadata .retry_delay .retryable
    ├── InvalidRequest             the request breaks a rule (.fields)
    │   └── ModelUnknown · ToolSourceInvalid
    ├── Unauthenticated · PermissionDenied
    ├── NotFound                   AgentNotFound · BlockNotFound · ConversationNotFound · McpServerNotFound · PassageNotFound ·
    │                              RunNotFound · StepNotFound · ToolNotFound
    ├── AlreadyExists              RequestIdReused · NameTaken
    ├── Conflict                   ConversationBusy (.active_run_id) · ConcurrentChange
    ├── FailedPrecondition         ResourceInUse (.active_run_id) · ApprovalPending (.run_id, .tool_call_ids) ·
    │                              ApprovalExpired · ApprovalAlreadyResolved · ToolSandboxUnavailable
    ├── OutOfRange                 EventsExpired (.oldest, .last) · CursorAhead (.last)
    ├── Exhausted                  QueueFull · TooManyStreams · MessageTooLarge
    │   └── TurnExhausted          a turn's steps or time are used up (.run_id, .tool_call_ids); raised by turns alone
    ├── ServerUnavailable          out of reach, stopping, or the connection broke
    │   └── StreamBroken           a stream fell silent, left events out or ended too early
    ├── UpstreamFailed             McpServerFailed · EmbeddingsFailed
    ├── DeadlineExceeded           no answer within the call's time
    ├── ServerError                a fault of the server's
    ├── StreamClosed               the caller closed the stream, or the client, that it asks
    └── RunFailed                  the run ended FAILED (.run); raised by `text()` alone

A reason or code that is not listed here becomes the nearest class that is; `reason` always holds the server's word.
"""

# ruff: noqa: N818 - the names say what happened, as in the domain; `except NotFound` reads well

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import grpc

from letta_grpc.v1 import runs_pb2

# What proxies, connections and crashed servers send: no word of our server's, so another try may meet a healthy one.
_BROKEN_CONNECTION = frozenset(
    {
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)
_PASSING_REASONS = frozenset({"STREAM_RECYCLED", "TOO_MANY_STREAMS"})
# How entries of metadata end that name a thing.
_NAMES_OF_THINGS = ("_id", "_ids", "name", "label")


class LettaError(Exception):
    """A call failed."""

    reasons: ClassVar[tuple[str, ...]] = ()
    codes: ClassVar[tuple[grpc.StatusCode, ...]] = ()

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode | None = None,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        retry_delay: float | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.metadata: Mapping[str, str] = dict(metadata or {})
        # Seconds that the server asks to wait before another try; None where it says nothing.
        self.retry_delay = retry_delay
        # What is wrong with the request, by the path of the field.
        self.fields: Mapping[str, str] = dict(fields or {})

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed when it is made again."""
        if self.code is grpc.StatusCode.UNAVAILABLE or self.reason in _PASSING_REASONS:
            return True
        return not self.reason and self.code in _BROKEN_CONNECTION

    def __str__(self) -> str:
        told = ", ".join(filter(None, [self.reason or (self.code.name if self.code else ""), *self._things()]))
        return f"{self.message} ({told})" if told else self.message

    def __repr__(self) -> str:
        facts = {"reason": self.reason, **self.metadata, **self.fields}
        told = "".join(f", {name}={value!r}" for name, value in facts.items() if value)
        return f"{type(self).__name__}({self.message!r}{told})"

    def _things(self) -> Iterator[str]:
        """Yield which agent, run or tool it is about, unless the message says so. Other facts are for programs."""
        # The wire keeps no order.
        for name, value in sorted(self.metadata.items()):
            if name.endswith(_NAMES_OF_THINGS) and value not in self.message:
                yield f"{name}={value}"


class InvalidRequest(LettaError):
    """The request breaks a rule; `fields` says which field breaks which."""

    reasons = ("INVALID_REQUEST",)
    codes = (grpc.StatusCode.INVALID_ARGUMENT,)


class ModelUnknown(InvalidRequest):
    """No provider of the server's has the model."""

    reasons = ("MODEL_UNKNOWN",)


class ToolSourceInvalid(InvalidRequest):
    """The source code does not define a tool; the message says what is wrong with it."""

    reasons = ("TOOL_SOURCE_INVALID",)


class Unauthenticated(LettaError):
    """The server wants an API key, or another one."""

    reasons = ("CREDENTIALS_MISSING", "CREDENTIALS_INVALID")
    codes = (grpc.StatusCode.UNAUTHENTICATED,)


class PermissionDenied(LettaError):
    """This API key may not do this."""

    codes = (grpc.StatusCode.PERMISSION_DENIED,)


class NotFound(LettaError):
    """There is no such thing."""

    codes = (grpc.StatusCode.NOT_FOUND,)


class AgentNotFound(NotFound):
    """There is no such agent."""

    reasons = ("AGENT_NOT_FOUND",)


class BlockNotFound(NotFound):
    """There is no such memory block."""

    reasons = ("BLOCK_NOT_FOUND",)


class ConversationNotFound(NotFound):
    """There is no such conversation."""

    reasons = ("CONVERSATION_NOT_FOUND",)


class McpServerNotFound(NotFound):
    """There is no such MCP server."""

    reasons = ("MCP_SERVER_NOT_FOUND",)


class PassageNotFound(NotFound):
    """There is no such passage."""

    reasons = ("PASSAGE_NOT_FOUND",)


class RunNotFound(NotFound):
    """There is no such run."""

    reasons = ("RUN_NOT_FOUND",)


class StepNotFound(NotFound):
    """There is no such step, or it is not completed."""

    reasons = ("STEP_NOT_FOUND",)


class ToolNotFound(NotFound):
    """There is no such tool."""

    reasons = ("TOOL_NOT_FOUND",)


class AlreadyExists(LettaError):
    """It exists already."""

    codes = (grpc.StatusCode.ALREADY_EXISTS,)


class RequestIdReused(AlreadyExists):
    """The request id stands for another payload."""

    reasons = ("REQUEST_ID_REUSED",)


class NameTaken(AlreadyExists):
    """The name or label is taken."""

    reasons = ("NAME_TAKEN",)


class Conflict(LettaError):
    """Somebody else was first; later it may work."""

    codes = (grpc.StatusCode.ABORTED,)


class ConversationBusy(Conflict):
    """The conversation has an active run."""

    reasons = ("CONVERSATION_BUSY",)

    @property
    def active_run_id(self) -> str:
        """The run that keeps it busy."""
        return self.metadata.get("active_run_id", "")


class ConcurrentChange(Conflict):
    """Another writer changed the resource first: read it and try again."""

    reasons = ("CONCURRENT_CHANGE",)


class FailedPrecondition(LettaError):
    """Something else must happen first."""

    codes = (grpc.StatusCode.FAILED_PRECONDITION,)


class ResourceInUse(FailedPrecondition):
    """It is in use."""

    reasons = ("RESOURCE_IN_USE",)

    @property
    def active_run_id(self) -> str:
        """The run that uses it."""
        return self.metadata.get("active_run_id", "")


class _CallsWait:
    """What is told of calls that wait."""

    metadata: Mapping[str, str]

    @property
    def run_id(self) -> str:
        """The run that waits."""
        return self.metadata.get("run_id", "")

    @property
    def tool_call_ids(self) -> Sequence[str]:
        """The calls that wait."""
        return [call_id for call_id in self.metadata.get("tool_call_ids", "").split(",") if call_id]


class ApprovalPending(_CallsWait, FailedPrecondition):
    """Tool calls of the conversation wait for answers: see `client.answer`."""

    reasons = ("APPROVAL_PENDING",)


class ApprovalExpired(FailedPrecondition):
    """The call was denied before this answer came: it waited too long, or was given up."""

    reasons = ("APPROVAL_EXPIRED",)


class ApprovalAlreadyResolved(FailedPrecondition):
    """The call was answered before, by another input."""

    reasons = ("APPROVAL_ALREADY_RESOLVED",)


class ToolSandboxUnavailable(FailedPrecondition):
    """The server cannot contain tools, and does not run them uncontained."""

    reasons = ("TOOL_SANDBOX_UNAVAILABLE",)


class OutOfRange(LettaError):
    """The number is outside of what there is."""

    codes = (grpc.StatusCode.OUT_OF_RANGE,)

    @property
    def last(self) -> int:
        """The number of the run's last event."""
        return int(self.metadata.get("last", "0"))


class EventsExpired(OutOfRange):
    """The events after the given number are no longer kept; the run and its messages are."""

    reasons = ("EVENTS_EXPIRED",)

    @property
    def oldest(self) -> int:
        """The number of the oldest event that is kept; 0 if none is."""
        return int(self.metadata.get("oldest", "0"))


class CursorAhead(OutOfRange):
    """The number is beyond the run's last event."""

    reasons = ("CURSOR_AHEAD",)


class Exhausted(LettaError):
    """There is no room for more."""

    codes = (grpc.StatusCode.RESOURCE_EXHAUSTED,)


class QueueFull(Exhausted):
    """As many runs wait for the conversation as it takes."""

    reasons = ("QUEUE_FULL",)


class TooManyStreams(Exhausted):
    """The server has as many open streams as it takes."""

    reasons = ("TOO_MANY_STREAMS",)


class MessageTooLarge(Exhausted):
    """The request is larger than the server takes, or its answer than clients take."""

    reasons = ("MESSAGE_TOO_LARGE",)


class TurnExhausted(_CallsWait, Exhausted):
    """A turn has used up its steps or its time, and its model still calls. Nothing is gained by waiting."""


class ServerUnavailable(LettaError):
    """The server is out of reach or stopping, or the connection broke."""

    reasons = ("SERVER_DRAINING", "STORE_UNAVAILABLE", "STREAM_RECYCLED")
    codes = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DATA_LOSS)


class StreamBroken(ServerUnavailable):
    """A stream fell silent, left events out or ended too early, and did not recover."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code=grpc.StatusCode.UNAVAILABLE)


class UpstreamFailed(LettaError):
    """Somebody whom the server asked did not answer as it should."""


class McpServerFailed(UpstreamFailed):
    """An MCP server did not answer as it should."""

    reasons = ("MCP_SERVER_FAILED",)


class EmbeddingsFailed(UpstreamFailed):
    """The embedding model did not answer as it should."""

    reasons = ("EMBEDDINGS_FAILED",)


class DeadlineExceeded(LettaError):
    """No answer came within the call's time. What was asked may have been done."""

    codes = (grpc.StatusCode.DEADLINE_EXCEEDED,)


class ServerError(LettaError):
    """The server failed in a way that it does not disclose."""

    reasons = ("INTERNAL",)
    codes = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED)


class StreamClosed(LettaError):
    """The caller closed the stream before the run ended, or the client; runs go on."""


class RunFailed(LettaError):
    """The run ended FAILED. `reason`, `message` and `metadata` are those of the run's error."""

    def __init__(self, run: runs_pb2.Run) -> None:
        super().__init__(run.error.message or "the run failed", reason=run.error.reason, metadata=run.error.metadata)
        self.run = run

    def __reduce__(self) -> tuple[Any, ...]:
        # By itself an exception is made again of its message: one that cannot be takes a whole process pool down.
        return type(self), (self.run,), vars(self)
