"""Runs that are over as soon as they are stored: putting their events into the log."""

from letta_grpc.adapters.sql.denying import StoredEndedRun
from letta_grpc.adapters.sql.journal.group import Group
from letta_grpc.adapters.sql.journal.open_runs import OpenRun


def add_ended_run(group: Group, stored: StoredEndedRun, time_ns: int) -> None:
    """Let readers see a run that was stored in this group, from its first event to its last.

    Rule: a job does this behind its statements. Of one that fails they are undone, and the events would be another run's, or
    nobody's, with which no commit succeeds.
    """
    run = stored.ended.run
    open_run = OpenRun(
        position=stored.position,
        run_id=run.id,
        conversation_id=run.conversation_id,
        owner=None,
        attempt=run.attempt,
    )
    frames = group.encode(open_run, stored.ended.events, time_ns)
    group.open(open_run)
    open_run.ended = True
    group.add(open_run, frames)
