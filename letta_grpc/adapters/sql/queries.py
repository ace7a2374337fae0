"""The statements of the journal, the log and the leases: built once, run on any database.

Parameters that are no column's new value begin with `the_`.
"""

from typing import Any, TypeVar

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Select,
    and_,
    bindparam,
    case,
    column,
    delete,
    func,
    insert,
    null,
    or_,
    select,
    table,
    text,
    update,
)

from letta_grpc.adapters.sql.schema import (
    agent_blocks,
    agents,
    blocks,
    callbacks,
    conversations,
    journal,
    messages,
    passages,
    removals,
    runs,
    segments,
    steps,
    waiting_calls,
)

S = TypeVar("S", bound=Select[*tuple[Any, ...]])


def _the(name: str) -> BindParameter[Any]:
    return bindparam(f"the_{name}")


def of_open_runs(query: S) -> S:
    """Narrow a query of runs to the open ones, found by their index."""
    # SQLite would guess, and read all runs that there have ever been, for their order, or all of a conversation.
    # Spelled as in the partial index, or the database could not use it.
    is_open = text("runs.state IN ('queued', 'running')")
    return query.where(is_open).with_hint(runs, "INDEXED BY ix_runs_open", "sqlite")


def stays(*ids: Column[str]) -> ColumnElement[bool]:
    """Tell of agents and conversations that they are not being removed."""
    gone = select(removals.c.id).where(removals.c.kind != "messages")
    return and_(*(id_.not_in(gone) for id_ in ids))


AGENT = select(agents).where(agents.c.id == _the("agent"), stays(agents.c.id))
AGENT_ID = select(agents.c.id).where(agents.c.id == _the("agent"), stays(agents.c.id))
AGENT_BLOCKS = (
    select(blocks)
    .join(agent_blocks, agent_blocks.c.block_id == blocks.c.id)
    .where(agent_blocks.c.agent_id == _the("agent"))
    .order_by(agent_blocks.c.position)
)
_CONVERSATIONS = select(conversations).where(stays(conversations.c.id, conversations.c.agent_id))
CONVERSATION = _CONVERSATIONS.where(conversations.c.id == _the("conversation"))
DEFAULT_CONVERSATION = _CONVERSATIONS.where(conversations.c.agent_id == _the("agent"), conversations.c.is_default)
# An agent with one of its conversations: the agent's columns, then the conversation's.
_PLACES = (
    select(*agents.c, *conversations.c)
    .join(conversations, conversations.c.agent_id == agents.c.id)
    .where(agents.c.id == _the("agent"), stays(agents.c.id, conversations.c.id))
)
AGENT_WIDTH = len(agents.c)
PLACE = _PLACES.where(conversations.c.id == _the("conversation"))
DEFAULT_PLACE = _PLACES.where(conversations.c.is_default)

FIRST_MESSAGES = (
    select(messages)
    .where(messages.c.conversation_id == _the("conversation"), messages.c.position >= _the("start"))
    .order_by(messages.c.position)
    .limit(_the("limit"))
)
RUN = select(runs).where(runs.c.id == _the("run"))
RUN_OF_REQUEST = select(runs).where(runs.c.request_id == _the("request"))
# The active one first, then the queue in its order.
OPEN_RUNS_OF_CONVERSATION = (
    of_open_runs(select(runs.c.id, runs.c.state, runs.c.queue_rank))
    .where(runs.c.conversation_id == _the("conversation"))
    .order_by(runs.c.state.desc(), runs.c.queue_rank, runs.c.position)
)
OPEN_RUNS = of_open_runs(select(runs)).order_by(runs.c.position)
EXPIRED_RUNS = (
    of_open_runs(select(runs))
    .where(runs.c.state == "running", or_(runs.c.owner != _the("owner"), runs.c.lease_expires_at <= _the("now")))
    .order_by(runs.c.position)
)
WAITING_CONVERSATIONS = (
    of_open_runs(select(runs.c.conversation_id))
    .group_by(runs.c.conversation_id)
    .having(func.max(runs.c.state) == "queued")
    .order_by(func.min(runs.c.position))
)

ADD_CALLBACK = insert(callbacks).values({c: bindparam(c.name) for c in callbacks.c})
# What only a takeover sets begins with its default.
_BEGIN_BY_DEFAULT = ("position", "taken_over_at", "idle_attempts")
ADD_RUN = (
    insert(runs).values({c: bindparam(c.name) for c in runs.c if c.name not in _BEGIN_BY_DEFAULT}).returning(runs.c.position)
)
START_RUN = (
    update(runs)
    .where(runs.c.id == _the("run"))
    .values({name: bindparam(name) for name in ("state", "start_time", "owner", "lease_expires_at")})
)
_AS_RUN_SAYS = (
    "state",
    "stop_reason",
    "start_time",
    "end_time",
    "usage",
    "timing",
    "error",
    "metadata",
    "pending_actions",
    "last_sequence_number",
)
FINISH_RUN = (
    update(runs)
    .where(runs.c.id == _the("run"))
    .values({name: bindparam(name) for name in _AS_RUN_SAYS} | {"owner": null(), "lease_expires_at": null()})
)
REQUEST_CANCEL = update(runs).where(runs.c.id == _the("run")).values(cancel_requested=True)
LEASE_RUN = (
    update(runs)
    .where(runs.c.id == _the("run"))
    .values({name: bindparam(name) for name in ("owner", "attempt", "lease_expires_at", "taken_over_at", "idle_attempts")})
)
RENEW_LEASE = (
    update(runs)
    .where(runs.c.id == _the("run"), runs.c.attempt == _the("attempt"))
    .values(lease_expires_at=bindparam("lease_expires_at"))
)
# What tells whether the database takes writes. SQLite writes a row also if it stays as it was.
_revision = table("alembic_version", column("version_num"))
WRITE_NOTHING_NEW = update(_revision).values(version_num=_revision.c.version_num)

