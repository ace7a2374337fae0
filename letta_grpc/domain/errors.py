"""Every failure that a caller or a run can meet.

    LettaError                      whose fault, and would a retry help?
    ├── InvalidRequest              the caller's; no       (with the paths of the fields)
    │   └── ModelUnknown · ToolSourceInvalid
    ├── Unauthenticated             the caller's; with another key
    │   ├── CredentialsMissing
    │   └── CredentialsInvalid
    ├── NotFound                    the caller's; no
    │   └── AgentNotFound · BlockNotFound · ConversationNotFound · McpServerNotFound · PassageNotFound · RunNotFound ·
    │       StepNotFound · ToolNotFound
    ├── AlreadyExists               the caller's; no
    │   ├── RequestIdReused · NameTaken
    ├── Conflict                    nobody's; yes, later
    │   ├── ConversationBusy · ConcurrentChange · StreamRecycled
    ├── FailedPrecondition          the caller's; after another call
    │   └── ResourceInUse · ApprovalPending · ApprovalExpired · ApprovalAlreadyResolved · ToolSandboxUnavailable ·
    │       McpServerFailed
    ├── OutOfRange                  the caller's; from another number
    │   ├── EventsExpired · CursorAhead
    ├── Exhausted                   nobody's; yes, later
    │   ├── QueueFull · TooManyStreams
    ├── MessageTooLarge             the caller's; no
    ├── Unavailable                 the server's; yes
    │   └── ServerDraining · StoreUnavailable · EmbeddingsFailed
    ├── Internal                    the server's; no
    └── RunFailure                  ends a run, never a call
        ├── ModelFailure            ModelRateLimited · ModelOverloaded · ModelTimeout · ModelAuthFailed ·
        │                           ModelBadRequest · ContextWindowExceeded · InsufficientCredits · InvalidModelOutput
        ├── RunTimeout
        └── RunLost

Two more never reach a caller: `LeaseLost` and `CancelRequested` are what the journal tells a writer that may not write.
"""

from collections.abc import Mapping
from typing import ClassVar


class LettaError(Exception):
    """Something went wrong."""

    reason: ClassVar[str] = "INTERNAL"
    # How long a caller should wait before it tries again; None where trying again does not help.
    retry_delay_seconds: float | None = None

    def __init__(self, message: str | None = None, /, **metadata: str) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.metadata: Mapping[str, str] = metadata
        super().__init__(self.message)


class InvalidRequest(LettaError):
    """The request breaks a rule."""

    reason = "INVALID_REQUEST"

    def __init__(self, message: str | None = None, /, *, fields: Mapping[str, str] | None = None, **metadata: str) -> None:
        self.fields = dict(fields or {})
        super().__init__(message or "; ".join(f"{path}: {rule}" for path, rule in self.fields.items()) or None, **metadata)


class ModelUnknown(InvalidRequest):
    """No configured provider has this model."""

    reason = "MODEL_UNKNOWN"


class ToolSourceInvalid(InvalidRequest):
    """The source code does not define a tool."""

    reason = "TOOL_SOURCE_INVALID"


class Unauthenticated(LettaError):
    """The caller is not known."""


class CredentialsMissing(Unauthenticated):
    """This server wants an API key: send it as `authorization: Bearer <key>`."""

    reason = "CREDENTIALS_MISSING"


class CredentialsInvalid(Unauthenticated):
    """The API key is not one of this server's."""

    reason = "CREDENTIALS_INVALID"


class NotFound(LettaError):
    """There is no such thing."""


class AgentNotFound(NotFound):
    """There is no such agent."""

    reason = "AGENT_NOT_FOUND"


class BlockNotFound(NotFound):
    """There is no such memory block."""

    reason = "BLOCK_NOT_FOUND"


class ConversationNotFound(NotFound):
    """There is no such conversation."""

    reason = "CONVERSATION_NOT_FOUND"


class McpServerNotFound(NotFound):
    """There is no such MCP server."""

    reason = "MCP_SERVER_NOT_FOUND"


class PassageNotFound(NotFound):
    """There is no such passage."""

    reason = "PASSAGE_NOT_FOUND"


class RunNotFound(NotFound):
    """There is no such run."""

    reason = "RUN_NOT_FOUND"


class StepNotFound(NotFound):
    """There is no such step, or it is not completed."""

    reason = "STEP_NOT_FOUND"


class ToolNotFound(NotFound):
    """There is no such tool."""

    reason = "TOOL_NOT_FOUND"


class AlreadyExists(LettaError):
    """It exists already."""


class RequestIdReused(AlreadyExists):
    """This request id has been used for another payload."""

    reason = "REQUEST_ID_REUSED"


class NameTaken(AlreadyExists):
    """The name is taken."""

    reason = "NAME_TAKEN"


class Conflict(LettaError):
    """Somebody else was first."""

    retry_delay_seconds = 0.5


