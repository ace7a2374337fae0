"""Finding out from the file how far the open runs have come."""

from collections import deque

from letta_grpc.adapters.sql.failures import DatabaseUnusableError
from letta_grpc.adapters.sql.queries import JOURNAL, LAST_IN_SEGMENTS, OPEN_RUNS, RUN
from letta_grpc.adapters.sql.rows import Row, run_of
from letta_grpc.adapters.sql.sqlite.group import Group, State, snapshot_of
from letta_grpc.adapters.sql.sqlite.open_runs import JournalRow, OpenRun, unpack
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
    for row in state.session.fetch(OPEN_RUNS, {}):
        _add(state, row)
    _read_journal(state, {run.position: run for run in state.runs.values()})


def read_again(state: State, run_id: RunId) -> OpenRun:
    """Read one open run whose group failed: memory may be ahead of the file."""
    old = state.runs.pop(run_id, None)
    if old is not None:
        state.rows.release(old)
    row = state.session.first(RUN, {"the_run": run_id})
    if row is None:
        raise LookupError(run_id)
    run = _add(state, row)
    _read_journal(state, {run.position: run})
    return run


def _add(state: State, row: Row) -> OpenRun:
    sealed = state.session.fetch(LAST_IN_SEGMENTS, {"the_run": row[0]})[0][0]
    run = state.runs[row[1]] = open_run_of(row, sealed)
    return run


def _read_journal(state: State, runs: dict[int, OpenRun]) -> None:
    rows = state.rows
    known = {row.position: row for row in rows.rows}
    for position, data in state.session.each(JOURNAL, {}):
        row = known.setdefault(position, JournalRow(position, len(data), set()))
        for run_position, first, count, frames in unpack(data):
            run = runs.get(run_position)
            if run is not None and first > run.sealed:
                _append(run, first, count, frames)
                row.holders.add(run)
                rows.held_by.setdefault(run, []).append(row)
    # In the file may be a row that memory does not have: of a commit that was done although it was reported as failed.
    rows.rows = deque(known[position] for position in sorted(known))
    rows.size = sum(row.size for row in rows.rows)
    rows.next_position = max(rows.next_position, *known, 0) + 1


def _append(run: OpenRun, first: int, count: int, frames: bytes) -> None:
    if first != run.last + 1:
        raise DatabaseUnusableError(f"The database is damaged: run {run.run_id} has no event {run.last + 1}, but {first}.")
    run.unsealed.append(frames)
    run.unsealed_bytes += len(frames)
    run.last += count


def current(group: Group, run_id: RunId) -> OpenRun:
    """Return an open run that the group is about to change, read again if a failed group had a hand in it."""
    run = group.state.runs[run_id]
    if run.dead:
        run = read_again(group.state, run_id)
        group.loaded.append(snapshot_of(run))
    group.touched.add(run)
    return run
