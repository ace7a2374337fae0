"""Runs of the server's own, by which calls that nobody answered are denied."""

from dataclasses import dataclass
from datetime import datetime

from letta_grpc.adapters.sql.claiming import add_run
from letta_grpc.adapters.sql.queries import ADD_MESSAGE, CONVERSATION, RUN
from letta_grpc.adapters.sql.rows import message_values, run_of, thread_of
from letta_grpc.adapters.sql.session import Session
from letta_grpc.adapters.sql.waiting import find_batch, settle_batch
from letta_grpc.domain.approvals import OpenBatch
from letta_grpc.domain.ids import ConversationId
from letta_grpc.domain.runs import RunSpec
from letta_grpc.domain.waiting import EndedRun, denied_by_server


@dataclass(frozen=True, slots=True)
class StoredEndedRun:
    """A stored run that is over, at its position; its events are still to be put into its log."""

    position: int
    ended: EndedRun


def batch_in(session: Session, conversation_id: ConversationId) -> OpenBatch | None:
    """Return a conversation's open batch, None if there is none or the conversation is gone."""
    row = session.first(CONVERSATION, {"the_conversation": conversation_id})
    return find_batch(session, conversation_id, thread_of(row).waiting_run_id) if row else None


def deny_batch(session: Session, batch: OpenBatch, reason: str, time: datetime) -> StoredEndedRun:
    """Deny all calls of a batch, in a run of the server's own."""
    waiting = run_of(session.fetch(RUN, {"the_run": batch.run_id})[0])
    ended, message = denied_by_server(batch, waiting, reason, time)
    position = add_run(session, ended.run, RunSpec(messages=()), None, {"last_sequence_number": len(ended.events)})
    settle_batch(session, batch, ended.run)
    session.execute(ADD_MESSAGE, message_values(message, ended.run.conversation_id))
    return StoredEndedRun(position, ended)
