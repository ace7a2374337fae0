"""Query parameters as fields: repeated, nested (`options.omitDeltas=true`), enums by name or number, well-known types."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from letta_grpc.gateway.descriptors import fields_of, is_map, is_well_known
from letta_grpc.gateway.failures import Failure, invalid, refused

_MAX_PARAMETERS = 200
# Well-known types whose JSON is a string, a number or a truth value.
_SCALAR_FORMS = frozenset(
    f"google.protobuf.{name}"
    for name in (
        "Timestamp", "Duration", "FieldMask", "StringValue", "BytesValue", "BoolValue", "Int32Value", "UInt32Value",
        "Int64Value", "UInt64Value", "FloatValue", "DoubleValue",
    )
)  # fmt: skip
_TRUTH = {"true": True, "false": False}


def pairs_of(query: bytes) -> list[tuple[str, str]]:
    """Take a query string apart. Raises Failure."""
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS)
    except (UnicodeDecodeError, ValueError) as error:
        raise refused("The query is not percent-encoded UTF-8, or has too many parameters.") from error


def json_from(pairs: Iterable[tuple[str, str]], kind: Descriptor, taken: frozenset[str]) -> dict[str, Any]:
    """Return the JSON of a message that parameters mean. `taken` are fields that come otherwise. Raises Failure."""
    found: dict[str, Any] = {}
    for name, text in pairs:
        *way, last = _resolved(name, kind)
        if (way[0] if way else last).name in taken:
            raise invalid({name: "is given by the path or the body, not by the query"})
        holder = found
        for field in way:
            holder = holder.setdefault(field.name, {})
        value = _value(name, last, text)
        if last.is_repeated:
            holder.setdefault(last.name, []).append(value)
        elif last.name in holder:
            raise invalid({name: "is given more than once"})
        else:
            holder[last.name] = value
    return found


def _resolved(name: str, kind: Descriptor) -> list[FieldDescriptor]:
    """Return the fields that a parameter's name leads through."""
    way: list[FieldDescriptor] = []
    here: Descriptor | None = kind
    for step in name.split("."):
        field = fields_of(here).get(step) if here is not None else None
        if field is None or (way and way[-1].is_repeated):
            raise _unknown(name, kind)
        way.append(field)
        here = None if field.message_type is None or is_well_known(field.message_type) else field.message_type
    last = way[-1]
    if last.message_type is not None and (is_map(last) or last.message_type.full_name not in _SCALAR_FORMS):
        raise invalid({name: "cannot be a query parameter; its fields can, as `name.field=value`"})
    return way


def _unknown(name: str, kind: Descriptor) -> Failure:
    return invalid({name: f"is not a parameter: {kind.name} has no such field"})


def _value(name: str, field: FieldDescriptor, text: str) -> object:
    kind = field.message_type
    is_truth = kind.full_name == "google.protobuf.BoolValue" if kind else field.type == FieldDescriptor.TYPE_BOOL
    if not is_truth:
        return text
    if text not in _TRUTH:
        raise invalid({name: "must be true or false"})
    return _TRUTH[text]
