"""A run's events, followed across any number of broken connections."""

from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from letta_grpc.client._async.connection import Connection
from letta_grpc.client.accumulator import Accumulator
from letta_grpc.client.cursor import Cursor, is_filtered
from letta_grpc.client.displays import stream_line, told_markdown
from letta_grpc.client.errors import LettaError, RunFailed, StreamBroken, StreamClosed
from letta_grpc.client.on_asyncio import Event, EventCall, Lock
from letta_grpc.client.requests import FINAL_STATES, silence_limit
from letta_grpc.client.retry import Backoff
from letta_grpc.v1 import events_pb2, messages_pb2, run_service_pb2, runs_pb2

# How long the status may take to come behind the run's last event.
_FAREWELL_SECONDS = 5.0

Start = run_service_pb2.StreamRunRequest
Attach = run_service_pb2.AttachRunRequest
FollowCall = EventCall[run_service_pb2.StreamRunResponse] | EventCall[run_service_pb2.AttachRunResponse]


class AsyncRunStream:
    """The events of one run, each exactly once and in order.

    Iterating yields events until the run has finished. When the connection breaks, falls silent, or leaves something
    out, the stream attaches again behind the last event it has. It gives up, and raises, on an error that no new try
    helps, or after the retry policy's attempts without progress; iterating once more then goes on where it stopped.

    Used as a context manager it starts the run, or attaches to it, on entry, and is closed on exit. Closing it does not end
    the run. One reader at a time; `cancel` and `disconnect` may be called meanwhile.
    """

    def __init__(self, connection: Connection, request: Start | Attach) -> None:
        self._connection = connection
        self._runs = connection.runs
        self._request = request
        self._run_id = request.run_id if isinstance(request, Attach) else None
        # Whether the server has taken the call: of a run that it does not have, or has no such events of, it never does.
        self._accepted = False
        self._after = request.after_sequence_number if isinstance(request, Attach) else 0
        self._cursor = Cursor(self._after, filtered=is_filtered(request.options))
        self._silence = silence_limit(request.options)
        self._backoff = Backoff(connection.retry)
        self._accumulator = Accumulator()
        self._waiting: deque[events_pb2.RunEvent] = deque()
        self._call: FollowCall | None = None
        self._ended = False
        self._closed = Event()
        # Whoever needs the run accepted has it accepted for everyone. From then on only the reader takes steps.
        self._starting = Lock()

    @property
    def run_id(self) -> str:
        """The run; empty until the server has accepted it: see `started`."""
        return self._run_id or ""

    @property
    def last_sequence_number(self) -> int:
        """The number of the last event yielded: `attach` after it goes on from here, in another process too."""
        return self._after

    @property
    def so_far(self) -> Accumulator:
        """What the events yielded up to now add up to."""
        return self._accumulator

    @property
    def pending_actions(self) -> Sequence[runs_pb2.PendingAction]:
        """The calls that wait for answers, once the run has ended because of them: see `client.answer`."""
        return self._accumulator.pending_actions

    def __repr__(self) -> str:
        return stream_line(self, self._accumulator)

    def _repr_markdown_(self) -> str:
        return told_markdown(self._accumulator)

    async def started(self) -> str:
        """Wait until the server has accepted the call; return the run's id. The first event may come much later.

        Raises if the server refuses, so that a web server can still answer with a status of its own; and if it is out of reach
        for longer than the retry policy's `call_attempts` take, also where a run is attached to.
        """
        while not self._accepted:
            self._require_open()
            await self._advance(self._connection.retry.call_attempts)
        return self.run_id

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> events_pb2.RunEvent:
        while not self._waiting and not self._ended and not self._closed.is_set():
            policy = self._connection.retry
            # Whoever reads a new run waits at first for an answer, not for a stream.
            await self._advance(policy.call_attempts if isinstance(self._request, Start) else policy.stream_attempts)
        if self._closed.is_set() or not self._waiting:
            raise StopAsyncIteration
        event = self._waiting.popleft()
        self._after = event.sequence_number
        self._accumulator.add(event)
        return event

    async def text_deltas(self) -> AsyncGenerator[str, None]:
        """Yield the text as it comes. After `step_restarted` the text of that step comes once more."""
        async for event in self:
            if event.HasField("text_delta"):
                yield event.text_delta.text

    async def final(self) -> runs_pb2.Run:
        """Read to the end; return the run as it ended, whatever its state."""
        async for _ in self:
            pass
        run = self._accumulator.run
        if run is None or run.state not in FINAL_STATES:
            self._require_open()
            raise StreamBroken("the stream ended before the run did")
        return run

    async def messages(self) -> Sequence[messages_pb2.Message]:
        """Read to the end; return the messages that were completed on this stream."""
        await self.final()
        return self._accumulator.messages

    async def text(self) -> str:
        """Read to the end; return the texts of the completed assistant messages, with a blank line between them.

        Raises RunFailed if the run FAILED; what a cancelled run had said is returned.
        """
        run = await self.final()
        if run.state == runs_pb2.RUN_STATE_FAILED:
            raise RunFailed(run)
        return self._accumulator.text

    async def cancel(self) -> runs_pb2.Run:
        """Ask the run to end, for everyone; return it as it is. The stream goes on until the run has ended."""
        request = run_service_pb2.CancelRunRequest(run_id=self._run_id or await self.started())
        response = await self._connection.ask(self._runs.CancelRun, request)
        return response.run

    async def disconnect(self) -> None:
        """Stop following; the run goes on. Nothing more is yielded, not even what has come already."""
        self._closed.set()
        await self._hang_up()

    async def aclose(self) -> None:
        """Do as `disconnect` does: the name that `contextlib` knows."""
        await self.disconnect()

    async def __aenter__(self) -> Self:
        try:
            await self.started()
        except BaseException:
            await self.disconnect()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.disconnect()

    async def _advance(self, attempts: int) -> None:
        """Take one step, unless another has taken it meanwhile who waits for the run to be accepted."""
        if self._accepted:
            await self._step(attempts)
            return
        async with self._starting:
            if self._wants_start():
                await self._step(attempts)

    def _wants_start(self) -> bool:
        return not self._accepted and not self._closed.is_set()

    async def _step(self, attempts: int) -> None:
        """Dial, or read one response, or sleep after a failure, unless there were so many and the call was never accepted."""
        call = self._call
        try:
            await self._dial() if call is None else await self._read(call)
        except LettaError as error:
            await self._hang_up()
            if self._closed.is_set() or self._ended:
                return
            limit = self._connection.retry.stream_attempts if self._accepted else attempts
            await self._connection.pause(self._backoff.delay_after(error, limit), self._closed)
        except BaseException:
            # Interrupted, or cancelled, perhaps halfway: a call with a read that nobody waits for is of no use to grpc.
            self._cursor.rewind(self._waiting[-1].sequence_number if self._waiting else self._after)
            await self._hang_up()
            raise

    async def _dial(self) -> None:
        if self._run_id is None and isinstance(self._request, Start):
            # Repeating it is safe: the request id makes the server answer with the same run.
            call: FollowCall = self._connection.follow(self._runs.StreamRun, self._request)
        else:
            call = self._connection.follow(self._runs.AttachRun, self._attach_request())
        self._call = call
        if self._closed.is_set():
            # In another thread, just now, which could not see the call yet.
            await self._hang_up()
            return
        # No heartbeat is due before the server has the call, and a connection may have to be made.
        accepted = await call.run_id(self._connection.timeout_seconds)
        self._run_id = self._run_id or accepted
        # The last thing: from here on a reader in another thread takes the steps.
        self._accepted = self._accepted or accepted is not None

    def _attach_request(self) -> Attach:
        return Attach(run_id=self._run_id or "", after_sequence_number=self._cursor.position, options=self._request.options)

    async def _read(self, call: FollowCall) -> None:
        if self._cursor.finished:
            await self._take_leave(call)
            return
        response = await call.read(self._silence)
        if response is None:
            await self._verify_end()
            return
        try:
            for event in self._cursor.accept(response.events):
                self._waiting.append(event)
                self._backoff.reset()
        finally:
            # Behind what it came with, as in `_dial`.
            self._run_id = self._run_id or response.run_id
            self._accepted = True
        if any(event.HasField("heartbeat") for event in response.events):
            self._backoff.reset()

    async def _take_leave(self, call: FollowCall) -> None:
        """Let the call end by itself: hanging up on it would look like a lost reader to the server."""
        with suppress(LettaError):
            await call.read(_FAREWELL_SECONDS)
        await self._hang_up()

    async def _verify_end(self) -> None:
        """OK without `run_finished` is right behind the last event of a finished run, and nowhere else."""
        if self._run_id is None:
            raise StreamBroken("the stream ended before the run was accepted")
        request = run_service_pb2.GetRunRequest(run_id=self._run_id)
        run = (await self._connection.ask(self._runs.GetRun, request, closed=self._closed)).run
        if run.state not in FINAL_STATES or run.last_sequence_number > self._cursor.position:
            raise StreamBroken(f"the stream ended after event {self._cursor.position}, before the run did")
        self._accumulator.run = run
        self._ended = self._accepted = True
        await self._hang_up()

    async def _hang_up(self) -> None:
        call, self._call = self._call, None
        # Behind the run's last event nothing is worth another call, however this one went.
        self._ended = self._ended or self._cursor.finished
        if call is not None:
            await call.close()

    def _require_open(self) -> None:
        if self._closed.is_set():
            raise StreamClosed("the stream was closed before the run ended")
