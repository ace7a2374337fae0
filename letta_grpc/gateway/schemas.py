"""JSON Schemas of messages, as ProtoJSON writes them, with the contract's comments."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from letta_grpc.gateway.descriptors import is_map, is_well_known, message_in

Schema = dict[str, Any]

_WELL_KNOWN: Mapping[str, Schema] = {
    "Timestamp": {"type": "string", "format": "date-time"},
    "Duration": {"type": "string", "pattern": r"^-?\d+(\.\d+)?s$", "examples": ["15s"]},
    "FieldMask": {"type": "string", "description": "Field paths, comma separated.", "examples": ["name,modelSettings"]},
    "Struct": {"type": "object"},
    "Value": {},
    "ListValue": {"type": "array"},
    "Empty": {"type": "object"},
    "Any": {"type": "object", "properties": {"@type": {"type": "string"}}, "required": ["@type"]},
    "StringValue": {"type": "string"},
    "BytesValue": {"type": "string", "contentEncoding": "base64"},
    "BoolValue": {"type": "boolean"},
    "FloatValue": {"type": "number"},
    "DoubleValue": {"type": "number"},
    "Int32Value": {"type": "integer", "format": "int32"},
    "UInt32Value": {"type": "integer", "format": "uint32"},
    "Int64Value": {"type": "string", "format": "int64"},
    "UInt64Value": {"type": "string", "format": "uint64"},
}
_SCALARS: Mapping[int, Schema] = {
    FieldDescriptor.CPPTYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.CPPTYPE_UINT32: {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
    FieldDescriptor.CPPTYPE_INT64: {"type": "string", "format": "int64"},
    FieldDescriptor.CPPTYPE_UINT64: {"type": "string", "format": "uint64"},
    FieldDescriptor.CPPTYPE_DOUBLE: {"type": "number"},
    FieldDescriptor.CPPTYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_STRING: {"type": "string"},
}


class Schemas:
    """Collects the schemas of every message that is referred to, each once."""

    def __init__(self, comments: Mapping[str, str]) -> None:
        self._comments = comments
        self.components: dict[str, Schema] = {}

    def reference(self, kind: Descriptor) -> Schema:
        """Return a schema that refers to a message's."""
        if is_well_known(kind):
            return dict(_WELL_KNOWN.get(kind.name, {"type": "object"}))
        if kind.full_name not in self.components:
            # Before its fields: a message may hold itself.
            self.components[kind.full_name] = {}
            self.components[kind.full_name] |= self.object_of(kind)
        return _ref(kind.full_name)

    def object_of(self, kind: Descriptor, without: frozenset[str] = frozenset()) -> Schema:
        """Return a message's schema, less some fields."""
        fields = [field for field in kind.fields if field.name not in without]
        schema: Schema = {"type": "object"}
        if comment := self._comments.get(kind.full_name):
            schema["description"] = comment
        if fields:
            schema["properties"] = {field.json_name: self.field(field) for field in fields}
        # Both spellings are read, and a name that is neither is refused; only the first is declared.
        return schema

    def field(self, field: FieldDescriptor) -> Schema:
        """Return a field's schema."""
        if is_map(field):
            values = self._single(message_in(field).fields_by_name["value"])
            schema: Schema = {"type": "object", "additionalProperties": values}
        elif field.is_repeated:
            schema = {"type": "array", "items": self._single(field)}
        else:
            schema = self._single(field)
        comment = self._comments.get(field.full_name)
        return {**schema, "description": comment} if comment else schema

    def _single(self, field: FieldDescriptor) -> Schema:
        if field.message_type is not None:
            return self.reference(field.message_type)
        if field.enum_type is not None:
            return self._enum(field.enum_type)
        if field.type == FieldDescriptor.TYPE_BYTES:
            return {"type": "string", "contentEncoding": "base64"}
        return dict(_SCALARS[field.cpp_type])

    def _enum(self, kind: EnumDescriptor) -> Schema:
        if kind.full_name not in self.components:
            lines = [f"- `{value.name}`: {self._comment_of(kind, value.name)}" for value in kind.values]
            about = self._comments.get(kind.full_name, "")
            names = [value.name for value in kind.values]
            self.components[kind.full_name] = {"type": "string", "enum": names, "description": "\n".join([about, "", *lines])}
        return _ref(kind.full_name)

    def _comment_of(self, kind: EnumDescriptor, value: str) -> str:
        return " ".join(self._comments.get(f"{kind.full_name}.{value}", "").split())


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
