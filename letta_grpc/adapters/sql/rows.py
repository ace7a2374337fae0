"""Rows and values of the domain, both ways.

A row is a tuple in its table's order of columns, as `select(table)` gives it, from SQLAlchemy or from the driver; the
`…_values` functions return what an insert of that table binds, by column.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from letta_grpc.adapters.sql.tagged import form_of
from letta_grpc.adapters.sql.times import from_micros, to_micros
from letta_grpc.domain.agents import Agent, AgentKind, Conversation, ModelSettings, Sleeptime
from letta_grpc.domain.approvals import Answer, PendingAction
from letta_grpc.domain.blocks import Block
from letta_grpc.domain.callbacks import Callback
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.messages import ContentPart, Decision, Message, Role, TextPart, ToolCall, ToolReturn
from letta_grpc.domain.passages import Passage, folded_tag
from letta_grpc.domain.runs import Run, RunError, RunKind, RunSpec, RunState, Step, StopReason
from letta_grpc.domain.tool_rules import ToolRule
from letta_grpc.domain.usage import Timing, Usage

Row = Sequence[Any]
Values = dict[str, Any]

SPEC = form_of(RunSpec)
CALLBACK = form_of(Callback)
ACTION = form_of(PendingAction)
ANSWER = form_of(Answer)
ACTIONS = form_of(tuple[PendingAction, ...])
TOOL_RULES = form_of(tuple[ToolRule, ...])
SLEEPTIME = form_of(Sleeptime)
_CONTENT = form_of(tuple[ContentPart, ...])
_CALLS = form_of(tuple[ToolCall, ...])
_ROLE = 5
_RETURNS = form_of(tuple[ToolReturn, ...])
_DECISIONS = form_of(tuple[Decision, ...])


def to_json(value: object) -> str:
    """Return JSON text; dataclasses become objects with all their fields, enums their values."""
    return orjson.dumps(value, default=_plain).decode()


def from_json(text: str) -> Any:  # noqa: ANN401 - whatever the JSON says
    """Return what JSON text says."""
    return orjson.loads(text)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)


@lru_cache(maxsize=1024)
def _settings_of(text: str) -> ModelSettings:
    return ModelSettings(**from_json(text))


@lru_cache(maxsize=1024)
def _names_of(text: str) -> tuple[str, ...]:
    return tuple(from_json(text))


@lru_cache(maxsize=256)
def _rules_of(text: str) -> tuple[ToolRule, ...]:
    rules: tuple[ToolRule, ...] = TOOL_RULES.load(text)
    return rules


@lru_cache(maxsize=64)
def _shared(text: str) -> str:
    # Many agents have the same instructions, and each run that waits for its model holds on to its agent's.
    return text


def agent_of(row: Row, blocks: Sequence[Block]) -> Agent:
    """Return the agent of a row of `agents`, with these blocks."""
    (_, id_, name, description, system, model, settings, kind, tools, rules, approvals, secrets, sleeptime) = row[:13]
    (tags, metadata, window, timezone, created, updated) = row[13:]
    return Agent(
        id=id_,
        name=name,
        description=description,
        system=_shared(system),
        model=model,
        model_settings=_settings_of(settings),
        memory_blocks=tuple(blocks),
        kind=AgentKind(kind),
        tools=_names_of(tools),
        tool_rules=_rules_of(rules),
        tool_approvals=from_json(approvals),
        secrets=from_json(secrets),
        sleeptime=None if sleeptime is None else SLEEPTIME.load(sleeptime),
        tags=_names_of(tags),
        metadata=from_json(metadata),
        context_window=window,
        timezone=timezone,
        create_time=from_micros(created),
        update_time=from_micros(updated),
    )


def conversation_of(row: Row) -> Conversation:
    """Return the conversation of a row of `conversations`; the journal alone looks at the rest of it."""
    _, id_, agent_id, title, is_default, model, metadata, created, updated = row[:9]
    return Conversation(
        id=id_,
        agent_id=agent_id,
        title=title,
        is_default=bool(is_default),
        model=model,
        metadata=from_json(metadata),
        create_time=from_micros(created),
        update_time=from_micros(updated),
    )


@dataclass(frozen=True, slots=True)
class Thread:
    """What a row of `conversations` says besides the conversation: the run whose calls wait, and where the context begins."""

    waiting_run_id: RunId | None
    context_start: int
    summary_position: int


def thread_of(row: Row) -> Thread:
    """Return the rest of a row of `conversations`."""
    return Thread(*row[9:])


def context_of(rows: Sequence[Row], summary_position: int) -> tuple[Message, ...]:
    """Return the messages of a context: the summary first, if there is one, and no older summary."""
    summary = [row for row in rows if row[0] == summary_position]
    others = [row for row in rows if row[_ROLE] != Role.SUMMARY.value]
    return tuple(message_of(row) for row in (*summary, *others))


def block_of(row: Row) -> Block:
    """Return the block of a row of `blocks`."""
    _, id_, label, value, description, limit, read_only, metadata, version, created, updated = row
    return Block(
        id=id_,
        label=label,
        value=value,
        description=description,
        limit=limit,
        read_only=bool(read_only),
        metadata=from_json(metadata),
        version=version,
        create_time=from_micros(created),
        update_time=from_micros(updated),
    )


def message_of(row: Row) -> Message:
    """Return the message of a row of `messages`."""
    _, id_, _, run_id, step_id, role, body, created = row
    fields = from_json(body)
    return Message(
        id=id_,
        role=Role(role),
        content=_CONTENT.read(fields["content"]) if "content" in fields else (),
        tool_calls=_CALLS.read(fields["tool_calls"]) if "tool_calls" in fields else (),
        tool_returns=_RETURNS.read(fields["tool_returns"]) if "tool_returns" in fields else (),
        decisions=_DECISIONS.read(fields["decisions"]) if "decisions" in fields else (),
        otid=fields.get("otid"),
        name=fields.get("name"),
        run_id=run_id,
        step_id=step_id,
        model=fields.get("model"),
        create_time=from_micros(created),
    )


def message_values(message: Message, conversation_id: str) -> Values:
    """Return the row of a message."""
    body = {
        "content": _CONTENT.write(message.content) if message.content else None,
        "tool_calls": _CALLS.write(message.tool_calls) if message.tool_calls else None,
        "tool_returns": _RETURNS.write(message.tool_returns) if message.tool_returns else None,
        "decisions": _DECISIONS.write(message.decisions) if message.decisions else None,
        "otid": message.otid,
        "name": message.name,
        "model": message.model,
    }
    return {
        "id": message.id,
        "conversation_id": conversation_id,
        "run_id": message.run_id,
        "step_id": message.step_id,
        "role": message.role.value,
        "body": to_json({name: value for name, value in body.items() if value is not None}),
        "create_time": to_micros(message.create_time),
    }


def spec_of(row: Row) -> RunSpec:
    """Return the spec of a row of `runs`."""
    spec: RunSpec = SPEC.load(row[6])
    return spec


def run_of(row: Row, last_sequence_number: int | None = None) -> Run:
    """Return the run of a row of `runs`; an open run's last number is known to its log alone."""
    (_, id_, agent_id, conversation_id, request_id, _, _, _, model, state, stop_reason, _, attempt, _, _, _) = row[:16]
    (created, started, ended, usage, timing, input_ids, error, last, background, metadata) = row[16:26]
    (resumes_run_id, parent_run_ids, kind, pending_actions) = row[26:30]
    return Run(
        id=id_,
        agent_id=agent_id,
        conversation_id=conversation_id,
        request_id=request_id,
        resumes_run_id=resumes_run_id,
        parent_run_ids=tuple(map(RunId, _names_of(parent_run_ids))),
        kind=RunKind(kind),
        model=model,
        state=RunState(state),
        stop_reason=None if stop_reason is None else StopReason(stop_reason),
        attempt=attempt,
        create_time=from_micros(created),
        start_time=None if started is None else from_micros(started),
        end_time=None if ended is None else from_micros(ended),
        usage=Usage(**from_json(usage)),
        timing=None if timing is None else Timing(**from_json(timing)),
        pending_actions=ACTIONS.load(pending_actions) if pending_actions else (),
        input_message_ids=tuple(from_json(input_ids)),
        error=None if error is None else RunError(**from_json(error)),
        last_sequence_number=last if last_sequence_number is None else last_sequence_number,
        background=bool(background),
        metadata=from_json(metadata),
    )


