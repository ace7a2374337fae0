"""One group commit, while the writer thread makes it."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from sqlalchemy import Connection, Select, event

from letta_grpc.adapters.sql.connection import DatabaseConnection
from letta_grpc.adapters.sql.journal.open_runs import JournalRow, JournalRows, OpenRun, pack
from letta_grpc.adapters.sql.queries import ADD_JOURNAL_ROW, ADD_SEGMENT, DROP_JOURNAL_ROWS
from letta_grpc.adapters.sql.schema import (
    callbacks,
    conversations,
    messages,
    passage_vectors,
    passages,
    removals,
    runs,
    waiting_calls,
)
from letta_grpc.adapters.sql.session import Session
from letta_grpc.domain.agents import Agent
from letta_grpc.domain.events import RunEvent
from letta_grpc.domain.ids import AgentId, RunId
from letta_grpc.ports.codec import EventCodec

SEGMENT_BYTES = 64 * 1024
# Beyond this the runs that hold the oldest rows are sealed, however little they have: a start after a crash reads it all.
JOURNAL_BYTES = 4 * 2**20
# Rows that nobody needs are dropped this many bytes at a time.
_DROP_BYTES = 256 * 1024
_KNOWN_AGENTS = 1000
# Changes of these, and they are the most, are of no agent.
_TABLES_WITHOUT_AGENTS = (conversations, messages, passages, passage_vectors, runs, waiting_calls, callbacks, removals)


@dataclass(slots=True)
class Entry:
    """What a run appends in this group."""

    first: int
    last: int
    frames: list[bytes]


@dataclass(frozen=True, slots=True)
class Published:
    """What readers may see once the group is committed. `sealed`: the last number that segments have."""

    run_id: RunId
    first: int
    last: int
    frames: bytes
    sealed: int
    ended: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run as the database has it: what came after the last sealed number, as frames."""

    run_id: RunId
    sealed: int
    last: int
    frames: bytes


def snapshot_of(run: OpenRun) -> Snapshot:
    """Return what readers may see of a run that was read from the database."""
    return Snapshot(run.run_id, run.sealed, run.last, b"".join(run.unsealed))


@dataclass(slots=True)
class State:
    """What the writer thread owns: the connection, and every open run by id."""

    connection: DatabaseConnection
    codec: EventCodec
    owner: str
    runs: dict[RunId, OpenRun] = field(default_factory=dict)
    rows: JournalRows = field(default_factory=JournalRows)
    # Agents with their blocks, as the database has them: most runs are of an agent that has just had one.
    agents: dict[AgentId, Agent] = field(default_factory=dict)

    def __post_init__(self) -> None:
        event.listen(self.connection.core, "before_execute", self._forget_changed)

    def _forget_changed(self, _: Connection, statement: object, *__: object) -> None:
        """Know no agent any more when a store changes what agents are made of. `queries.py` does so by jobs that know it."""
        if not isinstance(statement, Select) and getattr(statement, "table", None) not in _TABLES_WITHOUT_AGENTS:
            self.agents.clear()


