import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # nobody publishes stubs of it

from letta_grpc.domain import errors
from letta_grpc.transport.errors import MAX_DETAILS_BYTES, STATUSES, status_of
from letta_grpc.v1 import errors_pb2


def tree(root: type[errors.LettaError]) -> list[type[errors.LettaError]]:
    return [root, *(one for child in root.__subclasses__() if child.__module__ == root.__module__ for one in tree(child))]


def details(error: errors.LettaError) -> dict[str, bytes]:
    ((_, raw),) = status_of(error).trailers
    return {any_.TypeName().rpartition(".")[2]: any_.value for any_ in status_pb2.Status.FromString(raw).details}


def test_every_error_has_its_row() -> None:
    assert set(STATUSES) == set(tree(errors.LettaError))


def test_every_leaf_has_a_reason_that_the_contract_lists() -> None:
    listed = {name.removeprefix("ERROR_REASON_") for name, _ in errors_pb2.ErrorReason.items()}
    assert {kind.reason for kind in tree(errors.LettaError)} <= listed


@pytest.mark.parametrize("kind", tree(errors.LettaError))
def test_every_error_says_its_reason_and_whether_a_retry_helps(kind: type[errors.LettaError]) -> None:
    found = details(kind("told", run_id="run-1"))
    info = error_details_pb2.ErrorInfo.FromString(found["ErrorInfo"])
    assert (info.reason, info.domain, dict(info.metadata)) == (kind.reason, "letta-grpc", {"run_id": "run-1"})
    assert ("RetryInfo" in found) == (kind.retry_delay_seconds is not None)
    assert ("QuotaFailure" in found) == issubclass(kind, errors.Exhausted)


def test_a_refused_request_names_its_fields() -> None:
    found = details(errors.InvalidRequest(fields={"run.messages": "must have at least one message"}))
    (violation,) = error_details_pb2.BadRequest.FromString(found["BadRequest"]).field_violations
    assert (violation.field, violation.description) == ("run.messages", "must have at least one message")


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidRequest(fields={f"field[{index}]": "must be better " * 50 for index in range(2000)}),
        errors.AgentNotFound("ä" * 100_000, **{f"key_{index}": "x" * 9000 for index in range(200)}),
        errors.QueueFull("€" * 100_000),
    ],
)
def test_details_fit_into_trailers_however_much_there_is_to_say(error: errors.LettaError) -> None:
    status = status_of(error)
    assert sum(len(value) for _, value in status.trailers) <= MAX_DETAILS_BYTES
    assert "ErrorInfo" in details(error)


def test_a_cut_list_of_fields_says_how_many_are_missing() -> None:
    found = details(errors.InvalidRequest(fields={f"field[{index}]": "must be better" for index in range(500)}))
    violations = error_details_pb2.BadRequest.FromString(found["BadRequest"]).field_violations
    assert violations[-1].description == f"and {500 - len(violations) + 1} more"
