"""Fetching pictures that a caller names by address. The contract: `letta_grpc.testing.images`."""

from typing import Protocol

from letta_grpc.domain.messages import ImagePart


class ImageUnavailableError(Exception):
    """A picture cannot be had; the text says why, and is for the caller."""


class ImageLoader(Protocol):
    """Fetches pictures."""

    async def load(self, url: str, max_bytes: int) -> ImagePart:
        """Return the picture with its data and the media type that its own bytes say, without the address.

        Takes a bounded time. Raises ImageUnavailableError, also for one that is larger, or none that models are shown.
        """
        ...
