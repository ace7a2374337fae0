"""Rows and values of the domain, both ways.

A row is a tuple in its table's order of columns, as `select(table)` gives it, from SQLAlchemy or from the driver; the
`…_values` functions return what an insert of that table binds, by column.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import orjson

from letta_grpc.domain.agents import Agent, Conversation, ModelSettings
from letta_grpc.domain.blocks import Block
from letta_grpc.domain.messages import (
    ContentPart,
    InputMessage,
    Message,
    ReasoningPart,
    Role,
    TextPart,
    ToolCall,
    ToolReturn,
    ToolReturnStatus,
)
from letta_grpc.domain.passages import Passage
from letta_grpc.domain.runs import ConflictPolicy, DisconnectPolicy, Run, RunError, RunSpec, RunState, Step, StopReason
from letta_grpc.domain.usage import Timing, Usage

Row = Sequence[Any]
Values = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(time: datetime) -> int:
    """Return a time as the tables keep it."""
    return (time - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the time that a table keeps."""
    return _EPOCH + timedelta(microseconds=micros)


def to_json(value: object) -> str:
    """Return JSON text; dataclasses become objects, enums their values, timedeltas seconds."""
    return orjson.dumps(value, default=_plain).decode()


def from_json(text: str) -> Any:  # noqa: ANN401 - whatever the JSON says
    """Return what JSON text says."""
    return orjson.loads(text)


def _plain(value: object) -> object:
    match value:
        case timedelta():
            return value.total_seconds()
        case Mapping():
            return dict(value)
        case _:
            raise TypeError(type(value).__name__)


@lru_cache(maxsize=1024)
def _settings_of(text: str) -> ModelSettings:
    return ModelSettings(**from_json(text))


@lru_cache(maxsize=1024)
def _names_of(text: str) -> tuple[str, ...]:
    return tuple(from_json(text))


@lru_cache(maxsize=256)
def _shared(text: str) -> str:
    # Many agents have the same instructions, and each run that waits for its model holds on to its agent's.
    return text


def agent_of(row: Row, blocks: Sequence[Block]) -> Agent:
    """Return the agent of a row of `agents`, with these blocks."""
    (_, id_, name, description, system, model, settings, tools, tags, metadata, window, timezone, created, updated) = row
    return Agent(
        id=id_,
        name=name,
        description=description,
        system=_shared(system),
        model=model,
        model_settings=_settings_of(settings),
        memory_blocks=tuple(blocks),
        tools=_names_of(tools),
        tags=_names_of(tags),
        metadata=from_json(metadata),
        context_window=window,
        timezone=timezone,
        create_time=from_micros(created),
        update_time=from_micros(updated),
    )


def conversation_of(row: Row) -> Conversation:
    """Return the conversation of a row of `conversations`."""
    _, id_, agent_id, title, is_default, model, metadata, created, updated = row
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
    _, id_, _, run_id, step_id, role, body, _, created = row
    fields = from_json(body)
    return Message(
        id=id_,
        role=Role(role),
        content=tuple(_part_of(kind, text) for kind, text in fields.get("content", ())),
        tool_calls=tuple(ToolCall(**call) for call in fields.get("tool_calls", ())),
        tool_returns=tuple(_return_of(returned) for returned in fields.get("tool_returns", ())),
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
        "content": [(_kind_of(part), part.text) for part in message.content],
        "tool_calls": message.tool_calls,
        "tool_returns": message.tool_returns,
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
        "body": to_json({name: value for name, value in body.items() if value not in (None, [], ())}),
        "search_text": message.text.casefold(),
        "create_time": to_micros(message.create_time),
    }


def _kind_of(part: ContentPart) -> str:
    return "text" if isinstance(part, TextPart) else "reasoning"


def _part_of(kind: str, text: str) -> ContentPart:
    return TextPart(text) if kind == "text" else ReasoningPart(text)


def _return_of(fields: Values) -> ToolReturn:
    return ToolReturn(
        tool_call_id=fields["tool_call_id"],
        status=ToolReturnStatus(fields["status"]),
        text=fields["text"],
        stdout=tuple(fields["stdout"]),
        stderr=tuple(fields["stderr"]),
    )


def spec_of(text: str) -> RunSpec:
    """Return the spec that a run's row keeps."""
    fields = from_json(text)
    return RunSpec(
        **fields
        | {
            "messages": tuple(_input_of(given) for given in fields["messages"]),
            "run_timeout": timedelta(seconds=fields["run_timeout"]),
            "conflict_policy": ConflictPolicy(fields["conflict_policy"]),
            "disconnect_policy": DisconnectPolicy(fields["disconnect_policy"]),
            "disconnect_grace": timedelta(seconds=fields["disconnect_grace"]),
        }
    )


def _input_of(fields: Values) -> InputMessage:
    content = tuple(TextPart(part["text"]) for part in fields["content"])
    return InputMessage(role=Role(fields["role"]), content=content, otid=fields["otid"])


def run_of(row: Row, last_sequence_number: int | None = None) -> Run:
    """Return the run of a row of `runs`; an open run's last number is known to its log alone."""
    (_, id_, agent_id, conversation_id, request_id, _, _, _, model, state, stop_reason, _, attempt, _, _, _) = row[:16]
    (created, started, ended, usage, timing, input_ids, error, last, background, metadata) = row[16:]
    return Run(
        id=id_,
        agent_id=agent_id,
        conversation_id=conversation_id,
        request_id=request_id,
        model=model,
        state=RunState(state),
        stop_reason=None if stop_reason is None else StopReason(stop_reason),
        attempt=attempt,
        create_time=from_micros(created),
        start_time=None if started is None else from_micros(started),
        end_time=None if ended is None else from_micros(ended),
        usage=Usage(**from_json(usage)),
        timing=None if timing is None else Timing(**from_json(timing)),
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
    }


def passage_values(passage: Passage) -> Values:
    """Return the row of a note."""
    return {
        "id": passage.id,
        "agent_id": passage.agent_id,
        "text": passage.text,
        "tags": to_json(passage.tags),
        "search_text": passage.text.casefold(),
        "create_time": to_micros(passage.create_time),
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
