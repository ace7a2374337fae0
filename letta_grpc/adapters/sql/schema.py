"""The tables.

Times are microseconds since the epoch, structured values JSON text: the hot path reads and writes rows on a plain driver
connection, where SQLAlchemy's types do not apply, and `rows.py` maps both ways for both paths. `position` is the order of
creation, which pages go by; ids are the text that callers know.

Rule: a change here is a new revision in `migrations/versions`, and REVISION names the newest.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from letta_grpc.adapters.sql.word_tables import add_word_tables

REVISION = "0004"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only where the key's type is exactly INTEGER.
_Position = BigInteger().with_variant(Integer(), "sqlite")


def _position() -> Column[int]:
    # Tables with one are made with AUTOINCREMENT: the position of a removed last row must not be given again, or a page token
    # would skip the new row.
    return Column("position", _Position, primary_key=True, autoincrement=True)


def _belongs_to(target: str, *, index: bool = True) -> Column[str]:
    name = f"{target.removesuffix('s')}_id"
    return Column(name, Text, ForeignKey(f"{target}.id", ondelete="CASCADE"), nullable=False, index=index)


agents = Table(
    "agents",
    metadata,
    _position(),
    Column("id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False, index=True),
    Column("description", Text, nullable=False),
    Column("system", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("model_settings", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("tools", Text, nullable=False),
    Column("tool_rules", Text, nullable=False),
    Column("tool_approvals", Text, nullable=False),
    Column("secrets", Text, nullable=False),
    Column("sleeptime", Text),
    Column("tags", Text, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("context_window", BigInteger, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("update_time", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

# What agents are found by; the tags in their order stand in the agent's row.
agent_tags = Table(
    "agent_tags",
    metadata,
    _belongs_to("agents", index=False),
    Column("tag", Text, nullable=False, index=True),
    PrimaryKeyConstraint("agent_id", "tag"),
)

# While calls wait for answers, `waiting_run_id` is the run that shows them. `context_start` is the position of the oldest
# message in context, and no new one comes before it; the summary at `summary_position`, if that is not 0, stands before it.
conversations = Table(
    "conversations",
    metadata,
    _position(),
    Column("id", Text, nullable=False, unique=True),
    _belongs_to("agents"),
    Column("title", Text, nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("model", Text, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("update_time", BigInteger, nullable=False),
    Column("waiting_run_id", Text),
    Column("context_start", BigInteger, nullable=False, server_default="0"),
    Column("summary_position", BigInteger, nullable=False, server_default="0"),
    sqlite_autoincrement=True,
)
Index(
    "uq_conversations_default",
    conversations.c.agent_id,
    unique=True,
    sqlite_where=text("is_default"),
    postgresql_where=text("is_default"),
)

blocks = Table(
    "blocks",
    metadata,
    _position(),
    Column("id", Text, nullable=False, unique=True),
    Column("label", Text, nullable=False, index=True),
    Column("value", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("character_limit", BigInteger, nullable=False),
    Column("read_only", Boolean, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("update_time", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

# `position` is the order of attachment.
agent_blocks = Table(
    "agent_blocks",
    metadata,
    _position(),
    _belongs_to("agents", index=False),
    _belongs_to("blocks"),
    UniqueConstraint("agent_id", "block_id"),
    sqlite_autoincrement=True,
)

# `queue_rank` puts INTERRUPT starts (0) before ENQUEUE starts (1). An open run's `last_sequence_number` is NULL here: its log
# knows it. A run that has ended and has no segments was trimmed. `pending_actions` is NULL where nothing waits.
# `taken_over_at` is the newest event's number when the run was last taken over, `idle_attempts` how many servers in a row have
# died without adding one.
runs = Table(
    "runs",
    metadata,
    _position(),
    Column("id", Text, nullable=False, unique=True),
    _belongs_to("agents"),
    _belongs_to("conversations"),
    Column("request_id", Text, nullable=False, unique=True),
    Column("fingerprint", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("traceparent", Text),
    Column("model", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("stop_reason", Text),
    Column("queue_rank", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("owner", Text),
    Column("lease_expires_at", BigInteger),
    Column("cancel_requested", Boolean, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("start_time", BigInteger),
    Column("end_time", BigInteger),
    Column("usage", Text, nullable=False),
    Column("timing", Text),
    Column("input_message_ids", Text, nullable=False),
    Column("error", Text),
    Column("last_sequence_number", BigInteger),
    Column("background", Boolean, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("resumes_run_id", Text),
    Column("parent_run_ids", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("pending_actions", Text),
    Column("taken_over_at", BigInteger),
    Column("idle_attempts", Integer, nullable=False, server_default="0"),
    sqlite_autoincrement=True,
)
_OPEN = text("state IN ('queued', 'running')")
Index("ix_runs_open", runs.c.conversation_id, sqlite_where=_OPEN, postgresql_where=_OPEN)
# The turns after which background work of other agents may be due, counted after each of them: so with all columns that are
# looked at, or each turn that there has ever been would be read.
TURNS = text("state = 'completed' AND kind <> 'compaction' AND NOT background")
Index(
    "ix_runs_turns",
    runs.c.agent_id,
    runs.c.end_time,
    runs.c.position,
    runs.c.state,
    runs.c.kind,
    runs.c.background,
    sqlite_where=TURNS,
    postgresql_where=TURNS,
)
_WAITS = text("pending_actions IS NOT NULL")
Index("ix_runs_waiting", runs.c.position, sqlite_where=_WAITS, postgresql_where=_WAITS)

# Who is to be told of the end of a run, and what came of it: `callback` is JSON text. Due from `next_time` on, once the run
# has ended; never again where that is null.
callbacks = Table(
    "callbacks",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("callback", Text, nullable=False),
    Column("next_time", BigInteger),
)
_DUE = text("next_time IS NOT NULL")
Index("ix_callbacks_due", callbacks.c.next_time, sqlite_where=_DUE, postgresql_where=_DUE)

# Every call that has ever waited for an answer: by it a late or repeated answer is told from a wrong one. The calls of one
# step are a batch, open until `settled_run_id` says which run took care of it; `answer_run_id` is the run that brought the
# answer.
waiting_calls = Table(
    "waiting_calls",
    metadata,
    _position(),
    _belongs_to("conversations", index=False),
    Column("tool_call_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("expire_time", BigInteger, nullable=False),
    Column("answer", Text),
    Column("answer_run_id", Text),
    Column("settled_run_id", Text),
)
Index(None, waiting_calls.c.conversation_id, waiting_calls.c.tool_call_id)
_UNSETTLED = text("settled_run_id IS NULL")
Index(
    "ix_waiting_calls_open",
    waiting_calls.c.conversation_id,
    waiting_calls.c.expire_time,
    sqlite_where=_UNSETTLED,
    postgresql_where=_UNSETTLED,
)

# `position` is also the order within a conversation: only one run at a time writes into one.
# Messages and steps are written in every run, so they have no index that no query needs, and no AUTOINCREMENT: they are only
# removed together with their whole conversation, after which hardly anybody pages behind them, or by a reset, which says where
# the conversation goes on.
# `body` holds content, calls, returns and decisions.
messages = Table(
    "messages",
    metadata,
    _position(),
    Column("id", Text, nullable=False),
    _belongs_to("conversations"),
    _belongs_to("runs"),
    Column("step_id", Text),
    Column("role", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("create_time", BigInteger, nullable=False),
)

steps = Table(
    "steps",
    metadata,
    _position(),
    Column("id", Text, nullable=False, index=True),
    _belongs_to("runs"),
    Column("step_index", Integer, nullable=False),
    Column("model", Text, nullable=False),
    Column("usage", Text, nullable=False),
    Column("timing", Text, nullable=False),
    Column("message_ids", Text, nullable=False),
    Column("complete_time", BigInteger, nullable=False),
)

# `tags` is a JSON list; `search_tags` has each tag folded, between line ends.
passages = Table(
    "passages",
    metadata,
    _position(),
    Column("id", Text, nullable=False, unique=True),
    _belongs_to("agents"),
    Column("text", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("search_tags", Text, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("update_time", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

# What is removed step by step: agents and conversations, which are gone for everyone, and the messages of conversations that
# were reset, those before the position `until`.
removals = Table(
    "removals",
    metadata,
    Column("id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", "kind"),
)

# What notes mean, as `model` puts it: float32 numbers of unit length. A note without a row waits for its vector.
passage_vectors = Table(
    "passage_vectors",
    metadata,
    Column("passage_id", Text, ForeignKey("passages.id", ondelete="CASCADE"), primary_key=True),
    Column("model", Text, nullable=False),
    Column("vector", LargeBinary, nullable=False),
)

# `source` is tagged with what it is. Agents know tools by name, built-in ones too, so nothing here refers to agents.
tools = Table(
    "tools",
    metadata,
    _position(),
    Column("id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False, unique=True),
    Column("description", Text, nullable=False),
    Column("parameters", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("return_char_limit", BigInteger, nullable=False),
    Column("requires_approval", Boolean, nullable=False),
    Column("idempotent", Boolean, nullable=False),
    Column("parallel", Boolean, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("update_time", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

# What tools are found by; the tags in their order stand in the tool's row.
tool_tags = Table(
    "tool_tags",
    metadata,
    _belongs_to("tools", index=False),
    Column("tag", Text, nullable=False, index=True),
    PrimaryKeyConstraint("tool_id", "tag"),
)

# `endpoint` is JSON text, with the secrets that it was registered with.
mcp_servers = Table(
    "mcp_servers",
    metadata,
    _position(),
    Column("id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False, unique=True),
    Column("endpoint", Text, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

# The events `first` to `last` of the run at position `run`, as frames one behind the other.
segments = Table(
    "segments",
    metadata,
    Column("run", _Position, ForeignKey("runs.position", ondelete="CASCADE"), nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("run", "first"),
)

# One row per group commit: the events of all runs in it that no segment has yet.
journal = Table(
    "journal",
    metadata,
    Column("position", _Position, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)


def _find_in_order(owner: Column[str]) -> None:
    # What is somebody's is read in the order of positions, with which SQLite's indexes end by themselves.
    name = f"ix_{owner.table.name}_{owner.name}"
    next(index for index in owner.table.indexes if index.name == name).ddl_if(dialect="sqlite")
    Index(f"{name}_position", owner, owner.table.c.position).ddl_if(dialect="postgresql")


for _owner in (
    conversations.c.agent_id,
    runs.c.agent_id,
    runs.c.conversation_id,
    messages.c.conversation_id,
    passages.c.agent_id,
):
    _find_in_order(_owner)

add_word_tables(metadata)
