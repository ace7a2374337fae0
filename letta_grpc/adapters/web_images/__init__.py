"""Pictures from the web, by httpx2, which is loaded on first use.

fetching.py   requests, redirects, and where they may go
"""

from letta_grpc.domain.messages import ImagePart


class WebImages:
    """Fetches pictures over http and https."""

    def __init__(self, *, allow_private_addresses: bool = False, timeout_seconds: float = 10.0) -> None:
        self._allow_private_addresses = allow_private_addresses
        self._timeout_seconds = timeout_seconds

    async def load(self, url: str, max_bytes: int) -> ImagePart:
        """Return a picture. Raises ImageUnavailableError."""
        from letta_grpc.adapters.web_images.fetching import fetch  # noqa: PLC0415 - see above

        return await fetch(
            url,
            max_bytes,
            allow_private_addresses=self._allow_private_addresses,
            timeout_seconds=self._timeout_seconds,
        )
