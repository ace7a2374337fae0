"""Finding out from the database how far the open runs have come."""

from collections import deque
from collections.abc import Iterable, Sequence

from letta_grpc.adapters.sql.failures import DatabaseUnusableError
from letta_grpc.adapters.sql.journal.group import Group, State, snapshot_of
from letta_grpc.adapters.sql.journal.open_runs import JournalRow, OpenRun, unpack
from letta_grpc.adapters.sql.queries import JOURNAL, LAST_IN_SEGMENTS, OPEN_RUNS, RUN
from letta_grpc.adapters.sql.rows import Row, run_of
from letta_grpc.domain.ids import RunId

_OWNER, _CANCEL_REQUESTED = 13, 15


def open_run_of(row: Row, sealed: int = 0) -> OpenRun:
    """Return the open run of a row of `runs` whose segments reach up to `sealed`."""
    run = run_of(row)
    return OpenRun(
        position=row[0],
        run_id=run.id,
        conversation_id=run.conversation_id,
        owner=row[_OWNER],
        attempt=run.attempt,
        cancel_requested=bool(row[_CANCEL_REQUESTED]),
        last=sealed,
        sealed=sealed,
    )


def read_open_runs(state: State) -> None:
    """Read every open run, at start."""
    runs = [_read(state, row) for row in state.connection.session.fetch(OPEN_RUNS, {})]
    _read_journal(state, {run.position: run for run in runs})
    state.runs |= {run.run_id: run for run in runs}


def read_again(state: State, run_ids: Sequence[RunId]) -> list[OpenRun]:
    """Read open runs whose group failed: memory may be ahead of the database. The journal is read once for all of them."""
    runs = [_read(state, _row_of(state, run_id)) for run_id in run_ids]
    try:
        _read_journal(state, {run.position: run for run in runs})
    except BaseException:
        # All is as before: the runs stay dead, and what they need stays in the journal.
        for run in runs:
            state.rows.release(run)
        raise
    for run in runs:
        state.rows.release(state.runs[run.run_id])
        state.runs[run.run_id] = run
    return runs


def _row_of(state: State, run_id: RunId) -> Row:
    row = state.connection.session.first(RUN, {"the_run": run_id})
    if row is None:
        state.rows.release(state.runs.pop(run_id))
        raise LookupError(run_id)
    return row


def _read(state: State, row: Row) -> OpenRun:
    return open_run_of(row, state.connection.session.fetch(LAST_IN_SEGMENTS, {"the_run": row[0]})[0][0])


def _read_journal(state: State, runs: dict[int, OpenRun]) -> None:
    rows = state.rows
    known = {row.position: row for row in rows.rows}
    for position, data in state.connection.session.each(JOURNAL, {}):
        row = known.setdefault(position, JournalRow(position, len(data), set()))
        for run_position, first, count, frames in unpack(data):
            run = runs.get(run_position)
            if run is not None and first > run.sealed:
                _append(run, first, count, frames)
                row.holders.add(run)
                rows.held_by.setdefault(run, []).append(row)
    # In the database may be a row that memory does not have: of a commit that was done although it was reported as failed.
    rows.rows = deque(known[position] for position in sorted(known))
    rows.size = sum(row.size for row in rows.rows)
    rows.next_position = max(rows.next_position, *known, 0) + 1


def _append(run: OpenRun, first: int, count: int, frames: bytes) -> None:
    if first != run.last + 1:
        raise DatabaseUnusableError(f"The database is damaged: run {run.run_id} has no event {run.last + 1}, but {first}.")
    run.unsealed.append(frames)
    run.unsealed_bytes += len(frames)
    run.last += count


def revive(group: Group, run_ids: Iterable[RunId]) -> None:
    """Read those of the open runs again that a failed group had a hand in: all at once, where the group changes many."""
    dead = [run_id for run_id in run_ids if group.state.runs[run_id].dead]
    if dead:
        runs = read_again(group.state, dead)
        group.loaded += map(snapshot_of, runs)
        group.touched.update(runs)


def current(group: Group, run_id: RunId) -> OpenRun:
    """Return an open run that the group is about to change, read again if a failed group had a hand in it."""
    revive(group, [run_id])
    run = group.state.runs[run_id]
    group.touched.add(run)
    return run
