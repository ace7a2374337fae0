import hashlib
import hmac
import json
from base64 import b64encode
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from letta_grpc.domain.signing import signed_headers, signing_key

OLD, NEW = (f"whsec_{b64encode(bytes([number] * 24)).decode()}" for number in (1, 2))
BODY = json.dumps({"word": "\u00e9", "run_id": "run-1"}, ensure_ascii=False)


def headers(*secrets: str) -> dict[str, str]:
    # The library looks at the clock itself.
    return signed_headers([signing_key(secret) for secret in secrets], "run-1", datetime.now(UTC), BODY)


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_whoever_knows_one_of_the_secrets_finds_the_signature_right(secret: str) -> None:
    assert Webhook(secret).verify(BODY.encode(), headers(OLD, NEW)) == json.loads(BODY)


def test_whoever_knows_another_secret_finds_it_wrong() -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(BODY, headers(OLD))


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp"])
def test_what_is_changed_on_the_way_is_found(name: str) -> None:
    changed = headers(OLD)
    changed[name] = changed[name][:-1] + ("0" if changed[name][-1] != "0" else "1")
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(BODY, changed)
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(f"{BODY} ", headers(OLD))


def test_a_signature_is_what_the_standard_says() -> None:
    time = datetime(2030, 1, 1, 0, 0, 0, 999_999, UTC)
    digest = hmac.new(bytes([1] * 24), f"run-1.1893456000.{BODY}".encode(), hashlib.sha256).digest()
    assert signed_headers([signing_key(OLD)], "run-1", time, BODY) == {
        "webhook-id": "run-1",
        "webhook-timestamp": "1893456000",
        "webhook-signature": f"v1,{b64encode(digest).decode()}",
    }


def test_without_secrets_nothing_is_signed() -> None:
    assert headers() == {}


@pytest.mark.parametrize("length", [24, 32, 64])
def test_a_secret_is_taken_with_and_without_padding(length: int) -> None:
    secret = f"whsec_{b64encode(b'k' * length).decode()}"
    assert signing_key(secret) == signing_key(secret.rstrip("=")) == b"k" * length


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        OLD.removeprefix("whsec_"),
        f"whsec_{b64encode(b'k' * 23).decode()}",
        f"whsec_{b64encode(b'k' * 65).decode()}",
        f"{OLD[:-1]}\u00e9",
        f"{OLD}*",
        f"whsec_{'-_' * 16}",
    ],
)
def test_what_is_no_secret_is_refused_without_repeating_it(secret: str) -> None:
    with pytest.raises(ValueError, match="is not `whsec_` with base64 of 24 to 64 bytes") as refused:
        signing_key(secret)
    assert secret.removeprefix("whsec_")[:8] not in str(refused.value) or len(secret) < 8
