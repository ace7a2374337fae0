"""Errors on the wire: one row per class of `domain.errors`, and the details that go with a status.

Rule: every LettaError has its row in STATUSES; a test walks the tree.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # nobody publishes stubs of it
from grpc import StatusCode

from letta_grpc.domain import errors
from letta_grpc.transport.convert.times import seconds_to_pb
from letta_grpc.v1 import errors_pb2

DOMAIN = "letta-grpc"
DETAILS_KEY = "grpc-status-details-bin"
# grpc replaces a status whose trailers are larger than about 8 KiB by one of its own, and base64 adds a third.
MAX_DETAILS_BYTES = 6144
_MAX_MESSAGE = 512
_MAX_VALUE = 256
_MAX_METADATA_ENTRIES = 16


@dataclass(frozen=True, slots=True)
class Statuses:
    """What a call ends with that failed, by gRPC and by HTTP."""

    code: StatusCode
    http: HTTPStatus


_INTERNAL = Statuses(StatusCode.INTERNAL, HTTPStatus.INTERNAL_SERVER_ERROR)

STATUSES: Mapping[type[errors.LettaError], Statuses] = {
    errors.LettaError: _INTERNAL,
    errors.InvalidRequest: Statuses(StatusCode.INVALID_ARGUMENT, HTTPStatus.BAD_REQUEST),
    errors.ModelUnknown: Statuses(StatusCode.INVALID_ARGUMENT, HTTPStatus.BAD_REQUEST),
    errors.ToolSourceInvalid: Statuses(StatusCode.INVALID_ARGUMENT, HTTPStatus.BAD_REQUEST),
    errors.Unauthenticated: Statuses(StatusCode.UNAUTHENTICATED, HTTPStatus.UNAUTHORIZED),
    errors.CredentialsMissing: Statuses(StatusCode.UNAUTHENTICATED, HTTPStatus.UNAUTHORIZED),
    errors.CredentialsInvalid: Statuses(StatusCode.UNAUTHENTICATED, HTTPStatus.UNAUTHORIZED),
    errors.NotFound: Statuses(StatusCode.NOT_FOUND, HTTPStatus.NOT_FOUND),
    errors.AgentNotFound: Statuses(StatusCode.NOT_FOUND, HTTPStatus.NOT_FOUND),
    errors.BlockNotFound: Statuses(StatusCode.NOT_FOUND, HTTPStatus.NOT_FOUND),
    errors.ConversationNotFound: Statuses(StatusCode.NOT_FOUND, HTTPStatus.NOT_FOUND),
    errors.McpServerNotFound: Statuses(StatusCode.NOT_FOUND, HTTPStatus.NOT_FOUND),
    errors.PassageNotFound: Statuses(StatusCode.NOT_FOUND, HTTPStatus.NOT_FOUND),
    errors.RunNotFound: Statuses(StatusCode.NOT_FOUND, HTTPStatus.NOT_FOUND),
    errors.StepNotFound: Statuses(StatusCode.NOT_FOUND, HTTPStatus.NOT_FOUND),
    errors.ToolNotFound: Statuses(StatusCode.NOT_FOUND, HTTPStatus.NOT_FOUND),
    errors.AlreadyExists: Statuses(StatusCode.ALREADY_EXISTS, HTTPStatus.CONFLICT),
    errors.RequestIdReused: Statuses(StatusCode.ALREADY_EXISTS, HTTPStatus.CONFLICT),
    errors.NameTaken: Statuses(StatusCode.ALREADY_EXISTS, HTTPStatus.CONFLICT),
    errors.Conflict: Statuses(StatusCode.ABORTED, HTTPStatus.CONFLICT),
    errors.ConversationBusy: Statuses(StatusCode.ABORTED, HTTPStatus.CONFLICT),
    errors.ConcurrentChange: Statuses(StatusCode.ABORTED, HTTPStatus.CONFLICT),
    errors.StreamRecycled: Statuses(StatusCode.ABORTED, HTTPStatus.CONFLICT),
    errors.FailedPrecondition: Statuses(StatusCode.FAILED_PRECONDITION, HTTPStatus.BAD_REQUEST),
    errors.ResourceInUse: Statuses(StatusCode.FAILED_PRECONDITION, HTTPStatus.BAD_REQUEST),
    errors.ApprovalPending: Statuses(StatusCode.FAILED_PRECONDITION, HTTPStatus.BAD_REQUEST),
    errors.ApprovalExpired: Statuses(StatusCode.FAILED_PRECONDITION, HTTPStatus.BAD_REQUEST),
    errors.ApprovalAlreadyResolved: Statuses(StatusCode.FAILED_PRECONDITION, HTTPStatus.BAD_REQUEST),
    errors.ToolSandboxUnavailable: Statuses(StatusCode.FAILED_PRECONDITION, HTTPStatus.BAD_REQUEST),
    errors.McpServerFailed: Statuses(StatusCode.FAILED_PRECONDITION, HTTPStatus.BAD_REQUEST),
    errors.OutOfRange: Statuses(StatusCode.OUT_OF_RANGE, HTTPStatus.BAD_REQUEST),
    errors.EventsExpired: Statuses(StatusCode.OUT_OF_RANGE, HTTPStatus.GONE),
    errors.CursorAhead: Statuses(StatusCode.OUT_OF_RANGE, HTTPStatus.BAD_REQUEST),
    errors.Exhausted: Statuses(StatusCode.RESOURCE_EXHAUSTED, HTTPStatus.TOO_MANY_REQUESTS),
    errors.QueueFull: Statuses(StatusCode.RESOURCE_EXHAUSTED, HTTPStatus.TOO_MANY_REQUESTS),
    errors.TooManyStreams: Statuses(StatusCode.RESOURCE_EXHAUSTED, HTTPStatus.TOO_MANY_REQUESTS),
    errors.MessageTooLarge: Statuses(StatusCode.RESOURCE_EXHAUSTED, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    errors.Unavailable: Statuses(StatusCode.UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE),
    errors.ServerDraining: Statuses(StatusCode.UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE),
    errors.StoreUnavailable: Statuses(StatusCode.UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE),
    errors.EmbeddingsFailed: Statuses(StatusCode.UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE),
    errors.Internal: _INTERNAL,
    # These stand in `Run.error`; none of them ever ends a call.
    errors.RunFailure: _INTERNAL,
    errors.ModelFailure: _INTERNAL,
    errors.ModelRateLimited: _INTERNAL,
    errors.ModelOverloaded: _INTERNAL,
    errors.ModelTimeout: _INTERNAL,
    errors.ModelAuthFailed: _INTERNAL,
    errors.ModelBadRequest: _INTERNAL,
    errors.ContextWindowExceeded: _INTERNAL,
    errors.InsufficientCredits: _INTERNAL,
    errors.InvalidModelOutput: _INTERNAL,
    errors.RunTimeout: _INTERNAL,
    errors.RunLost: _INTERNAL,
}


@dataclass(frozen=True, slots=True)
class CallStatus:
    """What a call ends with; `reason` is the one of ErrorInfo."""

    code: StatusCode
    reason: str | None = None
    message: str = ""
    trailers: tuple[tuple[str, bytes], ...] = ()


def status_of(error: errors.LettaError) -> CallStatus:
    """Return the status of an error, with details that fit into the trailers of any grpc."""
    code = STATUSES[type(error)].code
    number: int = code.value[0]
    message = _cut(error.message, _MAX_MESSAGE)
    status = status_pb2.Status(code=number, message=message)
    for detail in _details(error):
        packed = Any()
        packed.Pack(detail)
        if status.ByteSize() + packed.ByteSize() < MAX_DETAILS_BYTES:
            status.details.append(packed)
    return CallStatus(code, error.reason, message, ((DETAILS_KEY, status.SerializeToString()),))


def refusal_of(error: errors.LettaError) -> errors_pb2.Refusal:
    """Return an error as it is told on a stream that goes on."""
    code: int = STATUSES[type(error)].code.value[0]
    refusal = errors_pb2.Refusal(
        code=code, reason=error.reason, message=_cut(error.message, _MAX_MESSAGE), metadata=_metadata(error)
    )
    if error.retry_delay_seconds is not None:
        refusal.retry_delay.CopyFrom(seconds_to_pb(error.retry_delay_seconds))
    return refusal


def _metadata(error: errors.LettaError) -> dict[str, str]:
    metadata = list(error.metadata.items())[:_MAX_METADATA_ENTRIES]
    return {key: _cut(value, _MAX_VALUE // 2) for key, value in metadata}


def _details(error: errors.LettaError) -> Iterator[Message]:
    yield error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=_metadata(error))
    if error.retry_delay_seconds is not None:
        yield error_details_pb2.RetryInfo(retry_delay=seconds_to_pb(error.retry_delay_seconds))
    if isinstance(error, errors.Exhausted):
        violation = error_details_pb2.QuotaFailure.Violation(subject=error.reason, description=_cut(error.message, _MAX_VALUE))
        yield error_details_pb2.QuotaFailure(violations=[violation])
    if isinstance(error, errors.InvalidRequest) and error.fields:
        yield _bad_request(error.fields)


def _bad_request(fields: Mapping[str, str]) -> error_details_pb2.BadRequest:
    """Return as many violations as fit beside the other details; what is cut says so."""
    found = error_details_pb2.BadRequest()
    for path, rule in fields.items():
        if found.ByteSize() > MAX_DETAILS_BYTES // 3:
            rest = len(fields) - len(found.field_violations)
            found.field_violations.add(field="", description=f"and {rest} more")
            break
        found.field_violations.add(field=_cut(path, _MAX_VALUE), description=_cut(rule, _MAX_VALUE))
    return found


def _cut(text: str, size: int) -> str:
    """Return a text cut to `size` bytes."""
    raw = text.encode(errors="replace")
    return text if len(raw) <= size else raw[: size - 1].decode(errors="ignore") + "…"
