"""Values of the domain as JSON, both ways, by their annotations.

A dataclass is an object of its fields, without those that have their default: rows stay small, and a row that was written
before a field was there can still be read. One of several dataclasses also tells which, under `type`.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, NewType, Union, get_args, get_origin, get_type_hints

import orjson

from letta_grpc.adapters.sql.times import from_micros, to_micros
from letta_grpc.domain import messages, tool_rules, tools

# Rule: a tag that was ever stored keeps its meaning.
TAGS: Mapping[type, str] = {
    messages.TextPart: "text",
    messages.ImagePart: "image",
    messages.ReasoningPart: "reasoning",
    messages.RedactedReasoningPart: "redacted_reasoning",
    messages.OmittedReasoningPart: "omitted_reasoning",
    messages.SummarizedReasoningPart: "summarized_reasoning",
    messages.SpokenInput: "spoken",
    messages.ApprovalInput: "approval",
    messages.ReturnsInput: "returns",
    messages.Approve: "approve",
    messages.Deny: "deny",
    messages.ToolReturn: "return",
    tool_rules.RunFirst: "run_first",
    tool_rules.ExitLoop: "exit_loop",
    tool_rules.ContinueLoop: "continue_loop",
    tool_rules.ConstrainChild: "constrain_child",
    tool_rules.ParentLast: "parent_last",
    tool_rules.Conditional: "conditional",
    tool_rules.MaxCount: "max_count",
    tool_rules.RequiredBeforeExit: "required_before_exit",
    tool_rules.RequiresApproval: "requires_approval",
    tools.PythonSource: "python",
    tools.McpSource: "mcp",
    tools.BuiltinSource: "builtin",
    tools.StdioEndpoint: "stdio",
    tools.HttpEndpoint: "http",
}
_TAG = "type"

# What orjson takes and gives.
Plain = Any
_Way = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Form:
    """How values of one type stand in JSON. `is_plain`: as they are."""

    write: _Way
    read: _Way
    is_plain: bool = False

    def dump(self, value: object) -> str:
        """Return JSON text."""
        return orjson.dumps(self.write(value)).decode()

    def load(self, text: str) -> Any:  # noqa: ANN401 - a value of the form's type
        """Return the value that JSON text says."""
        return self.read(orjson.loads(text))


_AS_IT_IS = Form(write=lambda value: value, read=lambda value: value, is_plain=True)


@cache
def form_of(kind: Any) -> Form:  # noqa: ANN401 - unions are no type as far as annotations go
    """Return the form of an annotated type's values."""
    if isinstance(kind, NewType):
        return form_of(kind.__supertype__)
    if kind in (str, int, float, bool):
        return _AS_IT_IS
    origin, parameters = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _one_of(parameters)
    if origin is tuple:
        return _tuple_of(form_of(parameters[0]))
    if origin is Mapping and form_of(parameters[1]).is_plain:
        return Form(write=dict, read=lambda value: value)
    return _single(kind)


def _single(kind: Any) -> Form:  # noqa: ANN401 - as form_of
    if kind is datetime:
        return Form(write=to_micros, read=from_micros)
    if kind is timedelta:
        return Form(write=timedelta.total_seconds, read=lambda seconds: timedelta(seconds=seconds))
    if is_dataclass(kind):
        return _object_of(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return Form(write=lambda value: value.value, read=kind)
    raise TypeError(f"{kind} has no form in JSON")


def _tuple_of(item: Form) -> Form:
    if item.is_plain:
        return Form(write=list, read=tuple)
    write, read = item.write, item.read
    return Form(write=lambda values: [write(value) for value in values], read=lambda values: tuple(map(read, values)))


def _one_of(kinds: tuple[Any, ...]) -> Form:
    some = [kind for kind in kinds if kind is not NoneType]
    form = form_of(some[0]) if len(some) == 1 else _tagged(some)
    if len(some) == len(kinds) or form.is_plain:
        return form
    return Form(
        write=lambda value: None if value is None else form.write(value),
        read=lambda value: None if value is None else form.read(value),
    )


def _tagged(kinds: list[Any]) -> Form:
    writers = {kind: form_of(kind).write for kind in kinds}
    readers = {TAGS[kind]: form_of(kind).read for kind in kinds}

    def write(value: Any) -> Plain:  # noqa: ANN401 - one of the kinds
        kind = type(value)
        return {_TAG: TAGS[kind], **writers[kind](value)}

    def read(value: Plain) -> Any:  # noqa: ANN401 - one of the kinds
        return readers[value.pop(_TAG)](value)

    return Form(write=write, read=read)


def _object_of(kind: Any) -> Form:  # noqa: ANN401 - a dataclass
    hints = get_type_hints(kind)
    members = [(field.name, _default_of(field), form_of(hints[field.name])) for field in fields(kind)]
    writers = [(name, default, None if form.is_plain else form.write) for name, default, form in members]
    readers = [(name, form.read) for name, _, form in members if not form.is_plain]

    def write(value: Any) -> Plain:  # noqa: ANN401 - of this kind
        plain = {}
        for name, default, convert in writers:
            part = getattr(value, name)
            if part is not default and part != default:
                plain[name] = convert(part) if convert else part
        return plain

    def read(plain: Plain) -> Any:  # noqa: ANN401 - of this kind
        for name, convert in readers:
            if name in plain:
                plain[name] = convert(plain[name])
        return kind(**plain)

    # Most are of plain text: a context of many messages is read while others' commits wait.
    return Form(write=write, read=read if readers else lambda plain: kind(**plain))


def _default_of(field: "Field[Any]") -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()