class ConversationBusy(Conflict):
    """The conversation has an active run: wait for its end, or start with ENQUEUE or INTERRUPT."""

    reason = "CONVERSATION_BUSY"
    retry_delay_seconds = 1.0


class ConcurrentChange(Conflict):
    """Another writer changed it first."""

    reason = "CONCURRENT_CHANGE"


class StreamRecycled(Conflict):
    """The server ended this stream to spread its connections: attach again."""

    reason = "STREAM_RECYCLED"
    retry_delay_seconds = 0.0


class FailedPrecondition(LettaError):
    """Something else must happen first."""


class ResourceInUse(FailedPrecondition):
    """It is in use."""

    reason = "RESOURCE_IN_USE"


class ApprovalPending(FailedPrecondition):
    """The conversation waits for answers to tool calls: answer them, or start with ENQUEUE or INTERRUPT."""

    reason = "APPROVAL_PENDING"


class ApprovalExpired(FailedPrecondition):
    """The call was denied before this answer came: it waited too long, or was given up."""

    reason = "APPROVAL_EXPIRED"


class ApprovalAlreadyResolved(FailedPrecondition):
    """The call was answered before, by another input."""

    reason = "APPROVAL_ALREADY_RESOLVED"


class ToolSandboxUnavailable(FailedPrecondition):
    """This server cannot contain tools, and is not allowed to run them uncontained."""

    reason = "TOOL_SANDBOX_UNAVAILABLE"


class McpServerFailed(FailedPrecondition):
    """The MCP server did not answer as it should."""

    # Whatever repeats what is unavailable would start a command that is broken over and over, or wait as often for one that
    # hangs: somebody has to look after it first.
    reason = "MCP_SERVER_FAILED"


class OutOfRange(LettaError):
    """The number is outside of what there is."""


class EventsExpired(OutOfRange):
    """These events are no longer kept."""

    reason = "EVENTS_EXPIRED"


class CursorAhead(OutOfRange):
    """The number is beyond the run's last event."""

    reason = "CURSOR_AHEAD"


class Exhausted(LettaError):
    """There is no room for more."""

    retry_delay_seconds = 1.0


class QueueFull(Exhausted):
    """As many runs wait for this conversation as it takes."""

    reason = "QUEUE_FULL"


class TooManyStreams(Exhausted):
    """The server has as many open streams as it takes."""

    reason = "TOO_MANY_STREAMS"


class MessageTooLarge(LettaError):
    """The request is larger than the server takes, or its answer than clients take."""

    reason = "MESSAGE_TOO_LARGE"


class Unavailable(LettaError):
    """The server cannot do this now."""

    retry_delay_seconds = 1.0


class ServerDraining(Unavailable):
    """The server is stopping: attach again, here later or elsewhere."""

    reason = "SERVER_DRAINING"
    retry_delay_seconds = 0.5


class StoreUnavailable(Unavailable):
    """The database did not take or give the data."""

    reason = "STORE_UNAVAILABLE"


class EmbeddingsFailed(Unavailable):
    """The embedding model did not answer as it should."""

    reason = "EMBEDDINGS_FAILED"


class Internal(LettaError):
    """The server failed in a way that it does not disclose; its log has the details."""

    reason = "INTERNAL"


class RunFailure(LettaError):
    """The run failed."""


class ModelFailure(RunFailure):
    """The model's provider failed."""


class ModelRateLimited(ModelFailure):
    """The model's provider limits the rate."""

    reason = "MODEL_RATE_LIMITED"


class ModelOverloaded(ModelFailure):
    """The model's provider is overloaded, failing or out of reach."""

    reason = "MODEL_OVERLOADED"


class ModelTimeout(ModelFailure):
    """The model's provider did not answer in time."""

    reason = "MODEL_TIMEOUT"


class ModelAuthFailed(ModelFailure):
    """The model's provider refused the API key, or none is configured."""

    reason = "MODEL_AUTH_FAILED"


class ModelBadRequest(ModelFailure):
    """The model's provider refused the request."""

    reason = "MODEL_BAD_REQUEST"


class ContextWindowExceeded(ModelFailure):
    """The context does not fit the model."""

    reason = "CONTEXT_WINDOW_EXCEEDED"


class InsufficientCredits(ModelFailure):
    """The account at the model's provider has no credit."""

    reason = "INSUFFICIENT_CREDITS"


class InvalidModelOutput(ModelFailure):
    """What the model's provider sent is not an answer, or was cut."""

    reason = "INVALID_MODEL_OUTPUT"


class RunTimeout(RunFailure):
    """The run took longer than its run_timeout."""

    reason = "RUN_TIMEOUT"


class RunLost(RunFailure):
    """The run was taken over too often without getting any further."""

    reason = "RUN_LOST"


class LeaseLost(Exception):
    """Another attempt owns the run: whatever this writer still has is void."""


class CancelRequested(Exception):
    """The run is being cancelled: no tool may start."""
