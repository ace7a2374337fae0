"""Several runs on one stream: which is which, and where each goes on after a cut."""

from collections.abc import Iterable, Iterator

from letta_grpc.client.accumulator import Accumulator
from letta_grpc.client.cursor import Cursor, is_filtered
from letta_grpc.client.displays import told_markdown
from letta_grpc.client.errors import LettaError
from letta_grpc.client.requests import FINAL_STATES
from letta_grpc.client.statuses import error_of
from letta_grpc.v1 import events_pb2, run_service_pb2, runs_pb2

Start = run_service_pb2.ConverseStart
Attach = run_service_pb2.ConverseAttach
Told = run_service_pb2.StreamRunsResponse | run_service_pb2.ConverseResponse


def lane_start(start: run_service_pb2.RunStart, options: run_service_pb2.StreamOptions | None) -> Start:
    """Return what starts this run when the call that started it with others is lost."""
    return Start(
        agent_id=start.agent_id,
        conversation_id=start.conversation_id,
        request_id=start.request_id,
        run=start.run,
        options=options,
    )


class Lane:
    """One of several runs: what it has said so far, and whether more is to come.

    tag     its name on the stream; of `stream_many` the number of the start, from 0
    error   why there is no run, or why it is followed no further; None as long as all goes well
    so_far  what its events add up to
    """

    def __init__(self, tag: str, request: Start | Attach) -> None:
        self.tag = tag
        self.error: LettaError | None = None
        self.so_far = Accumulator()
        self.agent_id = request.agent_id if isinstance(request, Start) else ""
        self.run_id = request.run_id if isinstance(request, Attach) else ""
        self._request = request
        self._accepted = False
        self._ended = False
        self._after = request.after_sequence_number if isinstance(request, Attach) else 0
        self._cursor = Cursor(self._after, filtered=is_filtered(request.options))

    def __repr__(self) -> str:
        told = repr(self.error) if self.error else f"{self.run_id} at event {self._after}"
        return f"<Lane {self.tag}: {told}>"

    def _repr_markdown_(self) -> str:
        return f"**{type(self.error).__name__}** {self.error}" if self.error else told_markdown(self.so_far)

    @property
    def last_sequence_number(self) -> int:
        """The number of the last event yielded: `client.attach` after it goes on from here."""
        return self._after

    @property
    def run(self) -> runs_pb2.Run | None:
        """The run, as it ended if it has; None before its first event."""
        return self.so_far.run

    @property
    def text(self) -> str:
        """What was said: the texts of the completed assistant messages."""
        return self.so_far.text

    @property
    def is_settled(self) -> bool:
        """Whether the start is accepted or refused."""
        return self._accepted or self.error is not None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self._ended or self._cursor.finished or self.error is not None

    def request(self) -> run_service_pb2.ConverseRequest:
        """Return what goes on with this run on a new stream.

        Repeating a start is safe: its request id makes it the same run.
        """
        if self._accepted or isinstance(self._request, Attach):
            attach = Attach(run_id=self.run_id, after_sequence_number=self._cursor.position, options=self._request.options)
            return run_service_pb2.ConverseRequest(tag=self.tag, attach=attach)
        return run_service_pb2.ConverseRequest(tag=self.tag, start=self._request)

    def accept(self, run_id: str) -> None:
        """Take the run's id, which comes ahead of its events."""
        self.run_id, self._accepted = run_id, True

    def take(self, told: Told) -> Iterator[events_pb2.RunEvent]:
        """Yield what is new. Raises LettaError where another try may help."""
        if told.HasField("refusal"):
            self._refuse(error_of(told.refusal))
            return
        self.accept(told.run_id)
        self.agent_id = told.agent_id or self.agent_id
        yield from self._cursor.accept(told.events)

    def note(self, event: events_pb2.RunEvent) -> None:
        """Count an event as yielded."""
        self._after = event.sequence_number
        self.so_far.add(event)

    def rewind(self, waiting: Iterable[events_pb2.RunEvent]) -> None:
        """Forget what was taken and is neither yielded nor waits for it."""
        self._cursor.rewind(max((event.sequence_number for event in waiting), default=self._after))

    def verify(self, run: runs_pb2.Run) -> bool:
        """Tell whether a stream that ended without a last event has left nothing out."""
        self._ended = run.state in FINAL_STATES and run.last_sequence_number <= self._cursor.position
        if self._ended:
            self.so_far.run = run
        return self._ended

    def _refuse(self, error: LettaError) -> None:
        if self._accepted and error.retryable:
            raise error
        self.error = error
