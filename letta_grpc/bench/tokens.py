"""Tokens that say their place and when they left, so that whoever receives them can tell a lost, doubled or late one."""

import time

from letta_grpc.bench.errors import TokensBrokenError


def now_us() -> int:
    """Return microseconds on the clock that all processes of a machine share."""
    return time.monotonic_ns() // 1000


def token_text(index: int, sent_us: int) -> str:
    """Return the text of one token. A `sent_us` of 0 means that nobody asks how long it travels."""
    return f"{index}:{sent_us} "


class TokenCheck:
    """Takes a stream's text as it comes and holds it against what was sent."""

    __slots__ = ("_count", "first_us", "travel_us")

    def __init__(self) -> None:
        self._count = 0
        self.first_us: int | None = None
        self.travel_us: list[int] = []

    def take(self, text: str) -> None:
        """Check some whole tokens and keep how long each travelled. Raises TokensBrokenError."""
        arrived = now_us()
        if self.first_us is None:
            self.first_us = arrived
        for token in text.split():
            index, _, sent = token.partition(":")
            if index != str(self._count):
                raise TokensBrokenError(f"token {self._count} was due, {token!r} came")
            self._count += 1
            if sent != "0":
                self.travel_us.append(arrived - int(sent))

    def finish(self, tokens: int) -> int:
        """Return when the first token came, once all of them have. Raises TokensBrokenError."""
        if self._count != tokens or self.first_us is None:
            raise TokensBrokenError(f"{self._count} of {tokens} tokens came")
        return self.first_us
