"""Telling callers over HTTP that their runs have ended, by httpx2, which is loaded on first use.

posting.py   one request, and where it may go
"""

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from letta_grpc.domain.addresses import is_private_host
from letta_grpc.domain.callbacks import CallbackOutcome
from letta_grpc.domain.errors import InvalidRequest

PRIVATE_REFUSED = (
    "its address is one of a private network, and other machines can connect to this server; "
    "LETTA_GRPC_CALLBACK_PRIVATE_ADDRESSES=true allows it"
)


class WebCallbacks:
    """Posts to http and https addresses. Redirects are not followed: an address says itself where it is."""

    def __init__(self, *, allow_private_addresses: bool = False, timeout_seconds: float = 10.0) -> None:
        self._allow_private_addresses = allow_private_addresses
        self._timeout_seconds = timeout_seconds

    def check(self, url: str) -> None:
        """Raise InvalidRequest for an address that is private by its looks; of a name that is looked at when it is sent."""
        if not self._allow_private_addresses and is_private_host(urlsplit(url).hostname or ""):
            raise InvalidRequest(fields={"run.callback_url": PRIVATE_REFUSED})

    async def post(self, url: str, body: str, headers: Mapping[str, str] = MappingProxyType({})) -> CallbackOutcome:
        """Send JSON text."""
        from letta_grpc.adapters.web_callbacks.posting import post  # noqa: PLC0415 - see above

        return await post(
            url,
            body,
            headers,
            allow_private_addresses=self._allow_private_addresses,
            timeout_seconds=self._timeout_seconds,
        )
