"""gzip, for those who accept it. A stream is flushed with every write: what was sent can be read, whatever comes next."""

import re
import zlib
from typing import Protocol

# A window of 4 KiB and little else: so a compressed stream holds 32 KiB instead of 256.
_STREAM_WINDOW, _STREAM_MEMORY = 16 + 12, 5
_LEVEL = 5
# Below this the header outweighs what is saved.
MIN_BYTES = 1024
_GZIP = re.compile(r"(?:^|,)\s*(?:gzip|x-gzip|\*)\s*(?:;\s*q=([0-9.]+)\s*)?(?:,|$)", re.IGNORECASE)


class StreamEncoder(Protocol):
    """Encodes a stream piece by piece."""

    def encode(self, data: bytes) -> bytes:
        """Return bytes from which all of the data can be read."""
        ...

    def end(self) -> bytes:
        """Return the last bytes."""
        ...


class Gzip:
    """gzip, flushed at each piece's end."""

    def __init__(self) -> None:
        self._zlib = zlib.compressobj(_LEVEL, zlib.DEFLATED, _STREAM_WINDOW, _STREAM_MEMORY)

    def encode(self, data: bytes) -> bytes:
        """Return bytes from which all of the data can be read."""
        return self._zlib.compress(data) + self._zlib.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        """Return the trailer."""
        return self._zlib.flush()


class Plain:
    """No encoding."""

    def encode(self, data: bytes) -> bytes:
        """Return the data."""
        return data

    def end(self) -> bytes:
        """Return nothing."""
        return b""


def accepts_gzip(accept_encoding: str) -> bool:
    """Say whether a client wants gzip."""
    found = _GZIP.search(accept_encoding)
    return found is not None and found[1] not in {"0", "0.", "0.0", "0.00", "0.000"}


def gzipped(data: bytes) -> bytes:
    """Return a whole body compressed."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()