_CALLS = select(waiting_calls.c.tool_call_id, waiting_calls.c.action, waiting_calls.c.answer).order_by(
    waiting_calls.c.position
)
_OF_CONVERSATION = waiting_calls.c.conversation_id == _the("conversation")
_UNSETTLED = waiting_calls.c.settled_run_id.is_(None)
OPEN_CALLS = _CALLS.where(_OF_CONVERSATION, _UNSETTLED)
SETTLED_CALLS = _CALLS.where(_OF_CONVERSATION, waiting_calls.c.settled_run_id == _the("run"))
# The newest of this id, should a provider have given one twice.
CALL = (
    select(waiting_calls.c.answer, waiting_calls.c.answer_run_id, waiting_calls.c.settled_run_id)
    .where(_OF_CONVERSATION, waiting_calls.c.tool_call_id == _the("call"))
    .order_by(waiting_calls.c.position.desc())
    .limit(1)
)
EXPIRED_CALLS = (
    select(waiting_calls.c.conversation_id)
    .where(_UNSETTLED, waiting_calls.c.answer.is_(None), waiting_calls.c.expire_time <= _the("now"))
    .distinct()
)
ADD_CALL = insert(waiting_calls).values(
    {name: bindparam(name) for name in ("conversation_id", "tool_call_id", "action", "expire_time")}
)
ANSWER_CALL = (
    update(waiting_calls)
    .where(_OF_CONVERSATION, _UNSETTLED, waiting_calls.c.tool_call_id == _the("call"), waiting_calls.c.answer.is_(None))
    .values(answer=bindparam("answer"), answer_run_id=bindparam("answer_run_id"))
)
SETTLE_CALLS = update(waiting_calls).where(_OF_CONVERSATION, _UNSETTLED).values(settled_run_id=bindparam("settled_run_id"))
SET_WAITING_RUN = (
    update(conversations).where(conversations.c.id == _the("conversation")).values(waiting_run_id=bindparam("waiting_run_id"))
)
FORGET_ACTIONS = update(runs).where(runs.c.id == _the("run")).values(pending_actions=null())

_POSITIONS = select(messages.c.position).where(messages.c.conversation_id == _the("conversation"))
_NEWEST = _POSITIONS.order_by(messages.c.position.desc()).limit(1).scalar_subquery()
# Ids have no index: sought in the context, or all that there has ever been in the conversation would be read.
_KEPT = _POSITIONS.where(messages.c.position >= conversations.c.context_start, messages.c.id == _the("kept")).scalar_subquery()
# The newest message becomes the summary. The context goes on at the kept one, or behind the summary.
COMPACT = (
    update(conversations)
    .where(conversations.c.id == _the("conversation"))
    .values(
        summary_position=_NEWEST,
        context_start=func.coalesce(_KEPT, _NEWEST),
    )
)

# Behind all that there are, and not before where the context begins: after a reset that is behind all that there were.
_NEXT = select(func.coalesce(func.max(messages.c.position), text("0")) + text("1")).correlate(None).scalar_subquery()
ADD_MESSAGE = insert(messages).values(
    {c: bindparam(c.name) for c in messages.c if c.name != "position"}
    | {
        "position": select(case((conversations.c.context_start > _NEXT, conversations.c.context_start), else_=_NEXT))
        .where(conversations.c.id == bindparam("conversation_id"))
        .scalar_subquery()
    }
)
ADD_PASSAGE = insert(passages).values({c: bindparam(c.name) for c in passages.c if c.name != "position"})
ADD_STEP = insert(steps).values({c: bindparam(c.name) for c in steps.c if c.name != "position"})
EDIT_BLOCK = (
    update(blocks)
    .where(blocks.c.id == _the("block"), blocks.c.version == _the("version"))
    .values(value=bindparam("value"), update_time=bindparam("update_time"), version=blocks.c.version + 1)
)

RUN_END = select(runs.c.position, runs.c.state, runs.c.last_sequence_number).where(runs.c.id == _the("run"))
# From the segment that holds the number on: found by the key, so that a long log costs no more than a short one.
SEGMENTS_FROM = (
    select(segments.c.first, segments.c.last, segments.c.data)
    .where(
        segments.c.run == _the("run"),
        segments.c.first
        >= select(func.coalesce(func.max(segments.c.first), 0))
        .where(segments.c.run == _the("run"), segments.c.first <= _the("number"))
        .correlate(None)
        .scalar_subquery(),
    )
    .order_by(segments.c.first)
)
LAST_IN_SEGMENTS = select(func.coalesce(func.max(segments.c.last), 0)).where(segments.c.run == _the("run"))
ADD_SEGMENT = insert(segments).values({c: bindparam(c.name) for c in segments.c})
# A run that still waits keeps its events: whoever is to answer reads there what is asked.
KEPT_ENDED_RUNS = select(runs.c.position).where(
    runs.c.end_time < _the("time"), runs.c.pending_actions.is_(None), runs.c.position.in_(select(segments.c.run))
)
DROP_SEGMENTS = delete(segments).where(segments.c.run == _the("run"))

JOURNAL = select(journal.c.position, journal.c.data).order_by(journal.c.position)
ADD_JOURNAL_ROW = insert(journal).values({c: bindparam(c.name) for c in journal.c})
DROP_JOURNAL_ROWS = delete(journal).where(journal.c.position <= _the("position"))