class Group:
    """Jobs put their statements and events into it; `write` stores the events, `settle` makes memory agree after the commit.

    Rule: until then memory keeps what is needed to go on from the last commit. Only numbers run ahead, and a run whose group
    failed is dead until it is read from the database again.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.touched: set[OpenRun] = set()
        self.opened: list[OpenRun] = []
        self.loaded: list[Snapshot] = []
        self.used_core = False
        self._entries: dict[OpenRun, Entry] = {}
        self._sealed: list[tuple[OpenRun, int]] = []
        self._row: JournalRow | None = None
        self._dropped = False
        self._begun = False
        # A job that failed half-way could not be undone by itself.
        self.is_spoiled = False

    @property
    def session(self) -> Session:
        """The transaction, for the statements of `queries.py`."""
        self.begin()
        return self.state.connection.session

    @property
    def core(self) -> Connection:
        """The transaction, for query functions."""
        self.begin()
        self.used_core = True
        return self.state.connection.core

    @property
    def agents(self) -> dict[AgentId, Agent]:
        """The agents that are known as they are stored; whoever learns one adds it."""
        if len(self.state.agents) >= _KNOWN_AGENTS:
            self.state.agents.clear()
        return self.state.agents

    def forget_agents(self) -> None:
        """Know no agent any more: one of them, or of its blocks, may be another from here on."""
        self.state.agents.clear()

    def begin(self) -> None:
        """Begin the transaction. A group of nothing but plain events is one statement and needs none."""
        if not self._begun:
            self.state.connection.begin()
            self._begun = True

    def all_or_nothing(self) -> AbstractContextManager[None]:
        """Undo the statements of one job if it raises, and leave the other jobs' alone."""
        self.begin()
        return self.state.connection.savepoint()

    def one_statement(self) -> AbstractContextManager[None]:
        """Let the other jobs go on where a job's only statement fails."""
        self.begin()
        return self.state.connection.one_statement()

    def open(self, run: OpenRun) -> None:
        """Add a run that this group stores."""
        self.state.runs[run.run_id] = run
        self.opened.append(run)
        self.loaded.append(snapshot_of(run))
        self.touched.add(run)

    def encode(self, run: OpenRun, events: Sequence[RunEvent], time_ns: int) -> list[bytes]:
        """Return the frames of the run's next events; nothing is changed by it."""
        encode = self.state.codec.encode
        return [encode(number, time_ns, event) for number, event in enumerate(events, start=run.last + 1)]

    def add(self, run: OpenRun, frames: list[bytes]) -> None:
        """Append frames that were encoded for this place."""
        entry = self._entries.get(run)
        if entry is None:
            self.touched.add(run)
            self._entries[run] = Entry(run.last + 1, run.last + len(frames), frames)
        else:
            entry.frames += frames
            entry.last += len(frames)
        run.last += len(frames)

    def write(self) -> list[Published]:
        """Store the events: long or ended runs' in segments, the others' in one journal row. Then commit."""
        self._seal_laggards()
        published: list[Published] = []
        parts: list[bytes] = []
        holders: set[OpenRun] = set()
        for run, entry in self._entries.items():
            frames = b"".join(entry.frames)
            sealed = run.sealed
            if run.ended or run.unsealed_bytes + len(frames) >= SEGMENT_BYTES:
                self._seal(run, frames, entry.last)
                sealed = entry.last
            elif frames:
                parts += pack(run, entry.first, entry.last - entry.first + 1, frames)
                holders.add(run)
            published.append(Published(run.run_id, entry.first, entry.last, frames, sealed, run.ended))
        if parts:
            self._write_row(b"".join(parts), holders)
        self._drop_rows()
        if self._begun:
            self.state.connection.commit()
        return published

    def _seal(self, run: OpenRun, more: bytes, last: int) -> None:
        data = b"".join((*run.unsealed, more))
        self.session.execute(ADD_SEGMENT, {"run": run.position, "first": run.sealed + 1, "last": last, "data": data})
        self._sealed.append((run, last))

    def _seal_laggards(self) -> None:
        rows = self.state.rows
        if rows.size <= JOURNAL_BYTES:
            return
        oldest = next((row for row in rows.rows if row.holders), None)
        for run in oldest.holders if oldest else ():
            entry = self._entries.get(run)
            if not run.dead and entry is None and run.unsealed:
                self.touched.add(run)
                self._seal(run, b"", run.last)

    def _write_row(self, data: bytes, holders: set[OpenRun]) -> None:
        rows = self.state.rows
        self._row = JournalRow(rows.next_position, len(data), holders)
        # Counted up even if the commit fails: of a failed one nobody knows for certain that it left nothing.
        rows.next_position += 1
        self.state.connection.session.execute(ADD_JOURNAL_ROW, {"position": self._row.position, "data": data})

    def _drop_rows(self) -> None:
        if self.state.rows.free_bytes >= _DROP_BYTES:
            self.session.execute(DROP_JOURNAL_ROWS, {"the_position": self.state.rows.free_to})
            self._dropped = True

    def settle(self) -> None:
        """Make memory agree with the commit."""
        state = self.state
        for run, entry in self._entries.items():
            run.unsealed += entry.frames
            run.unsealed_bytes += sum(map(len, entry.frames))
        if self._row is not None:
            state.rows.add(self._row)
        for run, last in self._sealed:
            run.sealed = last
            run.unsealed, run.unsealed_bytes = [], 0
            state.rows.release(run)
        if self._dropped:
            state.rows.free_bytes = 0
        state.rows.forget_free()
        for run in self._entries:
            if run.ended:
                del state.runs[run.run_id]

    @property
    def is_broken(self) -> bool:
        """Whether the transaction cannot go on: the database has given it up, or half of a job stands in it."""
        return self.is_spoiled or (self._begun and not self.state.connection.in_transaction)

    def fail(self) -> None:
        """Undo the transaction; the runs that it touched are dead."""
        self.state.connection.rollback()
        self.forget_agents()
        for run in self.touched:
            run.dead = True
        for run in self.opened:
            self.state.runs.pop(run.run_id, None)
