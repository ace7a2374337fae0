"""Failures as HTTP tells them: a status, and `{"error": {"code", "status", "message", "details"}}` (AIP-193).

The HTTP status follows from the gRPC code, and for a few reasons from the reason.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import orjson
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # nobody publishes stubs of it

from letta_grpc.gateway.outages import outages

DOMAIN = "letta-grpc"
INVALID_REQUEST = "INVALID_REQUEST"
_DETAILS_KEY = "grpc-status-details-bin"
# grpc's own text names addresses that are nobody's business out here.
AWAY = "The server behind this gateway cannot be reached."
# After how long to try again when the server is away: the gateway dials it that often.
_AWAY_SECONDS = 1

HTTP_OF_CODE: Mapping[grpc.StatusCode, int] = {
    grpc.StatusCode.OK: 200,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DATA_LOSS: 500,
}
HTTP_OF_REASON: Mapping[str, int] = {"EVENTS_EXPIRED": 410, "MESSAGE_TOO_LARGE": 413}


class Failure(Exception):  # noqa: N818 - it is what the client is told, not a mistake of ours
    """A call that went wrong, or a request that never became one. `headers` go with the answer."""

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        http: int,
        details: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.code = code
        self.message = message
        self.http = http
        self.details = tuple(details)
        self.headers = dict(headers or {})
        super().__init__(message)

    @property
    def reason(self) -> str:
        """The reason of its ErrorInfo; the name of the code where it has none."""
        return next((str(detail["reason"]) for detail in self.details if "reason" in detail), self.code.name)

    @property
    def facts(self) -> Mapping[str, str]:
        """What its ErrorInfo says besides."""
        return next((detail.get("metadata", {}) for detail in self.details if "reason" in detail), {})

    @property
    def broken(self) -> Mapping[str, str]:
        """The rules that are broken, by the paths of the fields."""
        told = (violation for detail in self.details for violation in detail.get("fieldViolations", ()))
        return {violation.get("field", ""): violation.get("description", "") for violation in told}

    def as_dict(self) -> dict[str, Any]:
        """Return what the client is told."""
        told = {"code": self.http, "status": self.code.name, "message": self.message, "details": list(self.details)}
        return {"error": told}

    def as_json(self) -> bytes:
        """Return what the client is told, as JSON on one line."""
        return orjson.dumps(self.as_dict())


def refused(
    message: str,
    *,
    http: int = 400,
    code: grpc.StatusCode = grpc.StatusCode.INVALID_ARGUMENT,
    reason: str = INVALID_REQUEST,
    fields: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    **metadata: str,
) -> Failure:
    """Return a failure that the gateway itself finds; `fields` are broken rules by field path."""
    info = error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata)
    details = [_told(info)]
    if fields:
        bad = error_details_pb2.BadRequest()
        for path, rule in fields.items():
            bad.field_violations.add(field=path, description=rule)
        details.append(_told(bad))
    return Failure(code, message, http=http, details=details, headers=headers)


def invalid(fields: Mapping[str, str]) -> Failure:
    """Return the failure of a request whose fields break rules."""
    return refused("; ".join(f"{path}: {rule}" for path, rule in fields.items()), fields=fields)


def unexpected() -> Failure:
    """Return the failure by which a fault of the gateway's own is told, without its details."""
    code = grpc.StatusCode.INTERNAL
    return refused("The gateway failed; its log has the details.", http=500, code=code, reason="INTERNAL")


def failure_from(error: grpc.aio.AioRpcError) -> Failure:
    """Return what a failed call says, with all its details."""
    code = error.code()
    status = _status_in(error)
    if status is None:
        # Not of a call that was ended here, of which nobody waits for the status: so a server cuts calls while it stops.
        code = grpc.StatusCode.UNAVAILABLE if code is grpc.StatusCode.CANCELLED else code
        return bare(code, _without_details(code, error))
    reason, delay = None, None
    for packed in status.details:
        if packed.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            reason = error_details_pb2.ErrorInfo.FromString(packed.value).reason
        elif packed.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            wait = error_details_pb2.RetryInfo.FromString(packed.value).retry_delay
            delay = wait.seconds + wait.nanos / 1e9
    http = HTTP_OF_REASON.get(reason or "", HTTP_OF_CODE[code])
    details = [_unpacked(packed) for packed in status.details]
    return Failure(code, status.message, http=http, details=details, headers=_headers(code, delay))


def bare(code: grpc.StatusCode, message: str) -> Failure:
    """Return a failure of which nothing is known but its code: that is its reason, too."""
    details: list[Any] = [error_details_pb2.ErrorInfo(reason=code.name, domain=DOMAIN)]
    delay = _AWAY_SECONDS if code is grpc.StatusCode.UNAVAILABLE else None
    if delay is not None:
        details.append(error_details_pb2.RetryInfo(retry_delay={"seconds": delay}))
    told = [_told(detail) for detail in details]
    return Failure(code, message, http=HTTP_OF_CODE[code], details=told, headers=_headers(code, delay))


def _headers(code: grpc.StatusCode, delay: float | None) -> Mapping[str, str]:
    headers = {}
    if delay is not None:
        # Whole seconds is all that the header can say.
        headers["retry-after"] = str(math.ceil(delay))
    if code is grpc.StatusCode.UNAUTHENTICATED:
        headers["www-authenticate"] = "Bearer"
    return headers


def _status_in(error: grpc.aio.AioRpcError) -> Any:  # noqa: ANN401 - google.rpc.Status has no stubs
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None


def _without_details(code: grpc.StatusCode, error: grpc.aio.AioRpcError) -> str:
    if code is grpc.StatusCode.UNAVAILABLE:
        outages.tell(error)
        return AWAY
    return error.details() or code.name


def _told(detail: Any) -> dict[str, Any]:  # noqa: ANN401 - google.rpc messages have no stubs
    return {"@type": f"type.googleapis.com/{detail.DESCRIPTOR.full_name}", **json_format.MessageToDict(detail)}


def _unpacked(packed: Any) -> dict[str, Any]:  # noqa: ANN401 - an Any of google.rpc.Status, which has no stubs
    try:
        return json_format.MessageToDict(packed)
    except (TypeError, ValueError, DecodeError):
        # A detail of a kind that is not known here: its name still says something.
        return {"@type": packed.type_url}
