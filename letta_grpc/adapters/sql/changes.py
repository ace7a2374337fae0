"""What events and changes do to the state."""

from collections.abc import Iterable
from typing import assert_never

from letta_grpc.adapters.sql.queries import ADD_MESSAGE, ADD_PASSAGE, ADD_STEP, COMPACT, EDIT_BLOCK, FINISH_RUN
from letta_grpc.adapters.sql.rows import message_values, passage_values, run_values, step_values
from letta_grpc.adapters.sql.session import Session
from letta_grpc.adapters.sql.waiting import open_batch
from letta_grpc.domain.errors import ConcurrentChange
from letta_grpc.domain.events import ContextCompacted, MessageCompleted, RunEvent, RunFinished
from letta_grpc.domain.ids import ConversationId
from letta_grpc.domain.messages import Message
from letta_grpc.ports.journal import AddPassage, Change, EditBlock, RecordStep

# Events that mean more than themselves.
STATEFUL = frozenset({MessageCompleted, ContextCompacted, RunFinished})


def statements_of(event: RunEvent) -> int:
    """Return how many statements the meaning of a stateful event takes at least."""
    match event:
        case ContextCompacted():
            return 2
        case RunFinished(run=run):
            return 1 + len(run.pending_actions)
        case _:
            return 1


def store_changes(session: Session, changes: Iterable[Change], micros: int) -> None:
    """Store changes. Raises ConcurrentChange for an edit of a block that is gone or has another version."""
    for change in changes:
        match change:
            case EditBlock(block_id=block_id, expected_version=version, value=value):
                values = {"the_block": block_id, "the_version": version, "value": value, "update_time": micros}
                if not session.execute(EDIT_BLOCK, values):
                    raise ConcurrentChange(block_id=block_id)
            case AddPassage(passage=passage):
                session.execute(ADD_PASSAGE, passage_values(passage))
            case RecordStep(step=step):
                session.execute(ADD_STEP, step_values(step))
            case _:
                assert_never(change)


def store_meaning(session: Session, conversation_id: ConversationId, events: Iterable[RunEvent], last: int) -> None:
    """Store the state that events mean. `last` is the number of the last of them."""
    for event in events:
        match event:
            case MessageCompleted(message=message):
                session.execute(ADD_MESSAGE, message_values(message, conversation_id))
            case ContextCompacted(summary=summary, kept_from=kept_from):
                session.execute(ADD_MESSAGE, message_values(summary, conversation_id))
                session.execute(COMPACT, {"the_conversation": conversation_id, "the_kept": kept_from})
            case RunFinished(run=run):
                session.execute(FINISH_RUN, run_values(run) | {"the_run": run.id, "last_sequence_number": last})
                if run.pending_actions:
                    open_batch(session, run)
            case _:  # The others stand in the log alone.
                pass


def store_messages(session: Session, conversation_id: ConversationId, messages: Iterable[Message]) -> None:
    """Put messages into a conversation, in their order."""
    for message in messages:
        session.execute(ADD_MESSAGE, message_values(message, conversation_id))
