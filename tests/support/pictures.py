"""Pictures, and where they come from."""

import asyncio
from base64 import b64encode
from dataclasses import dataclass, field

from letta_grpc.domain.messages import ImagePart
from letta_grpc.ports.images import ImageUnavailableError
from letta_grpc.testing.images import PNG


def picture(data: bytes = PNG) -> ImagePart:
    """A picture with its data."""
    return ImagePart(media_type="image/png", data=b64encode(data).decode())


class NoImages:
    """There are no pictures anywhere."""

    async def load(self, url: str, max_bytes: int) -> ImagePart:  # noqa: ARG002 - the port's shape
        raise ImageUnavailableError(f"nothing is at {url}")


@dataclass
class Album:
    """Pictures by address. `fetched` has each that was asked for; with `together` none comes before so many are."""

    pictures: dict[str, bytes] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    together: asyncio.Barrier | None = None

    async def load(self, url: str, max_bytes: int) -> ImagePart:
        self.fetched.append(url)
        if self.together:
            await self.together.wait()
        if url not in self.pictures or len(self.pictures[url]) > max_bytes:
            raise ImageUnavailableError("it is not there")
        return picture(self.pictures[url])
