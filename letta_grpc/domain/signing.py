"""Signing what is sent to those who are called back, as Standard Webhooks says: https://www.standardwebhooks.com."""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable
from datetime import datetime

_PREFIX = "whsec_"
_LEAST_BYTES, _MOST_BYTES = 24, 64


def signing_key(secret: str) -> bytes:
    """Return the key that a secret holds. Raises ValueError, which does not repeat the secret."""
    text = secret.removeprefix(_PREFIX)
    try:
        key = b64decode(text + "=" * (-len(text) % 4), validate=True) if secret.startswith(_PREFIX) else b""
    except ValueError:
        key = b""
    if not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
        raise ValueError(f"is not `{_PREFIX}` with base64 of {_LEAST_BYTES} to {_MOST_BYTES} bytes behind it")
    return key


def signed_headers(keys: Iterable[bytes], id_: str, time: datetime, body: str) -> dict[str, str]:
    """Return the headers of one attempt, none without keys. All keys sign: a receiver looks for one that it knows.

    `id_` is the same each time it is tried, `time` that of this attempt: receivers refuse what is old, as it may be replayed.
    """
    timestamp = str(int(time.timestamp()))
    told = f"{id_}.{timestamp}.{body}".encode()
    signatures = [f"v1,{b64encode(hmac.digest(key, told, 'sha256')).decode()}" for key in keys]
    if not signatures:
        return {}
    return {"webhook-id": id_, "webhook-timestamp": timestamp, "webhook-signature": " ".join(signatures)}
