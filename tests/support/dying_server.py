"""`letta-grpc`, which kills itself at a moment that nobody outside could hit.

    python -m tests.support.dying_server MOMENT serve …

returned: a tool has ended, and nothing of its return is stored.
asking: a step is stored, and nothing of what it asks for.
compacted: the summary is stored, and the model is not asked yet.
"""

# ruff: noqa: E402 - grpc reads the environment when it is imported
from letta_grpc.__main__ import main, settle_grpc

settle_grpc()

import os
import signal
import sys
from asyncio import Future
from collections.abc import Sequence

from letta_grpc.adapters.sql.journal.journal import SqlJournal
from letta_grpc.domain.events import ApprovalRequested, ContextCompacted, RunEvent, ToolReturned
from letta_grpc.ports.journal import Change, Lease

BEFORE: dict[str, type[RunEvent]] = {"returned": ToolReturned, "asking": ApprovalRequested}
AFTER: dict[str, type[RunEvent]] = {"compacted": ContextCompacted}


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(moment: str) -> None:
    """Have the journal end this process."""
    append = SqlJournal.append

    def deadly(self: SqlJournal, lease: Lease, events: Sequence[RunEvent], changes: Sequence[Change] = ()) -> Future[None]:
        kinds = {type(event) for event in events}
        if BEFORE.get(moment) in kinds:
            die()
        stored = append(self, lease, events, changes)
        if AFTER.get(moment) in kinds:
            stored.add_done_callback(die)
        return stored

    SqlJournal.append = deadly  # type: ignore[method-assign]  # that is what this program is for


if __name__ == "__main__":
    die_at(sys.argv.pop(1))
    main()
