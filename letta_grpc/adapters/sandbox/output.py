"""What a tool writes while it runs: decoded, counted, handed on."""

import codecs
from collections.abc import Callable

from letta_grpc.domain.tools import OutputStream
from letta_grpc.ports.tools import Output


class OutputTap:
    """Takes the bytes of both streams. Beyond `limit` bytes nothing is taken, and `on_excess` is called."""

    def __init__(self, output: Output, *, limit: int, on_excess: Callable[[], None]) -> None:
        self._output = output
        self._room = limit
        self._on_excess = on_excess
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {stream: decoder("replace") for stream in OutputStream}
        self._texts: dict[OutputStream, list[str]] = {stream: [] for stream in OutputStream}
        self.exceeded = False

    def take(self, stream: OutputStream, data: bytes) -> None:
        """Hand on what there is room for."""
        if self.exceeded:
            return
        self._hand_on(stream, self._decoders[stream].decode(data[: self._room]))
        self._room -= len(data)
        if self._room < 0:
            self.exceeded = True
            self._on_excess()

    def finish(self) -> None:
        """Hand on what was left of half a character."""
        for stream, decoder in self._decoders.items():
            self._hand_on(stream, decoder.decode(b"", final=True))

    def lines(self, stream: OutputStream) -> tuple[str, ...]:
        """Return all that was handed on, by lines."""
        return tuple("".join(self._texts[stream]).splitlines())

    def _hand_on(self, stream: OutputStream, text: str) -> None:
        if text:
            self._texts[stream].append(text)
            self._output(stream, text)
