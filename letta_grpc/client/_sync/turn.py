"""A turn: a run, and the runs that answer its calls, as one stream of events."""

from collections.abc import Generator, Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self, cast

from letta_grpc.client._sync.stream import RunStream
from letta_grpc.client.accumulator import Accumulator
from letta_grpc.client.answers import Answer, Answers, failure, tool_return
from letta_grpc.client.budgets import Budget
from letta_grpc.client.displays import stream_line, told_markdown
from letta_grpc.client.errors import RunFailed, StreamClosed
from letta_grpc.client.functions import ArgumentsInvalid, Function, bound
from letta_grpc.client.on_threads import Lock, run_function
from letta_grpc.v1 import events_pb2, messages_pb2, runs_pb2

# What is done with a call that waits for approval; None lets it wait. A coroutine will do as well.
Decide = Callable[[runs_pb2.PendingAction], Answer | Awaitable[Answer | None] | None]
FollowUp = Callable[[runs_pb2.Run, Answers], RunStream]


class Denial(Protocol):
    """Finds the run with which the server has denied the calls of another, which was cancelled."""

    def __call__(self, waiting: runs_pb2.Run, /) -> RunStream | None:
        """Return its stream; None when it is not there."""


class Answering:
    """Answers calls that wait: by running functions, and by asking for decisions."""

    def __init__(self, functions: Mapping[str, Function], decide: Decide | None) -> None:
        self._functions = functions
        self._decide = decide

    def is_asked(self, actions: Sequence[runs_pb2.PendingAction]) -> bool:
        """Tell whether any of these calls is for a function, or for a decision."""
        return any(self._decide if _is_approval(action) else action.name in self._functions for action in actions)

    def answers(self, actions: Sequence[runs_pb2.PendingAction], is_stopped: Callable[[], bool]) -> Answers:
        """Return the answers there are, one call after the other, in the model's order; none begins once it is stopped."""
        found: dict[str, Answer] = {}
        for action in actions:
            if is_stopped():
                break
            answer = self._answer(action)
            if answer is not None:
                found[action.tool_call_id] = answer
        return found

    def _answer(self, action: runs_pb2.PendingAction) -> Answer | None:
        if _is_approval(action):
            return cast("Answer | None", run_function(self._decide, action)) if self._decide else None
        function = self._functions.get(action.name)
        return _run(function, action.arguments) if function else None


def _is_approval(action: runs_pb2.PendingAction) -> bool:
    return action.kind == runs_pb2.ACTION_KIND_APPROVAL


def _run(function: Function, arguments: str) -> messages_pb2.ToolReturn:
    try:
        return tool_return(run_function(function, **bound(function, arguments)))
    except ArgumentsInvalid as error:
        return tool_return(str(error), failed=True)
    except Exception as error:  # noqa: BLE001 - whatever it is, the model is told, as of a tool that the server runs
        return failure(error)


class Turn:
    """The events of a turn: those of each of its runs in order, numbered from 1 in each run.

    Between two runs iterating runs the functions that were called, as long as the turn has steps and time left. Used as a
    context manager it starts the first run on entry, and is closed on exit. Closing it does not end the run.
    """

    def __init__(
        self, first: RunStream, follow_up: FollowUp, denial: Denial, answering: Answering, budget: Budget
    ) -> None:
        self._stream = first
        self._follow_up = follow_up
        self._denial = denial
        self._answering = answering
        self._budget = budget
        self._accumulator = Accumulator()
        self._over = False
        self._closed = False
        self._cancelled = False
        # A cancel has to meet the run at work: while it is asked for no other takes that run's place.
        self._changing = Lock()

    @property
    def run_id(self) -> str:
        """The run that is at work, or was the last; empty until the server has accepted the first."""
        return self._stream.run_id

    @property
    def so_far(self) -> Accumulator:
        """What the events yielded up to now add up to, over all runs."""
        return self._accumulator

    @property
    def pending_actions(self) -> Sequence[runs_pb2.PendingAction]:
        """The calls that wait for answers which this turn does not give."""
        return self._accumulator.pending_actions

    def __repr__(self) -> str:
        return stream_line(self, self._accumulator)

    def _repr_markdown_(self) -> str:
        return told_markdown(self._accumulator)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> events_pb2.RunEvent:
        while True:
            try:
                event = next(self._stream)
            except StopIteration:
                if not self._go_on():
                    raise
            else:
                self._accumulator.add(event)
                return event

    def text_deltas(self) -> Generator[str, None]:
        """Yield the text as it comes."""
        for event in self:
            if event.HasField("text_delta"):
                yield event.text_delta.text

    def final(self) -> runs_pb2.Run:
        """Read to the end; return the last run as it ended, whatever its state."""
        for _ in self:
            pass
        run = self._stream.final()
        if self._closed and not self._over and self.pending_actions:
            raise StreamClosed("the turn was closed before it ended")
        return run

    def messages(self) -> Sequence[messages_pb2.Message]:
        """Read to the end; return the messages that were completed."""
        self.final()
        return self._accumulator.messages

    def text(self) -> str:
        """Read to the end; return the texts of the completed assistant messages, with a blank line between them.

        Raises RunFailed if the last run FAILED.
        """
        run = self.final()
        if run.state == runs_pb2.RUN_STATE_FAILED:
            raise RunFailed(run)
        return self._accumulator.text

    def cancel(self) -> runs_pb2.Run:
        """Ask the run at work to end, for everyone; return it as it is. No further function is run.

        When the run waits for its calls, because their functions are at work, the server denies them: the turn ends with the
        run that does it, which is CANCELLED.
        """
        self._cancelled = True
        with self._changing:
            return self._stream.cancel()

    def disconnect(self) -> None:
        """Stop following; the run goes on. No further function is run, and no further run started."""
        self._closed = True
        self._stream.disconnect()

    def close(self) -> None:
        """Do as `disconnect` does: the name that `contextlib` knows."""
        self.disconnect()

    def __enter__(self) -> Self:
        self._stream.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.disconnect()

    def _go_on(self) -> bool:
        """Answer what waits, if there is anything that can be answered, and begin to follow the answer's run."""
        run = self._accumulator.run
        if run and self._answering.is_asked(self.pending_actions) and not self._is_stopped():
            self._budget.spend(run)
        answers = self._answering.answers(self.pending_actions, self._is_stopped)
        with self._changing:
            follower = self._follower(run, answers) if run else None
            if not self._closed:
                self._over = follower is None
            if follower is None:
                return False
            self._stream.disconnect()
            self._stream = follower
        if self._closed:
            # In another thread, just now: it has met the stream before this one.
            follower.disconnect()
        return True

    def _follower(self, run: runs_pb2.Run, answers: Answers) -> RunStream | None:
        if self._cancelled:
            waits = self.pending_actions and run.id == self.run_id
            return self._denial(run) if waits and not self._closed else None
        return self._follow_up(run, answers) if answers and not self._closed else None

    def _is_stopped(self) -> bool:
        return self._closed or self._cancelled
