"""JSON into messages: both spellings, and whatever is wrong by the path of its field."""

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

from letta_grpc.gateway.descriptors import fields_of, is_map, is_well_known, message_in
from letta_grpc.gateway.failures import invalid

_FIELD_MASK = "google.protobuf.FieldMask"
_STEP = re.compile(r"Failed to parse (\w+) field: ")
_PLACE = re.compile(r'\s+at "?(\w+(?:\.\w+|\[[^\]]*\])+)"?\.*$')
# How many problems of a body are told: all of it may be wrong, and nobody reads more.
_PROBLEMS_TOLD = 50
_SNAKE = re.compile(r"_([a-z0-9])")

_INTEGER: tuple[tuple[type, ...], str] = ((int, float, str), "must be an integer")
_NUMBER: tuple[tuple[type, ...], str] = ((int, float, str), "must be a number")
# What a field may be in JSON, by its kind: numbers may be texts, names of enums numbers, and bytes are base64.
_KINDS: Mapping[int, tuple[tuple[type, ...], str]] = {
    FieldDescriptor.CPPTYPE_STRING: ((str,), "must be a string"),
    FieldDescriptor.CPPTYPE_BOOL: ((bool,), "must be true or false"),
    FieldDescriptor.CPPTYPE_ENUM: ((str, int), "must be a string"),
    FieldDescriptor.CPPTYPE_FLOAT: _NUMBER,
    FieldDescriptor.CPPTYPE_DOUBLE: _NUMBER,
    FieldDescriptor.CPPTYPE_INT32: _INTEGER,
    FieldDescriptor.CPPTYPE_INT64: _INTEGER,
    FieldDescriptor.CPPTYPE_UINT32: _INTEGER,
    FieldDescriptor.CPPTYPE_UINT64: _INTEGER,
}


def fill(message: Message, value: object, pool: DescriptorPool) -> None:
    """Merge JSON into a message. Raises Failure, which names the fields that it cannot be."""
    if not value and isinstance(value, dict):
        return
    kind = pool.FindMessageTypeByName(message.DESCRIPTOR.full_name)
    problems: dict[str, str] = {}
    tidy: Any = _checked(kind, value, "", problems)
    if problems:
        raise invalid(dict(islice(problems.items(), _PROBLEMS_TOLD)))
    try:
        json_format.ParseDict(tidy, message, descriptor_pool=pool)
    except Exception as error:  # noqa: BLE001 - json_format lets TypeError, KeyError and others through; all mean bad input
        path, rule = _explained(str(error), kind)
        raise invalid({path: rule}) from None


def _checked(kind: Descriptor, value: object, path: str, problems: dict[str, str]) -> object:
    """Return the value with field masks in JSON's spelling; note unknown fields, which json_format names only in prose."""
    if kind.full_name == _FIELD_MASK and isinstance(value, str):
        return _SNAKE.sub(lambda found: found[1].upper(), value)
    if is_well_known(kind) or value is None:
        return value
    if not isinstance(value, dict):
        problems[path or "(body)"] = "must be an object"
        return value
    known, tidy = fields_of(kind), {}
    chosen: dict[str, str] = {}
    for name, part in value.items():
        field = known.get(name)
        here = f"{path}.{field.name if field else name}".lstrip(".")
        if field is None:
            problems[here] = f"is not a field of {kind.name}"
        elif field.json_name in tidy:
            problems[here] = "is given twice, in both spellings"
        else:
            one_of = field.containing_oneof
            if one_of is not None and part is not None and (other := chosen.setdefault(one_of.name, field.name)) != field.name:
                problems[here] = f"is given beside {other}, which excludes it"
            tidy[field.json_name] = _part(field, part, here, problems)
    return tidy


def _part(field: FieldDescriptor, value: object, path: str, problems: dict[str, str]) -> object:
    if value is None:
        return value
    if field.message_type is None:
        _check_plain(field, value, path, problems)
        return value
    if is_map(field):
        return _entries(field, value, path, problems)
    if field.is_repeated:
        if not isinstance(value, list):
            problems[path] = "must be a list"
            return value
        return [_checked(field.message_type, item, f"{path}[{at}]", problems) for at, item in enumerate(value)]
    return _checked(field.message_type, value, path, problems)


def _entries(field: FieldDescriptor, value: object, path: str, problems: dict[str, str]) -> object:
    if not isinstance(value, dict):
        problems[path] = "must be an object"
        return value
    inner = message_in(field).fields_by_name["value"]
    return {key: _part(inner, item, f"{path}[{key}]", problems) for key, item in value.items()}


def _check_plain(field: FieldDescriptor, value: object, path: str, problems: dict[str, str]) -> None:
    """Note what is of no kind that a field takes: json_format would tell it in the words of Python's own functions."""
    if field.is_repeated and not isinstance(value, list):
        problems[path] = "must be a list"
        return
    kinds, rule = _KINDS[field.cpp_type]
    for at, item in enumerate(value) if field.is_repeated and isinstance(value, list) else [(None, value)]:
        is_right = isinstance(item, kinds) and (bool in kinds or not isinstance(item, bool))
        # What null means in a list, json_format says.
        if not is_right and item is not None:
            problems[path if at is None else f"{path}[{at}]"] = rule


def _explained(text: str, kind: Descriptor) -> tuple[str, str]:
    """Take json_format's prose apart: where, and what is wrong there."""
    place = _PLACE.search(text.rstrip("."))
    steps = _STEP.findall(text)
    path = place[1].partition(".")[2] if place else ".".join(steps)
    rule = _STEP.sub("", text)
    if place:
        rule = _PLACE.sub("", rule.rstrip("."))
    plain = rule.rstrip(".").partition("\n")[0]
    return _spelled(path, kind), "must be an integer" if plain.startswith("invalid literal for int()") else plain


def _spelled(path: str, kind: Descriptor) -> str:
    """Return a path of JSON's names in the contract's."""
    spelled: list[str] = []
    here: Descriptor | None = kind
    for step in path.split("."):
        name, bracket, rest = step.partition("[")
        field = fields_of(here).get(name) if here is not None else None
        spelled.append((field.name if field else name) + bracket + rest)
        here = field.message_type if field else None
    return ".".join(spelled)


def deeper_than(value: object, limit: int) -> bool:
    """Say whether JSON is nested deeper than `limit` levels."""
    level = [value]
    for _ in range(limit + 1):
        level = [part for whole in level for part in _parts(whole)]
        if not level:
            return False
    return True


def _parts(value: object) -> Any:  # noqa: ANN401 - a view of either kind of container
    match value:
        case dict():
            return value.values()
        case list():
            return value
        case _:
            return ()


def more_values_than(text: bytes, limit: int) -> bool:
    """Say whether JSON has more than `limit` values, before any is made. An empty list or object may count as two."""
    if len(text) <= limit or _values_at_most(text) <= limit:
        return False
    # What stands in strings separates nothing: they are left out, once it is clear where each ends.
    plain = text.replace(rb"\\", b"").replace(rb"\"", b"")
    # A value is one string at most, and so is its name. More of them, and the pieces alone would fill the memory.
    if plain.count(b'"') > 4 * limit:
        return True
    return _values_at_most(b"".join(plain.split(b'"')[::2])) > limit


def _values_at_most(text: bytes) -> int:
    return 1 + text.count(b",") + text.count(b"[") + text.count(b"{")


def nested(path: str, value: object) -> Mapping[str, object]:
    """Return `{"a": {"b": value}}` for `a.b`."""
    for step in reversed(path.split(".")):
        value = {step: value}
    return value  # type: ignore[return-value]  # a path has at least one step
