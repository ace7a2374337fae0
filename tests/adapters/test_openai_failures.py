# ruff: noqa: ANN401 - vendors' JSON, and fields passed through by name

import errno
import json
import socket
import ssl
from datetime import UTC, datetime
from typing import Any

import pytest

from letta_grpc.adapters.openai import OpenAIEndpoint
from letta_grpc.adapters.openai.failures import CallFailures, retry_after
from letta_grpc.adapters.openai.faults import (
    ConnectTimeoutError,
    DisconnectedError,
    HttpError,
    NotHttpError,
    ProxyRefusedError,
    SilenceError,
    StaleError,
    UnsafeHeaderError,
    UnusableAddressError,
)
from letta_grpc.adapters.openai.retries import retry_delay
from letta_grpc.domain.errors import (
    ContextWindowExceeded,
    InsufficientCredits,
    InvalidModelOutput,
    ModelAuthFailed,
    ModelBadRequest,
    ModelFailure,
    ModelOverloaded,
    ModelRateLimited,
    ModelTimeout,
)

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
KEY = "sk-very-secret"
ENDPOINT = OpenAIEndpoint(name="acme", base_url="https://acme.test/v1", api_key=KEY, key_variable="ACME_API_KEY")


def refused(status: int, body: Any = None, headers: dict[str, str] | None = None) -> ModelFailure:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return CallFailures(ENDPOINT, "m1").refused(status, headers or {}, raw, NOW)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ModelBadRequest),
        (401, ModelAuthFailed),
        (402, InsufficientCredits),
        (403, ModelAuthFailed),
        (404, ModelBadRequest),
        (408, ModelTimeout),
        (413, ContextWindowExceeded),
        (422, ModelBadRequest),
        (429, ModelRateLimited),
        (500, ModelOverloaded),
        (502, ModelOverloaded),
        (503, ModelOverloaded),
        (504, ModelTimeout),
        (529, ModelOverloaded),
    ],
)
def test_a_status_without_words_has_its_reason(status: int, kind: type[ModelFailure]) -> None:
    failure = refused(status, b"<html>")
    assert type(failure) is kind
    assert failure.metadata == {"provider": "acme", "model": "m1", "status": str(status)}
    assert str(status) in failure.message
    assert "acme" in failure.message


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded"}}),
        (
            400,
            {
                "error": {
                    "code": 400,
                    "message": "request exceeds the available context size",
                    "type": "exceed_context_size_error",
                }
            },
        ),
        (
            400,
            {"object": "error", "message": "This model's maximum context length is 4096 tokens.", "type": "BadRequestError"},
        ),
        (400, {"error": {"message": "maximum context length is 100", "code": 400}}),
        (
            400,
            {
                "type": "error",
                "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8 maximum"},
            },
        ),
        (
            400,
            [
                {
                    "error": {
                        "code": 400,
                        "message": "The input token count (9) exceeds the maximum number of tokens allowed (8).",
                    }
                }
            ],
        ),
        (413, {"error": {"message": "Please reduce the length of the messages or completion."}}),
        (400, {"message": "Prompt contains 9 tokens, too large for model with 8 maximum context length", "code": "3051"}),
    ],
    ids=["openai", "llama.cpp", "vllm", "openrouter", "anthropic", "gemini", "groq", "mistral"],
)
def test_a_context_that_is_too_long_is_known_in_every_vendors_words(status: int, body: Any) -> None:
    assert isinstance(refused(status, body), ContextWindowExceeded)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}),
        (400, {"error": {"message": "Your credit balance is too low to access the API"}}),
        (402, {"error": {"message": "Insufficient Balance"}}),
    ],
)
def test_an_empty_account_is_told_from_a_limited_rate(status: int, body: Any) -> None:
    failure = refused(status, body)
    assert isinstance(failure, InsufficientCredits)
    assert retry_delay(failure, 0) is None


def test_a_key_refused_with_400_is_a_refused_key() -> None:
    assert isinstance(refused(400, {"error": {"message": "API key not valid. Please pass a valid API key."}}), ModelAuthFailed)


def test_a_refused_request_says_why_in_the_vendors_words_shortly() -> None:
    failure = refused(400, {"error": {"message": "temperature must be\n at most 2 " + "x" * 1000}})
    assert failure.message.startswith("acme refused the request (400): temperature must be at most 2 xxx")
    assert len(failure.message) < 400


@pytest.mark.parametrize(
    "body", [{"detail": "no such field"}, {"detail": [{"msg": "no such field"}]}, {"error": "no such field"}]
)
def test_words_are_found_in_the_shapes_of_other_servers(body: Any) -> None:
    assert "no such field" in refused(422, body).message


def test_no_message_repeats_a_key() -> None:
    for status in (400, 401, 403, 404, 413):
        assert KEY not in refused(status, {"error": {"message": f"the key {KEY} is bad"}}).message
    assert "sk-" not in refused(401, {"error": {"message": "Incorrect API key provided: sk-ve**cret"}}).message


