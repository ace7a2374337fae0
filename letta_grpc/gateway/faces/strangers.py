"""Room for requests of callers whom the server behind does not know, bounded for all of them together."""

from collections.abc import Awaitable, Callable

import grpc
from starlette.types import Message, Receive

from letta_grpc.gateway.failures import Failure, refused

_FULL = "Too many requests of callers whom this server does not know are under way. Show the server's key, too, or try again."
# Anthropic's own, for too much at once: SDKs repeat it.
_OVERLOADED = 529
_RETRY = {"retry-after": "5"}


class Room:
    """How many bytes may still come."""

    def __init__(self, size: int) -> None:
        self.left = size


class Share:
    """The bytes of one request, which are there until they are given back."""

    def __init__(self, room: Room, admit: Callable[[], Awaitable[None]]) -> None:
        self._room, self._admit = room, admit
        self._size = 0
        self._is_known = False

    def counting(self, receive: Receive) -> Receive:
        """Return what counts the pieces of a body. Where there is no room, it raises Failure, but for whom `admit` lets in."""

        async def counted() -> Message:
            message = await receive()
            await self._take(len(message.get("body", b"")))
            return message

        return counted

    def give_back(self) -> None:
        """Make room for others."""
        self._room.left += self._size
        self._size = 0

    async def _take(self, size: int) -> None:
        if self._is_known:
            return
        if size <= self._room.left:
            self._room.left -= size
            self._size += size
            return
        try:
            await self._admit()
        except Failure:
            code = grpc.StatusCode.RESOURCE_EXHAUSTED
            raise refused(_FULL, http=_OVERLOADED, code=code, reason=code.name, headers=_RETRY) from None
        self._is_known = True
        self.give_back()
