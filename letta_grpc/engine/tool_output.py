"""What a tool writes while it runs, as events."""

from asyncio import Future

from letta_grpc.domain.events import ToolOutputDelta
from letta_grpc.domain.tools import OutputStream
from letta_grpc.engine.record import RunRecord

# How much of one call is shown while it runs; its return has the lines again. It also bounds a single event.
MAX_LIVE_CHARACTERS = 200_000

_MORE = "\n[cut: what comes after this is not shown while the tool runs]\n"


class LiveOutput:
    """Takes what one call writes; the tool never waits for it.

    Rule: one write is under way at most. What comes meanwhile is gathered and goes out once that is stored, as one event of
    each stream: a tool that writes fast makes no more events than the store takes.
    """

    def __init__(self, record: RunRecord, tool_call_id: str) -> None:
        self._record = record
        self._tool_call_id = tool_call_id
        self._gathered: dict[OutputStream, str] = {}
        self._room = MAX_LIVE_CHARACTERS
        self._is_writing = False
        self._is_closed = False

    def __call__(self, stream: OutputStream, text: str) -> None:
        """Take more text."""
        if self._is_closed or not text or self._room <= 0:
            return
        shown = text if len(text) <= self._room else text[: self._room] + _MORE
        self._room -= len(text)
        self._gathered[stream] = self._gathered.get(stream, "") + shown
        if not self._is_writing:
            self._write()

    def close(self) -> None:
        """Write what is left, before anything that is written later; take no more."""
        self._is_closed = True
        self._write()

    def _write(self) -> None:
        gathered, self._gathered = self._gathered, {}
        if gathered:
            events = (ToolOutputDelta(self._tool_call_id, stream, text) for stream, text in gathered.items())
            self._is_writing = True
            self._record.write_soon(*events).add_done_callback(self._stored)

    def _stored(self, stored: Future[None]) -> None:
        self._is_writing = False
        if stored.exception():
            # The next write of the run fails as well, and says why.
            self._is_closed = True
        elif not self._is_closed:
            self._write()
