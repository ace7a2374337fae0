"""The head of a request: what is the same in each call is written once."""

import re
from collections.abc import Mapping

from letta_grpc.adapters.openai.faults import UnsafeHeaderError

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# These say where a request ends and whom it is for.
_RESERVED = frozenset({"connection", "content-length", "host", "transfer-encoding"})


class RequestHead:
    """Heads of POSTs to one target. Raises UnsafeHeaderError for headers that would say more than their own line."""

    __slots__ = ("_start",)

    def __init__(self, target: str, host: str, headers: Mapping[str, str]) -> None:
        lines = f"POST {target} HTTP/1.1\r\nHost: {host}\r\n{_lines(headers)}Content-Length: "
        self._start = lines.encode("latin-1")

    def for_body(self, length: int, headers: Mapping[str, str]) -> bytes:
        """Return the head of one request."""
        return b"%b%d\r\n%b\r\n" % (self._start, length, _lines(headers).encode("latin-1") if headers else b"")


def _lines(headers: Mapping[str, str]) -> str:
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or name.lower() in _RESERVED or not _VALUE.fullmatch(value):
            # Not with its value: it may be a key.
            raise UnsafeHeaderError(f"the header {name!r} cannot be sent")
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())
