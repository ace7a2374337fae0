"""The two forms of a stream over HTTP: server-sent events, and one JSON a line.

Source of the first: HTML Living Standard, "Server-sent events".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from letta_grpc.gateway.failures import Failure, refused
from letta_grpc.gateway.frames import Frame

KEEPALIVE = b": keepalive\n\n"
# What proxies obey that would gather a stream, or compress it, and let its reader wait.
STREAM_HEADERS: Mapping[str, str] = {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}


class StreamFormat(Protocol):
    """How frames are written."""

    @property
    def content_type(self) -> str:
        """The media type."""
        ...

    def opening(self) -> bytes:
        """What comes before all frames."""
        ...

    def frames(self, frames: Iterable[Frame]) -> bytes:
        """Frames."""
        ...

    def failure(self, failure: Failure) -> bytes:
        """The last thing of a stream that failed on its way."""
        ...


@dataclass(frozen=True, slots=True)
class ServerSentEvents:
    """`text/event-stream`.

    A heartbeat is a comment with an id, which a reader keeps as its place though there is no event: with a filter it is
    further than the last event was. A failure has no id, so that a reader goes on from where it was.
    """

    retry_ms: int
    content_type: str = "text/event-stream"

    def opening(self) -> bytes:
        """Tell how long to wait before coming back."""
        return b"retry: %d\n\n" % self.retry_ms

    def frames(self, frames: Iterable[Frame]) -> bytes:
        """Write each frame as an event."""
        return b"".join([_keepalive(frame) if frame.is_heartbeat else _event(frame) for frame in frames])

    def failure(self, failure: Failure) -> bytes:
        """Write an event of its own."""
        return b"event: error\ndata: %b\n\n" % failure.as_json()


@dataclass(frozen=True, slots=True)
class JsonLines:
    """`application/x-ndjson`. A heartbeat is a line like any other: the format knows no comments."""

    content_type: str = "application/x-ndjson"

    def opening(self) -> bytes:
        """Nothing."""
        return b""

    def frames(self, frames: Iterable[Frame]) -> bytes:
        """Write each frame as a line."""
        return b"".join([frame.json + b"\n" for frame in frames])

    def failure(self, failure: Failure) -> bytes:
        """Write a line that has `error` alone."""
        return failure.as_json() + b"\n"


def data_of(text: str | bytes) -> bytes:
    """Return an event that is data alone. A text of several lines stays one event, and is read as it was."""
    raw = text.encode() if isinstance(text, str) else text
    # A reader ends a line at CR, LF and CRLF, and joins lines of data by LF.
    lines = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return b"".join([b"data: %b\n" % line for line in lines]) + b"\n"


# The last event, for SDKs that wait for it: OpenAI's and Letta's.
DONE = data_of("[DONE]")


def _keepalive(frame: Frame) -> bytes:
    return KEEPALIVE if frame.id is None else b": keepalive\nid: %d\n\n" % frame.id


def _event(frame: Frame) -> bytes:
    named = b"event: %b\ndata: %b\n\n" % (frame.event.encode(), frame.json) if frame.event else b"data: %b\n\n" % frame.json
    return named if frame.id is None else b"id: %d\n%b" % (frame.id, named)


# Media ranges that mean a form, the most specific first.
_EVENTS = (frozenset({"text/event-stream"}), frozenset({"text/*"}), frozenset({"*/*", ""}))
_LINES = (
    frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"}),
    frozenset({"application/*"}),
    frozenset({"*/*"}),
)


def format_for(accept: str, retry_ms: int) -> StreamFormat:
    """Return what an Accept header asks for: events unless it wants lines more. Raises Failure."""
    ranges = _ranges_in(accept)
    events, lines = _preference(ranges, _EVENTS), _preference(ranges, _LINES)
    if max(events, lines) <= _NEVER:
        raise refused("This answers with a stream: accept `text/event-stream` or `application/x-ndjson`.", http=406)
    return ServerSentEvents(retry_ms) if events >= lines else JsonLines()


# How much something is wanted; and of what is wanted alike, the first is wanted more.
_Preference = tuple[float, int]
_NEVER: _Preference = (0.0, 0)


def _ranges_in(accept: str) -> dict[str, _Preference]:
    ranges: dict[str, _Preference] = {}
    for order, part in enumerate(accept.split(",")):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((_weight(piece[2:]) for piece in parameters if piece.startswith("q=")), 1.0)
        ranges.setdefault(kind, (weight, -order))
    return ranges


def _preference(ranges: Mapping[str, _Preference], levels: Sequence[frozenset[str]]) -> _Preference:
    """Return what the most specific range says, which may be that a form is not wanted at all: RFC 9110, 12.5.1."""
    said = ([ranges[kind] for kind in level if kind in ranges] for level in levels)
    return next((max(weighed) for weighed in said if weighed), _NEVER)


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if weight > 0 else 0.0
