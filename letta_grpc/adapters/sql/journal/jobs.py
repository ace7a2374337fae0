"""What the writer thread is asked to do."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from letta_grpc.adapters.sql.changes import STATEFUL, statements_of, store_changes, store_meaning
from letta_grpc.adapters.sql.claiming import interrupts_wait
from letta_grpc.adapters.sql.denying import batch_in, deny_batch
from letta_grpc.adapters.sql.journal.ended_runs import add_ended_run
from letta_grpc.adapters.sql.journal.group import Group
from letta_grpc.adapters.sql.journal.open_runs import OpenRun
from letta_grpc.adapters.sql.journal.writer import Writer
from letta_grpc.adapters.sql.queries import OPEN_RUNS_OF_CONVERSATION, REQUEST_CANCEL
from letta_grpc.adapters.sql.times import from_micros
from letta_grpc.domain.errors import CancelRequested, LeaseLost, StoreUnavailable
from letta_grpc.domain.events import RunEvent, RunFinished, ToolExecutionStarted
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.waiting import CANCELLED
from letta_grpc.ports.journal import Change, EditBlock, Lease

T = TypeVar("T")


@dataclass(slots=True)
class Call(Generic[T]):
    """A function of the group, undone as a whole if it raises."""

    future: "asyncio.Future[T]"
    function: Callable[[Group], T]

    def run(self, group: Group) -> T:
        """Call it."""
        with group.all_or_nothing():
            return self.function(group)


def call(writer: Writer, function: Callable[[Group], T]) -> "asyncio.Future[T]":
    """Run a function in the next transaction; the future completes once it is durable."""
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    writer.submit(Call(future, function))
    return future


@dataclass(slots=True)
class Checked(Call[T]):
    """A function that raises before it writes, if it raises: so there is nothing to undo, and no savepoint to pay for."""

    def run(self, group: Group) -> T:
        """Call it."""
        group.begin()
        before = group.state.connection.changed_rows
        try:
            return self.function(group)
        except BaseException:
            # It had written after all, because the database itself failed: the group cannot be told from a half of it.
            group.is_spoiled = group.state.connection.changed_rows != before
            raise


@dataclass(slots=True)
class Append:
    """Events of a run and the changes that come with them."""

    future: "asyncio.Future[None]"
    lease: Lease
    events: Sequence[RunEvent]
    changes: Sequence[Change]
    time_ns: int

    def run(self, group: Group) -> None:
        """Number and store them. Numbers are given here, where nothing can come between the check and the storing."""
        run = self._check(group)
        frames = group.encode(run, self.events, self.time_ns)
        statements = len(self.changes) + sum(statements_of(event) for event in self.events if type(event) in STATEFUL)
        if statements:
            self._store(group, run, statements)
        group.add(run, frames)

    def _check(self, group: Group) -> OpenRun:
        run, lease = group.state.runs.get(self.lease.run_id), self.lease
        if run is None or run.attempt != lease.attempt or run.owner != lease.owner:
            raise LeaseLost
        if run.dead:
            raise StoreUnavailable
        if run.ended:
            raise LeaseLost
        if run.cancel_requested and any(isinstance(event, ToolExecutionStarted) for event in self.events):
            raise CancelRequested
        return run

    def _store(self, group: Group, run: OpenRun, statements: int) -> None:
        ended = next((event.run for event in self.events if isinstance(event, RunFinished)), None)
        try:
            with group.one_statement() if statements == 1 else group.all_or_nothing():
                store_changes(group.session, self.changes, self.time_ns // 1000)
                if any(isinstance(change, EditBlock) for change in self.changes):
                    group.forget_agents()
                store_meaning(group.session, run.conversation_id, self.events, run.last + len(self.events))
                if ended and ended.pending_actions and run.cancel_requested:
                    deny_what_waits(group, run, self.time_ns)
        except group.state.connection.errors:
            run.dead = True
            group.touched.add(run)
            raise
        run.ended = ended is not None


def deny_what_waits(group: Group, run: OpenRun, time_ns: int) -> None:
    """Deny what a run that is to end has come to wait for, unless a queued start that interrupts it will."""
    queued = group.session.fetch(OPEN_RUNS_OF_CONVERSATION, {"the_conversation": run.conversation_id})
    batch = batch_in(group.session, run.conversation_id)
    if batch and not interrupts_wait(queued):
        add_ended_run(group, deny_batch(group.session, batch, CANCELLED, from_micros(time_ns // 1000)), time_ns)


def mark_cancelled(group: Group, run_id: RunId) -> OpenRun:
    """Store that a run at work is to end: from here on no tool starts in it."""
    group.session.execute(REQUEST_CANCEL, {"the_run": run_id})
    open_run = group.state.runs[run_id]
    group.touched.add(open_run)
    open_run.cancel_requested = True
    return open_run
