"""W3C trace context."""

import re

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def valid_traceparent(text: str | None) -> str | None:
    """Return a `traceparent` that is one: it is stored with the run and sent to providers."""
    return text if text and _TRACEPARENT.fullmatch(text) else None
