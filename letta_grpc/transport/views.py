"""One reader's view of a run: which events go out, and when.

Stored frames go out as they are stored. A view without options looks into none of them.

Rules of a shaped view: what passes keeps its order; a heartbeat's number says that every event up to it that passes has gone
out before, so whatever is held back goes first.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass, field

from letta_grpc.domain.context import estimate_tokens
from letta_grpc.domain.frames import split_frames
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.log import LogPage
from letta_grpc.transport.convert.codec import body_of, frame
from letta_grpc.transport.convert.requests import View
from letta_grpc.transport.convert.times import NANOS
from letta_grpc.transport.methods import Response
from letta_grpc.v1 import events_pb2 as pb

_DELTAS = frozenset({pb.EVENT_KIND_TEXT_DELTA, pb.EVENT_KIND_REASONING_DELTA, pb.EVENT_KIND_TOOL_CALL_DELTA})
_ALWAYS = frozenset(
    {
        pb.EVENT_KIND_RUN_STARTED,
        pb.EVENT_KIND_STEP_RESTARTED,
        pb.EVENT_KIND_APPROVAL_REQUEST,
        pb.EVENT_KIND_RUN_FINISHED,
    }
)
# A unit is sent once it is this large, however few characters it has: a response is not to become much larger.
_MAX_UNIT_BYTES = 256 * 1024


@dataclass(slots=True)
class _Unit:
    """Neighbouring events that go out together. `before` is the number before the first of them."""

    before: int
    frames: list[bytes] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    size: int = 0
    characters: int = 0

    def add(self, event_frame: bytes, text: str) -> None:
        self.frames.append(event_frame)
        self.text.append(text)
        self.size += len(event_frame)
        self.characters += len(text)

    def response(self, last: bytes = b"") -> Response:
        return Response(b"".join(self.frames) + last, len(self.frames))


def heartbeat_frame(sequence_number: int, time_ns: int) -> bytes:
    """Return a heartbeat: all up to this number has gone out."""
    event = pb.RunEvent(sequence_number=sequence_number, heartbeat=pb.Heartbeat())
    event.create_time.seconds, event.create_time.nanos = divmod(time_ns, NANOS)
    return frame(event.SerializeToString())


def follow_seconds(view: View) -> float | None:
    """Return after how many seconds of silence of the log the view wants to be told.

    A shaped view can be silent while the log is not. It decides whenever it is told something, so it is told twice as often.
    """
    if view.is_plain or view.heartbeat_seconds is None:
        return view.heartbeat_seconds
    return view.heartbeat_seconds / 2


def plain(page: LogPage, clock: Clock) -> Response:
    """Return a page as a reader without options gets it."""
    if page.frames:
        return Response(page.frames, page.last - page.first + 1)
    return Response(heartbeat_frame(page.last, clock.time_ns()), 0)


def shaped(pages: AsyncIterator[LogPage], view: View, clock: Clock) -> AsyncGenerator[Response, None]:
    """Yield the events of the pages as this reader wants them. Does not close the pages."""
    return _Shaper(view, clock).run(pages)


class _Shaper:
    """Picks, gathers and slows down."""

    def __init__(self, view: View, clock: Clock) -> None:
        self._view = view
        self._clock = clock
        self._held: _Unit | None = None
        self._sent_ns = clock.time_ns()
        # When the deltas sent last have taken as long as they should, counted from `_sent_ns`.
        self._debt_seconds = 0.0
        self._debt_ns = self._sent_ns

    async def run(self, pages: AsyncIterator[LogPage]) -> AsyncGenerator[Response, None]:
        async for page in pages:
            sent = False
            for unit, is_delta in self._units(page):
                async for heartbeat in self._wait_for_turn(unit, is_delta=is_delta):
                    yield heartbeat
                yield self._sending(unit.response())
                sent = True
            if not sent and self._is_silent_too_long(page):
                yield self._heartbeat(page.last)

    def _units(self, page: LogPage) -> Iterator[tuple[_Unit, bool]]:
        """Yield what is ready to go, and whether it is deltas; keep what has to wait for more."""
        for number, event_frame in enumerate(split_frames(page.frames), start=page.first):
            event = pb.RunEvent.FromString(body_of(event_frame))
            kind = _kind(event)
            if not self._passes(kind):
                continue
            if kind in _DELTAS:
                unit = self._held = self._held or _Unit(number - 1)
                unit.add(event_frame, _text(event))
                if unit.characters >= self._view.min_chunk_chars or unit.size >= _MAX_UNIT_BYTES:
                    yield self._released(unit), True
                continue
            if self._held:
                yield self._released(self._held), True
            unit = _Unit(number - 1)
            unit.add(event_frame, "")
            yield unit, False

    def _released(self, unit: _Unit) -> _Unit:
        self._held = None
        return unit

    def _passes(self, kind: int) -> bool:
        if kind in _DELTAS and self._view.omit_deltas:
            return False
        return self._view.kinds is None or kind in self._view.kinds or kind in _ALWAYS

    async def _wait_for_turn(self, unit: _Unit, *, is_delta: bool) -> AsyncGenerator[Response, None]:
        """Wait until deltas may be sent; yield a heartbeat whenever that takes long."""
        rate = self._view.max_tokens_per_second
        if not rate or not is_delta:
            return
        while (left := self._left_seconds()) > 0:
            pause = min(left, self._view.heartbeat_seconds or left)
            await self._clock.sleep(pause)
            # Not by the clock: one that wakes a little early leaves something, and that is no silence.
            if pause < left:
                yield self._sending(Response(heartbeat_frame(unit.before, self._clock.time_ns()), 0))
        self._paid(unit)

    def _paid(self, unit: _Unit) -> _Unit:
        if rate := self._view.max_tokens_per_second:
            self._debt_seconds = estimate_tokens("".join(unit.text)) / rate
            self._debt_ns = self._clock.time_ns()
        return unit

    def _left_seconds(self) -> float:
        now = self._clock.time_ns()
        # After a clock was put back the debt is counted anew: a reader must not wait until the clock has caught up.
        self._debt_ns = min(self._debt_ns, now)
        return self._debt_seconds - (now - self._debt_ns) / NANOS

    def _is_silent_too_long(self, page: LogPage) -> bool:
        interval = self._view.heartbeat_seconds
        if interval is None:
            return False
        # Less than nothing is what a clock shows that was put back: nobody knows then how long it was.
        return not page.frames or not 0 <= self._clock.time_ns() - self._sent_ns < interval / 2 * NANOS

    def _heartbeat(self, number: int) -> Response:
        now = self._clock.time_ns()
        if self._held is None:
            return self._sending(Response(heartbeat_frame(number, now), 0))
        if self._left_seconds() > 0:
            return self._sending(Response(heartbeat_frame(self._held.before, now), 0))
        return self._sending(self._paid(self._released(self._held)).response(heartbeat_frame(number, now)))

    def _sending(self, response: Response) -> Response:
        self._sent_ns = self._clock.time_ns()
        return response


def _kind(event: pb.RunEvent) -> int:
    payload = event.WhichOneof("payload")
    # The kinds bear the numbers of the payload's fields; a payload that this server does not know is of no kind.
    return pb.RunEvent.DESCRIPTOR.fields_by_name[payload].number if payload else pb.EVENT_KIND_UNSPECIFIED


def _text(event: pb.RunEvent) -> str:
    match event.WhichOneof("payload"):
        case "text_delta":
            return event.text_delta.text
        case "reasoning_delta":
            return event.reasoning_delta.text
        case "tool_call_delta":
            return event.tool_call_delta.arguments
        case _:
            return ""
