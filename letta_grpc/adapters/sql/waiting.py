"""Calls that wait for answers: the rows of `waiting_calls`, and what points to them.

Rule: a conversation's `waiting_run_id` is set exactly while calls of it are unsettled, and that run alone has pending actions.
"""

from collections.abc import Iterable, Iterator, Sequence

from letta_grpc.adapters.sql.queries import (
    ADD_CALL,
    ANSWER_CALL,
    CALL,
    FORGET_ACTIONS,
    OPEN_CALLS,
    RUN,
    SET_WAITING_RUN,
    SETTLE_CALLS,
    SETTLED_CALLS,
)
from letta_grpc.adapters.sql.rows import ACTION, ANSWER, Row, run_of
from letta_grpc.adapters.sql.session import Session
from letta_grpc.adapters.sql.times import to_micros
from letta_grpc.domain.approvals import KnownAnswer, OpenBatch
from letta_grpc.domain.ids import ConversationId, RunId
from letta_grpc.domain.runs import Run


def find_batch(session: Session, conversation_id: ConversationId, waiting_run_id: RunId | None) -> OpenBatch | None:
    """Return the open batch of a conversation whose row says which run waits."""
    if waiting_run_id is None:
        return None
    return _batch_of(waiting_run_id, session.fetch(OPEN_CALLS, {"the_conversation": conversation_id}))


def settled_batch(session: Session, run: Run) -> OpenBatch | None:
    """Return the batch that an answer's run settles, with all answers; None for any other run."""
    if run.resumes_run_id is None:
        return None
    values = {"the_conversation": run.conversation_id, "the_run": run.id}
    return _batch_of(run.resumes_run_id, session.fetch(SETTLED_CALLS, values))


def _batch_of(run_id: RunId, rows: Sequence[Row]) -> OpenBatch:
    answers = {call_id: ANSWER.load(answer) for call_id, _, answer in rows if answer is not None}
    return OpenBatch(run_id=run_id, actions=tuple(ACTION.load(action) for _, action, _ in rows), answers=answers)


def known_answers(session: Session, conversation_id: ConversationId, call_ids: Iterable[str]) -> dict[str, KnownAnswer]:
    """Return the answers that calls have had."""
    known = {}
    for call_id in call_ids:
        row = session.first(CALL, {"the_conversation": conversation_id, "the_call": call_id})
        if row is not None and (row[1] or row[2]):
            answer, brought_by, settled_by = row
            known[call_id] = KnownAnswer(answer=answer and ANSWER.load(answer), run_id=RunId(brought_by or settled_by))
    return known


def runs_that_answered(session: Session, batch: OpenBatch, conversation_id: ConversationId) -> Iterator[Run]:
    """Yield the runs that brought the answers that are there."""
    for answer in known_answers(session, conversation_id, batch.answers).values():
        yield run_of(session.fetch(RUN, {"the_run": answer.run_id})[0])


def open_batch(session: Session, run: Run) -> None:
    """Let a run's pending actions wait."""
    for action in run.pending_actions:
        values = {
            "conversation_id": run.conversation_id,
            "tool_call_id": action.tool_call_id,
            "action": ACTION.dump(action),
            "expire_time": to_micros(action.expire_time),
        }
        session.execute(ADD_CALL, values)
    _point_to(session, run.conversation_id, run.id)


def store_answers(session: Session, batch: OpenBatch, run: Run) -> None:
    """Store the answers that a run has brought. It waits from now on for the rest, or settles the batch if there is none."""
    for call_id, answer in batch.answers.items():
        values = {"the_conversation": run.conversation_id, "the_call": call_id}
        session.execute(ANSWER_CALL, values | {"answer": ANSWER.dump(answer), "answer_run_id": run.id})
    if batch.pending:
        session.execute(FORGET_ACTIONS, {"the_run": batch.run_id})
        _point_to(session, run.conversation_id, run.id)
    else:
        settle_batch(session, batch, run)


def settle_batch(session: Session, batch: OpenBatch, run: Run) -> None:
    """Close a batch: the run takes care of its calls, by running or by denying them."""
    session.execute(SETTLE_CALLS, {"the_conversation": run.conversation_id, "settled_run_id": run.id})
    session.execute(FORGET_ACTIONS, {"the_run": batch.run_id})
    _point_to(session, run.conversation_id, None)


def _point_to(session: Session, conversation_id: ConversationId, run_id: RunId | None) -> None:
    session.execute(SET_WAITING_RUN, {"the_conversation": conversation_id, "waiting_run_id": run_id})
