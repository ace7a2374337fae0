"""Putting the events of a run that is over at once into its log."""

from letta_grpc.adapters.sql.denying import StoredBrief
from letta_grpc.adapters.sql.sqlite.group import Group
from letta_grpc.adapters.sql.sqlite.open_runs import OpenRun


def add_brief(group: Group, stored: StoredBrief, time_ns: int) -> None:
    """Let readers see a run that was stored in this group, from its first event to its last.

    Rule: a job does this behind its statements. Of one that fails they are undone, and the events would be another run's, or
    nobody's, with which no commit succeeds.
    """
    run = stored.brief.run
    open_run = OpenRun(
        position=stored.position,
        run_id=run.id,
        conversation_id=run.conversation_id,
        owner=None,
        attempt=run.attempt,
    )
    frames = group.encode(open_run, stored.brief.events, time_ns)
    group.open(open_run)
    open_run.ended = True
    group.add(open_run, frames)
