"""Which of a vendor's words a caller gets to read. No message says more than it needs to, and each says the reason."""
# ruff: noqa: ANN401 - vendors' JSON

import json
import ssl
from datetime import UTC, datetime
from typing import Any

import pytest

from letta_grpc.adapters.clock import SystemClock
from letta_grpc.adapters.openai import OpenAIEndpoint, OpenAIProvider
from letta_grpc.adapters.openai.failures import CallFailures
from letta_grpc.domain.errors import ContextWindowExceeded, ModelBadRequest, ModelFailure, ModelOverloaded
from letta_grpc.testing.models import read_all, user_request
from tests.support.http_lines import Line, server_tls, serving

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
ENDPOINT = OpenAIEndpoint(
    name="acme", base_url="http://bob:pass@acme.test/v1", api_key="sk-very-secret", key_variable="ACME_API_KEY"
)


def refused(status: int, body: Any = None, headers: dict[str, str] | None = None, model: str = "m1") -> ModelFailure:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return CallFailures(ENDPOINT, model).refused(status, headers or {}, raw, NOW)


@pytest.mark.parametrize(
    ("status", "words", "message"),
    [
        (402, "You can only afford 1234 tokens.", "the account at acme has no credit (402): You can only afford 1234 tokens."),
        (403, 'Your input was flagged for "violence"', 'acme refuses this (403): Your input was flagged for "violence"'),
        (403, "Country not supported", "acme refuses this (403): Country not supported"),
        (408, "took too long", "acme reports a timeout (408): took too long"),
        (429, "free-models-per-day", "acme limits the rate (429): free-models-per-day"),
        (500, "model requires more system memory", "acme is overloaded or failing (500): model requires more system memory"),
        (503, "Loading model", "acme is overloaded or failing (503): Loading model"),
        (529, "Overloaded by sk-very-secret", "acme is overloaded or failing (529): Overloaded by ***"),
    ],
)
def test_the_vendors_words_are_told(status: int, words: str, message: str) -> None:
    assert refused(status, {"error": {"message": words}}).message == message
    assert refused(status, words.encode()).message == message


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, {"error": {"message": "no: sk-ve**"}}),
        (403, {"error": {"message": "Incorrect API key provided: sk-ve**"}}),
        (403, {"error": {"message": "bad token sk-ve**", "code": "invalid_api_key"}}),
        (403, {"detail": "Not authenticated with sk-ve**"}),
        (400, {"error": {"message": "API key not valid: sk-ve**"}}),
        (403, None),
        (403, b"<html>sk-ve**</html>"),
    ],
)
def test_of_a_refused_key_none_is_told(status: int, body: Any) -> None:
    assert refused(status, body).message == f"acme refused the API key ({status}): set ACME_API_KEY"


@pytest.mark.parametrize("body", [b"<html>It broke", b"  <!doctype html>", b"\x1f\x8b\x08", b"{", b'[{"error"', b"a\0b", b""])
def test_what_is_written_for_nobody_to_read_is_not_told(body: bytes) -> None:
    assert refused(500, body).message == "acme is overloaded or failing (500)"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (
            '{"type":"error","error":{"message":"prompt is too long: 9 tokens > 8 maximum"}}',
            "prompt is too long: 9 tokens > 8",
        ),
        ({"error": {"message": "prompt is too long: 9 tokens"}}, "prompt is too long: 9 tokens"),
        ("prompt is too long", "prompt is too long"),
    ],
)
def test_what_a_vendor_passes_on_is_read(raw: Any, words: str) -> None:
    error = {"message": "Provider returned error", "code": 400, "metadata": {"raw": raw, "provider_name": "Anthropic"}}
    for failure in (refused(400, {"error": error}), CallFailures(ENDPOINT, "m1").in_answer(error)):
        assert isinstance(failure, ContextWindowExceeded)
        assert f"(400): Provider returned error: {words}" in failure.message


