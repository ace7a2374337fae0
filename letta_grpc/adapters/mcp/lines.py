"""How a child's stdout is decoded."""

import codecs
from functools import cache

# A message is a line. Images and files in an answer must fit.
MAX_LINE_BYTES = 16 * 1024 * 1024

_NAME = "utf_8_in_bounded_lines"


@cache
def bounded_utf8() -> str:
    """Return the name of an encoding: UTF-8 that is decoded line by line, of which each ends where it reaches its bound.

    The mcp package would keep what there is of a line until the line ends, and copy it with each piece that is added. It
    takes the name of an encoding, and no bound.
    """
    info = codecs.CodecInfo(codecs.utf_8_encode, codecs.utf_8_decode, incrementaldecoder=_BoundedLines, name=_NAME)
    codecs.register(lambda name: info if name == _NAME else None)
    return _NAME


class _BoundedLines(codecs.IncrementalDecoder):
    def __init__(self, errors: str = "strict") -> None:
        super().__init__(errors)
        self._unfinished: list[bytes] = []
        self._size = 0

    def decode(self, data: bytes, final: bool = False) -> str:  # type: ignore[override]  # noqa: ARG002, FBT001, FBT002 - the shape is codecs'
        """Return the lines that are complete now."""
        lines, newline, rest = data.rpartition(b"\n")
        if newline:
            return self._taken(lines, rest)
        self._unfinished.append(data)
        self._size += len(data)
        return self._taken(b"", b"") if self._size >= MAX_LINE_BYTES else ""

    def _taken(self, end: bytes, rest: bytes) -> str:
        lines = b"".join([*self._unfinished, end])
        self._unfinished, self._size = [rest], len(rest)
        return lines.decode("utf-8", self.errors) + "\n"
