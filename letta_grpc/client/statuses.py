"""From a failed call to an exception: google.rpc.Status and its details, read once."""

from collections.abc import Iterator
from typing import TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # googleapis ships no stubs
from grpc_status import rpc_status

from letta_grpc.client.errors import LettaError
from letta_grpc.v1 import errors_pb2

Detail = TypeVar("Detail", bound=Message)
_CODES = {code.value[0]: code for code in grpc.StatusCode}


def _leaves(root: type[LettaError]) -> Iterator[type[LettaError]]:
    for child in root.__subclasses__():
        yield child
        yield from _leaves(child)


# What a class says of itself, not what it inherits: AgentNotFound is one sort of NOT_FOUND, not the code's class.
BY_REASON = {reason: error for error in _leaves(LettaError) for reason in vars(error).get("reasons", ())}
BY_CODE = {code: error for error in _leaves(LettaError) for code in vars(error).get("codes", ())}


def error_from(call: grpc.RpcError) -> LettaError:
    """Return the exception that a failed call stands for, of either of grpc's two APIs."""
    code: grpc.StatusCode = call.code()
    details: str = call.details() or ""
    status = _status_of(call)
    info = _detail(status, error_details_pb2.ErrorInfo()) or error_details_pb2.ErrorInfo()
    retry = _detail(status, error_details_pb2.RetryInfo())
    bad = _detail(status, error_details_pb2.BadRequest()) or error_details_pb2.BadRequest()
    kind = BY_REASON.get(info.reason) or BY_CODE.get(code, LettaError)
    return kind(
        details or code.name.replace("_", " ").lower(),
        code=code,
        reason=info.reason,
        metadata=info.metadata,
        retry_delay=retry.retry_delay.ToTimedelta().total_seconds() if retry else None,
        fields={violation.field: violation.description for violation in bad.field_violations},
    )


def error_of(refusal: errors_pb2.Refusal) -> LettaError:
    """Return the exception that a refusal on a stream of several runs stands for."""
    code = _CODES.get(refusal.code)
    kind = BY_REASON.get(refusal.reason) or (BY_CODE.get(code) if code else None) or LettaError
    delay = refusal.retry_delay.ToTimedelta().total_seconds() if refusal.HasField("retry_delay") else None
    return kind(refusal.message, code=code, reason=refusal.reason, metadata=refusal.metadata, retry_delay=delay)


def _status_of(call: grpc.RpcError) -> status_pb2.Status:
    try:
        return rpc_status.from_call(call) or status_pb2.Status()  # type: ignore[arg-type]  # as above: it is a call
    except (ValueError, DecodeError):
        # Trailers that contradict the status come from something between us and the server: the status is what holds.
        return status_pb2.Status()


def _detail(status: status_pb2.Status, empty: Detail) -> Detail | None:
    return next((empty for packed in status.details if packed.Unpack(empty)), None)