def run_values(run: Run) -> Values:
    """Return what a run's row takes from the run itself; the rest is the journal's."""
    return {
        "id": run.id,
        "agent_id": run.agent_id,
        "conversation_id": run.conversation_id,
        "request_id": run.request_id,
        "model": run.model,
        "state": run.state.value,
        "stop_reason": None if run.stop_reason is None else run.stop_reason.value,
        "attempt": run.attempt,
        "create_time": to_micros(run.create_time),
        "start_time": None if run.start_time is None else to_micros(run.start_time),
        "end_time": None if run.end_time is None else to_micros(run.end_time),
        "usage": to_json(run.usage),
        "timing": None if run.timing is None else to_json(run.timing),
        "input_message_ids": to_json(run.input_message_ids),
        "error": None if run.error is None else to_json(run.error),
        "background": run.background,
        "metadata": to_json(run.metadata),
        "resumes_run_id": run.resumes_run_id,
        "parent_run_ids": to_json(run.parent_run_ids),
        "kind": run.kind.value,
        "pending_actions": ACTIONS.dump(run.pending_actions) if run.pending_actions else None,
    }


def text_of_body(body: str) -> str:
    """Return what a message says in words, from the body in its row."""
    return "".join(part.text for part in _CONTENT.read(from_json(body).get("content", ())) if isinstance(part, TextPart))


def passage_of(row: Row) -> Passage:
    """Return the note of a row of `passages`."""
    _, id_, agent_id, text, tags, _, created, updated = row
    return Passage(
        id=id_,
        agent_id=agent_id,
        text=text,
        tags=_names_of(tags),
        create_time=from_micros(created),
        update_time=from_micros(updated),
    )


def search_tags(tags: Iterable[str]) -> str:
    """Return tags as a search compares them, each between line ends, of which a folded tag has none."""
    return "".join(f"\n{folded_tag(tag)}\n" for tag in tags)


def passage_values(passage: Passage) -> Values:
    """Return the row of a note."""
    return {
        "id": passage.id,
        "agent_id": passage.agent_id,
        "text": passage.text,
        "tags": to_json(passage.tags),
        "search_tags": search_tags(passage.tags),
        "create_time": to_micros(passage.create_time),
        "update_time": to_micros(passage.update_time),
    }


def step_values(step: Step) -> Values:
    """Return the row of a completed step."""
    return {
        "id": step.id,
        "run_id": step.run_id,
        "step_index": step.index,
        "model": step.model,
        "usage": to_json(step.usage),
        "timing": to_json(step.timing),
        "message_ids": to_json(step.message_ids),
        "complete_time": to_micros(step.complete_time),
    }
