"""ProtoJSON, by tables made once for each message type: what `json_format.MessageToJson` writes, at less than half its cost.

Rule: equal to MessageToJson for every message; a property test holds it to that.
"""

import base64
import math
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

import orjson
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from letta_grpc.gateway.descriptors import is_map, is_well_known, message_in

# None: the value is its own JSON.
Convert = Callable[[Any], Any] | None
_Table = Mapping[int, tuple[str, Convert]]

_TIMESTAMP = "google.protobuf.Timestamp"
_WITH_TEXT = frozenset({"google.protobuf.Duration", "google.protobuf.FieldMask"})


def json_of(message: Message) -> bytes:
    """Return a message as ProtoJSON on one line: camelCase, defaults left out."""
    return orjson.dumps(dict_of(message))


def dict_of(message: Message) -> Any:  # noqa: ANN401 - a well-known type may be any JSON value
    """Return a message as what its JSON holds."""
    return _printer(message.DESCRIPTOR)(message)


@cache
def _printer(kind: Descriptor) -> Callable[[Any], Any]:
    if kind.full_name == _TIMESTAMP:
        return _timestamp
    if kind.full_name in _WITH_TEXT:
        return _text_form
    if is_well_known(kind):
        return json_format.MessageToDict
    # Filled on first use: a message may hold itself.
    table: dict[int, tuple[str, Convert]] = {}

    def convert(message: Message) -> dict[str, Any]:
        if not table:
            table.update(_table(kind))
        written = {}
        for field, value in message.ListFields():
            name, of = table[field.number]
            written[name] = value if of is None else of(value)
        return written

    return convert


def _table(kind: Descriptor) -> _Table:
    return {field.number: (field.json_name, _field(field)) for field in kind.fields}


def _field(field: FieldDescriptor) -> Convert:
    if is_map(field):
        return _map(_single(message_in(field).fields_by_name["value"]))
    single = _single(field)
    if not field.is_repeated:
        return single
    return list if single is None else lambda values: [single(value) for value in values]


def _map(single: Convert) -> Convert:
    def convert(values: Mapping[Any, Any]) -> dict[str, Any]:
        return {_key(key): value if single is None else single(value) for key, value in values.items()}

    return convert


def _key(key: object) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _single(field: FieldDescriptor) -> Convert:
    if field.message_type is not None:
        return _printer(field.message_type)
    if field.enum_type is not None:
        return _enum(field.enum_type)
    return _base64 if field.type == FieldDescriptor.TYPE_BYTES else _SCALARS.get(field.cpp_type)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _enum(kind: EnumDescriptor) -> Convert:
    if kind.full_name == "google.protobuf.NullValue":
        return lambda _: None
    names = {value.number: value.name for value in kind.values}
    return lambda number: names.get(number, number)


def _double(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _float(value: float) -> float | str:
    if not math.isfinite(value):
        return _double(value)
    # The fewest digits that mean the same 32 bits.
    shorter = (float(f"{value:.{digits}g}") for digits in (6, 7, 8))
    return next((candidate for candidate in shorter if _as32(candidate) == value), value)


def _as32(value: float) -> float:
    try:
        narrowed: float = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return math.inf
    return narrowed


# JSON has no integers of 64 bits that everybody can read.
_SCALARS: Mapping[int, Convert] = {
    FieldDescriptor.CPPTYPE_INT64: str,
    FieldDescriptor.CPPTYPE_UINT64: str,
    FieldDescriptor.CPPTYPE_DOUBLE: _double,
    FieldDescriptor.CPPTYPE_FLOAT: _float,
}


def _timestamp(value: Any) -> str:  # noqa: ANN401 - a Timestamp of any pool
    nanos: int = value.nanos
    if nanos % 1_000_000 == 0:
        fraction = f".{nanos // 1_000_000:03d}" if nanos else ""
    elif nanos % 1_000 == 0:
        fraction = f".{nanos // 1_000:06d}"
    else:
        fraction = f".{nanos:09d}"
    return f"{_second(value.seconds)}{fraction}Z"


# The events of a second share it.
@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") if moment.year > 999 else moment.isoformat()[:19]  # noqa: PLR2004 - strftime does not pad years


def _text_form(value: Any) -> str:  # noqa: ANN401 - a Duration or FieldMask of any pool
    text: str = value.ToJsonString()
    return text
