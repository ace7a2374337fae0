"""Failures over HTTP: the same rows as over gRPC, and nothing more than they say."""

from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # nobody publishes stubs of it

from letta_grpc.domain import errors
from letta_grpc.gateway.failures import HTTP_OF_CODE, failure_from, invalid, refused
from letta_grpc.transport.errors import STATUSES, status_of


def failed(code: grpc.StatusCode, *details: Any) -> grpc.aio.AioRpcError:  # noqa: ANN401 - google.rpc has no stubs
    status = status_pb2.Status(code=code.value[0], message="told")
    for detail in details:
        status.details.add().Pack(detail)
    trailers = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, "told", "")


def failed_without_status(code: grpc.StatusCode, text: str = "") -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), text, "")


@pytest.mark.parametrize("kind", STATUSES, ids=lambda kind: kind.__name__)
def test_every_error_of_the_server_has_the_http_status_of_its_row(kind: type[errors.LettaError]) -> None:
    status = status_of(kind())
    trailers = grpc.aio.Metadata(*status.trailers)
    failure = failure_from(grpc.aio.AioRpcError(status.code, grpc.aio.Metadata(), trailers, status.message, ""))
    assert failure.http == STATUSES[kind].http
    told = failure.as_dict()["error"]
    assert (told["status"], told["message"]) == (status.code.name, status.message)
    assert told["details"][0]["reason"] == status.reason
    assert ("retry-after" in failure.headers) == (kind().retry_delay_seconds is not None)


def test_every_code_of_grpc_has_a_status() -> None:
    assert set(HTTP_OF_CODE) == set(grpc.StatusCode)


def test_retry_info_becomes_whole_seconds_of_retry_after() -> None:
    info = error_details_pb2.RetryInfo()
    info.retry_delay.nanos = 200_000_000
    assert failure_from(failed(grpc.StatusCode.ABORTED, info)).headers == {"retry-after": "1"}


def test_who_is_not_known_is_told_how_to_say_who_he_is() -> None:
    assert failure_from(failed(grpc.StatusCode.UNAUTHENTICATED)).headers == {"www-authenticate": "Bearer"}


def test_a_detail_of_an_unknown_kind_is_told_by_its_name() -> None:
    status = status_pb2.Status(code=5, details=[any_pb2.Any(type_url="type.googleapis.com/made.up.Thing", value=b"\x08\x01")])
    trailers = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    error = grpc.aio.AioRpcError(grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), trailers, "", "")
    assert failure_from(error).details == ({"@type": "type.googleapis.com/made.up.Thing"},)


def test_details_that_are_garbage_leave_the_code() -> None:
    trailers = grpc.aio.Metadata(("grpc-status-details-bin", b"\xff\xff"))
    error = grpc.aio.AioRpcError(grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), trailers, "gone", "")
    failure = failure_from(error)
    assert (failure.http, failure.message, failure.headers) == (404, "gone", {})
    assert [(detail["reason"], detail["domain"]) for detail in failure.details] == [("NOT_FOUND", "letta-grpc")]


def test_a_server_that_cannot_be_reached_is_not_told_by_its_address() -> None:
    failure = failure_from(failed_without_status(grpc.StatusCode.UNAVAILABLE, "connect to 10.0.0.1:50051 failed"))
    assert (failure.http, "10.0.0.1" in failure.as_json().decode()) == (503, False)


def test_a_server_that_cannot_be_reached_has_a_reason_and_a_time_to_come_back() -> None:
    failure = failure_from(failed_without_status(grpc.StatusCode.UNAVAILABLE))
    assert failure.headers == {"retry-after": "1"}
    info, retry = failure.details
    assert (info["@type"], info["reason"]) == ("type.googleapis.com/google.rpc.ErrorInfo", "UNAVAILABLE")
    assert retry == {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}


def test_a_call_that_a_server_cut_while_it_stopped_is_one_that_did_not_reach_it() -> None:
    """Whoever ends a call himself waits for no status: grpc says so of a server that is just going away."""
    failure = failure_from(failed_without_status(grpc.StatusCode.CANCELLED, "CANCELLED"))
    assert (failure.code, failure.http, failure.headers) == (grpc.StatusCode.UNAVAILABLE, 503, {"retry-after": "1"})
    # What the server has said with a reason stays as it said it.
    info = error_details_pb2.ErrorInfo(reason="GIVEN_UP", domain="letta-grpc")
    assert failure_from(failed(grpc.StatusCode.CANCELLED, info)).http == 499


def test_what_the_gateway_itself_refuses_has_a_reason_and_names_its_fields() -> None:
    told = invalid({"a.b": "is wrong"}).as_dict()["error"]
    assert (told["code"], told["status"]) == (400, "INVALID_ARGUMENT")
    assert [detail["@type"].rpartition(".")[2] for detail in told["details"]] == ["ErrorInfo", "BadRequest"]
    assert refused("no", limit="3").as_dict()["error"]["details"][0]["metadata"] == {"limit": "3"}
