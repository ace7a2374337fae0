"""Several runs on one stream, followed across any number of broken connections."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from letta_grpc.client._sync.connection import Connection
from letta_grpc.client.errors import LettaError, StreamBroken, StreamClosed
from letta_grpc.client.lanes import Lane, Told
from letta_grpc.client.on_threads import DialogueCall, Event, EventCall, Lock
from letta_grpc.client.requests import silence_limit
from letta_grpc.client.retry import Backoff
from letta_grpc.v1 import events_pb2, run_service_pb2, runs_pb2

# How long the status may take to come behind the last event of all.
_FAREWELL_SECONDS = 5.0

Call = EventCall[run_service_pb2.StreamRunsResponse] | DialogueCall[run_service_pb2.ConverseResponse]


class RunStreams:
    """The events of several runs as they come, each run's exactly once and in order.

    Iterating yields `(lane, event)` until every run has finished or was refused; no run waits for another. The lane says which
    run it is; if its start was refused, `lane.error` says why, and the other runs go on. When the connection breaks, one call
    attaches to each run behind its last event; it gives up as a stream of one run does.

    Used as a context manager it is closed on exit, and on entry the runs are started. Closing ends no run.
    """

    def __init__(
        self,
        connection: Connection,
        lanes: Iterable[Lane],
        options: run_service_pb2.StreamOptions | None,
        first: run_service_pb2.StreamRunsRequest | None = None,
    ) -> None:
        self._connection = connection
        self._runs = connection.runs
        self._lanes = {lane.tag: lane for lane in lanes}
        # What starts them all with one call; whatever comes after it goes over a dialogue.
        self._first = first
        self._silence = silence_limit(options or run_service_pb2.StreamOptions())
        self._backoff = Backoff(connection.retry)
        self._waiting: deque[tuple[Lane, events_pb2.RunEvent]] = deque()
        self._call: Call | None = None
        # The lanes that the call knows of, and whether it has said anything.
        self._sent: set[str] = set()
        self._heard = False
        self._closed = Event()
        # Whoever wants something reads for everyone; grpc takes one reader and one writer at a time.
        self._reading = Lock()
        self._writing = Lock()

    @property
    def lanes(self) -> Sequence[Lane]:
        """The runs, in the order of their starts."""
        return list(self._lanes.values())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.lanes}>"

    def _repr_markdown_(self) -> str:
        return "\n\n---\n\n".join(lane._repr_markdown_() for lane in self.lanes)

    def started(self) -> Sequence[Lane]:
        """Wait until the server has accepted or refused each start; return the runs."""
        self._wait(lambda: all(lane.is_settled for lane in self.lanes))
        return self.lanes

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[Lane, events_pb2.RunEvent]:
        while not self._waiting:
            if self._closed.is_set() or self._is_over():
                self._leave()
                raise StopIteration
            self._advance(lambda: bool(self._waiting) or self._is_over())
        lane, event = self._waiting.popleft()
        lane.note(event)
        return lane, event

    def final(self) -> Sequence[Lane]:
        """Read to the end; return the lanes, each with its `run` as it ended, or its `error`."""
        for _ in self:
            pass
        if not self._is_over():
            self._require_open()
        return self.lanes

    def cancel(self, lane: Lane) -> runs_pb2.Run:
        """Ask a run to end, for everyone; return it as it is. The stream goes on until the run has ended."""
        request = run_service_pb2.CancelRunRequest(run_id=lane.run_id)
        return (self._connection.ask(self._runs.CancelRun, request)).run

    def disconnect(self) -> None:
        """Stop following; the runs go on. Does nothing when the stream has ended."""
        self._closed.set()
        self._hang_up()

    def close(self) -> None:
        """Do as `disconnect` does: the name that `contextlib` knows."""
        self.disconnect()

    def __enter__(self) -> Self:
        try:
            self.started()
        except BaseException:
            self.disconnect()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.disconnect()

    def _is_over(self) -> bool:
        return all(lane.is_over for lane in self._lanes.values())

    def _wait(self, enough: Callable[[], bool]) -> None:
        while not enough():
            self._require_open()
            self._advance(enough)

    def _advance(self, enough: Callable[[], bool]) -> None:
        """Take one step, unless another reader has done it meanwhile: dial, or read one response, or sleep after a failure."""
        with self._reading:
            if enough() or self._closed.is_set():
                return
            call = self._call
            try:
                self._dial() if call is None else self._read(call)
            except LettaError as error:
                self._hang_up()
                if self._closed.is_set():
                    return
                policy = self._connection.retry
                accepted = any(lane.run_id for lane in self._lanes.values())
                attempts = policy.stream_attempts if accepted else policy.call_attempts
                self._connection.pause(self._backoff.delay_after(error, attempts), self._closed)
            except BaseException:
                # As in a stream of one run.
                for lane in self.lanes:
                    lane.rewind(event for one, event in self._waiting if one is lane)
                self._hang_up()
                raise

    def _dial(self) -> None:
        self._heard = False
        if self._first is not None and not any(lane.is_settled for lane in self._lanes.values()):
            # Repeating it is safe: the request ids make the server answer with the same runs.
            call = self._connection.follow(self._runs.StreamRuns, self._first)
            self._call = call
            if self._is_left():
                return
            accepted = call.run_id(self._connection.timeout_seconds)
            for lane, run_id in zip(self._lanes.values(), (accepted or "").split(","), strict=False):
                if run_id:
                    lane.accept(run_id)
            return
        self._call, self._sent = self._connection.converse(self._runs.Converse), set()
        if not self._is_left():
            self._send()

    def _is_left(self) -> bool:
        """End a call that has just begun if the stream was closed in another thread, which could not see the call yet."""
        if self._closed.is_set():
            self._hang_up()
        return self._closed.is_set()

    def _send(self) -> None:
        """Tell the call of the lanes that it does not know of. Why it takes nothing its reader is told."""
        with self._writing:
            call = self._call
            if not isinstance(call, DialogueCall):
                return
            with suppress(LettaError):
                for lane in self.lanes:
                    if self._call is call and not lane.is_over and lane.tag not in self._sent:
                        self._sent.add(lane.tag)
                        call.write(lane.request())

    def _read(self, call: Call) -> None:
        response = call.read(self._patience())
        if response is None:
            self._verify_end()
            return
        self._heard = True
        tag = str(response.start_index) if isinstance(response, run_service_pb2.StreamRunsResponse) else response.tag
        if lane := self._lanes.get(tag):
            self._take(lane, response)

    def _take(self, lane: Lane, response: Told) -> None:
        known = lane.is_settled
        for event in lane.take(response):
            self._waiting.append((lane, event))
            self._backoff.reset()
        if not known or any(event.HasField("heartbeat") for event in response.events):
            self._backoff.reset()

    def _patience(self) -> float | None:
        """Return how long to wait for a word: heartbeats are due only once a run is followed."""
        followed = any(lane.is_settled and not lane.is_over for lane in self._lanes.values())
        return self._silence if self._heard and followed else self._connection.timeout_seconds

    def _verify_end(self) -> None:
        """OK without `run_finished` is right behind the last event of a finished run, and nowhere else."""
        for lane in self._lanes.values():
            if not lane.is_over:
                request = run_service_pb2.GetRunRequest(run_id=lane.run_id)
                if not lane.run_id or not lane.verify(
                    (self._connection.ask(self._runs.GetRun, request, closed=self._closed)).run
                ):
                    raise StreamBroken(f"the stream ended before the run of lane {lane.tag} did")
        self._hang_up()

    def _leave(self) -> None:
        """Let the call end by itself: hanging up on it would look like a lost reader to the server."""
        call = self._call
        if call is not None and not self._closed.is_set():
            with suppress(LettaError):
                call.done_writing()
                # Unless somebody has hung up meanwhile.
                if self._call is call:
                    call.read(_FAREWELL_SECONDS)
            self._hang_up()

    def _hang_up(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.close()

    def _require_open(self) -> None:
        if self._closed.is_set():
            raise StreamClosed("the stream was closed before its runs ended")