@pytest.mark.parametrize("length", range(280, 310))
def test_no_message_repeats_a_part_of_a_key_that_its_end_would_cut(length: int) -> None:
    assert KEY[:4] not in refused(400, {"error": {"message": "x" * length + KEY}}).message


def test_no_log_repeats_a_key_or_a_password(caplog: pytest.LogCaptureFixture) -> None:
    endpoint = OpenAIEndpoint(name="acme", base_url="https://bob:top%20secret@acme.test/v1", api_key=KEY)
    failures = CallFailures(endpoint, "m1")
    for said in (f"the key {KEY} and the password top secret", "x" * 1900 + KEY * 10):
        failures.refused(400, {}, json.dumps({"error": said}).encode(), NOW)
        failures.in_answer({"message": said})
    assert "the key *** and the password ***" in caplog.text
    assert KEY[:5] not in caplog.text


def test_a_text_that_only_stands_for_a_key_is_not_searched_for() -> None:
    failures = CallFailures(OpenAIEndpoint(name="acme", base_url="https://acme.test/v1", api_key="k"), "m1")
    assert "unknown key" in failures.refused(400, {}, b'{"error": "unknown key"}', NOW).message


def test_the_variable_to_set_is_named() -> None:
    assert "set ACME_API_KEY" in refused(401).message
    keyless = OpenAIEndpoint(name="openai", base_url="https://api.openai.com/v1", key_variable="OPENAI_API_KEY")
    assert keyless.lacks_key
    assert "OPENAI_API_KEY" in CallFailures(keyless, "m1").without_key().message


def test_the_key_is_in_no_repr() -> None:
    assert KEY not in repr(ENDPOINT)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
        ({"retry-after": "Tue, 01 Jan 2030 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Tue, 01 Jan 2030 11:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Tue, 01 Jan 2030 12:00:30"}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait_is_read_in_both_spellings(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


def test_a_wait_that_is_asked_for_is_kept_and_one_that_is_too_long_ends_the_call() -> None:
    delay = retry_delay(refused(429, headers={"retry-after": "7"}), 0)
    assert delay is not None
    assert delay >= 7
    assert retry_delay(refused(429, headers={"retry-after": "3600"}), 0) is None


def test_waits_grow_and_end_after_two_retries() -> None:
    failure = refused(503)
    first, second = retry_delay(failure, 0), retry_delay(failure, 1)
    assert first is not None
    assert second is not None
    assert 0.25 <= first <= 0.5 <= second <= 1.0
    assert retry_delay(failure, 2) is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_what_is_the_requests_fault_is_not_asked_again(status: int) -> None:
    assert retry_delay(refused(status), 0) is None


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (ConnectTimeoutError(), ModelTimeout, "did not accept a connection in time"),
        (SilenceError(0.5), ModelTimeout, "sent nothing for 0.5 seconds"),
        (DisconnectedError(), ModelOverloaded, "closed the connection without an answer"),
        (StaleError(), ModelOverloaded, "closed the connection without an answer"),
        (NotHttpError("bad"), InvalidModelOutput, "sent no HTTP"),
        (ProxyRefusedError("it answered 407"), ModelOverloaded, "its proxy does not connect: it answered 407"),
        (UnusableAddressError("its base URL is not valid"), ModelBadRequest, "its base URL is not valid"),
        (UnsafeHeaderError("the header 'x' cannot be sent"), ModelBadRequest, "the header 'x' cannot be sent"),
        (ssl.SSLCertVerificationError("self-signed"), ModelOverloaded, "no secure connection to acme is possible"),
        (socket.gaierror(-2, "Name or service not known"), ModelOverloaded, "its host name is not known"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), ModelOverloaded, "cannot be reached: connection refused"),
        (OSError("Multiple exceptions"), ModelOverloaded, "acme cannot be reached"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_a_call_without_an_answer_has_its_reason(error: HttpError | OSError, kind: type[ModelFailure], words: str) -> None:
    failure = CallFailures(ENDPOINT, "m1").unreachable(error)
    assert type(failure) is kind
    assert words in failure.message
    assert failure.metadata == {"provider": "acme", "model": "m1"}


@pytest.mark.parametrize("error", [ConnectTimeoutError(), DisconnectedError(), ConnectionResetError()])
def test_a_connection_that_did_not_hold_may_be_tried_again(error: HttpError | OSError) -> None:
    assert retry_delay(CallFailures(ENDPOINT, "m1").unreachable(error), 0) is not None


@pytest.mark.parametrize("error", [SilenceError(1), ssl.SSLError(), UnusableAddressError(), NotHttpError()])
def test_what_another_try_would_not_mend_is_not_tried_again(error: HttpError | OSError) -> None:
    assert retry_delay(CallFailures(ENDPOINT, "m1").unreachable(error), 0) is None
