"""Server-sent events, as far as chat completions use them: bytes → the data of each event.

Source: WHATWG HTML, "Parsing an event stream". Lines end with CRLF, LF or CR; comments, names and ids mean nothing here.
"""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MAX_EVENT_BYTES = 32 * 1024 * 1024


class EventTooLargeError(ValueError):
    """An event has no end."""


class EventReader:
    """Cuts bytes, in whatever pieces they come, into the data of events."""

    __slots__ = ("_after_cr", "_at_start", "_data", "_tail", "_tail_bytes")

    def __init__(self) -> None:
        self._tail: list[bytes] = []
        self._tail_bytes = 0
        self._data: bytes | None = None
        self._after_cr = False
        self._at_start = True

    def feed(self, received: bytes) -> list[bytes]:
        """Return the data of the events that are complete now. Raises EventTooLargeError."""
        events: list[bytes] = []
        data = self._data
        for line in self._complete_lines(received):
            if line.startswith(b"data:"):
                data = line[5:] if data is None else data + b"\n" + line[5:]
            elif not line and data is not None:
                events.append(data)
                data = None
        if data is not None and len(data) > MAX_EVENT_BYTES:
            raise EventTooLargeError
        self._data = data
        return events

    def close(self) -> list[bytes]:
        """Return what stands at the end without the empty line that should close it; it may be cut anywhere."""
        return self.feed(b"\n\n")

    def _complete_lines(self, received: bytes) -> list[bytes]:
        if self._after_cr and received:
            # The CR ended its line when it came; a LF behind it belongs to it.
            received = received.removeprefix(b"\n")
            self._after_cr = False
        end = max(received.rfind(b"\n"), received.rfind(b"\r")) + 1
        if not end:
            self._keep(received)
            return []
        lines = b"".join((*self._tail, received[:end])).splitlines()
        self._tail.clear()
        self._tail_bytes = 0
        self._keep(received[end:])
        self._after_cr = received.endswith(b"\r")
        if self._at_start:
            self._at_start = False
            lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
        return lines

    def _keep(self, piece: bytes) -> None:
        if piece:
            self._tail.append(piece)
            self._tail_bytes += len(piece)
            if self._tail_bytes > MAX_EVENT_BYTES:
                raise EventTooLargeError