@pytest.mark.parametrize("metadata", [None, "x", {"raw": None}, {"raw": 5}, {"raw": "<html>"}, {"provider_name": "x"}])
def test_what_is_passed_on_without_words_adds_none(metadata: Any) -> None:
    error = {"message": "Provider returned error", "metadata": metadata}
    assert refused(400, {"error": error}).message == "acme refused the request (400): Provider returned error"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "The model `m1` does not exist"}}, "The model `m1` does not exist"),
        ({"error": {"message": "No endpoints found for 'm1'."}}, "No endpoints found for 'm1'."),
        ({"error": {"message": "nothing here", "code": "model_not_found"}}, "nothing here"),
    ],
)
def test_a_model_that_is_not_there_is_named(body: Any, words: str) -> None:
    assert refused(404, body).message == f"acme does not know the model m1 (404): {words}"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"404 page not found", ": 404 page not found"),
        ({"detail": "Not Found"}, ": Not Found"),
        ({"error": {"code": "DeploymentNotFound", "message": "no such deployment"}}, ": no such deployment"),
        (b"<html>nginx</html>", ""),
        (b"", ""),
    ],
)
def test_a_path_that_is_not_there_makes_the_base_url_suspect(body: Any, words: str) -> None:
    assert (
        refused(404, body).message
        == f"acme has nothing at this address (404): check its base URL (does it end in /v1?){words}"
    )


@pytest.mark.parametrize(
    ("location", "told"),
    [
        (
            "https://acme.test/v1/chat/completions",
            "https://acme.test/v1/chat/completions: its base URL should be https://acme.test/v1",
        ),
        (
            "/api/v1/chat/completions?key=sk-very-secret",
            "http://acme.test/api/v1/chat/completions: its base URL should be http://acme.test/api/v1",
        ),
        ("https://bob:pw@sso.test/login?to=x", "https://sso.test/login: its base URL should lead there"),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_says_where_the_base_url_should_lead(status: int, location: str, told: str) -> None:
    failure = refused(status, b"", {"location": location})
    assert isinstance(failure, ModelBadRequest)
    assert failure.message == f"acme redirects ({status}) to {told}"


@pytest.mark.parametrize("location", ["http://[::1", "mailto:bob", ""])
def test_a_redirect_to_nowhere_is_a_refusal(location: str) -> None:
    assert refused(302, b"", {"location": location}).message == "acme refused the request (302)"
    assert refused(302, b"").message == "acme refused the request (302)"


async def test_a_certificate_that_is_not_believed_says_why() -> None:
    async def talk(line: Line) -> None:
        await line.left()

    async with serving(talk, server_tls()) as server:
        endpoint = OpenAIEndpoint(name="acme", base_url=f"https://127.0.0.1:{server.port}/v1")
        provider = OpenAIProvider(endpoint, SystemClock())
        with pytest.raises(ModelOverloaded, match="no secure connection to acme is possible: self-signed certificate"):
            await read_all(provider.find("m1"), user_request("Hello", "m1"))
        await provider.close()


async def test_a_server_that_speaks_no_tls_is_said_so() -> None:
    async def talk(line: Line) -> None:
        await line.send(b"HTTP/1.1 400 X\r\nContent-Length: 0\r\n\r\n")
        await line.left()

    async with serving(talk) as server:
        endpoint = OpenAIEndpoint(name="acme", base_url=f"https://127.0.0.1:{server.port}/v1")
        provider = OpenAIProvider(endpoint, SystemClock())
        with pytest.raises(ModelOverloaded, match=r"no secure connection to acme is possible: .*wrong version number"):
            await read_all(provider.find("m1"), user_request("Hello", "m1"))
        await provider.close()


def test_a_secure_connection_that_fails_without_a_reason_is_said_so() -> None:
    failure = CallFailures(ENDPOINT, "m1").unreachable(ssl.SSLError())
    assert failure.message == "no secure connection to acme is possible"
