"""OpenAPI 3.1, from descriptors and comments."""

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from letta_grpc.gateway.descriptors import Contract, fields_of, is_map, is_well_known, message_in
from letta_grpc.gateway.formats import JsonLines, ServerSentEvents
from letta_grpc.gateway.frames import unrolled_field
from letta_grpc.gateway.requests import POSITION
from letta_grpc.gateway.routes import Binding, Routes
from letta_grpc.gateway.schemas import Schema, Schemas

_VARIABLE = re.compile(r"\{([\w.]+)(?:=[^{}]*)?\}")
_JSON = "application/json"
_ABOUT = (
    "Every RPC of letta_grpc as JSON. Streams come as server-sent events or as one JSON a line, by `Accept`; they are resumed "
    "by `Last-Event-ID`. Fields are read in camelCase and in snake_case, and written in camelCase; fields with their default "
    "value are left out."
)
_ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "status", "message", "details"],
            "properties": {
                "code": {"type": "integer", "description": "The HTTP status."},
                "status": {"type": "string", "description": "The name of the gRPC code."},
                "message": {"type": "string"},
                "details": {"type": "array", "items": {"type": "object", "properties": {"@type": {"type": "string"}}}},
            },
        }
    },
}


def openapi_of(contract: Contract, routes: Routes, server: str) -> dict[str, Any]:
    """Return the OpenAPI document of some routes, which are mounted under `server`."""
    schemas = Schemas(contract.comments)
    paths: dict[str, dict[str, Any]] = {}
    for binding in sorted(routes.bindings, key=lambda binding: binding.rpc.name):
        path = _VARIABLE.sub(r"{\1}", binding.template.text)
        verb = "get" if binding.is_socket else binding.verb.lower()
        paths.setdefault(path, {})[verb] = _operation(binding, contract, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "letta_grpc", "version": "1", "description": _ABOUT},
        "servers": [{"url": server}],
        "security": [{}, {"key": []}],
        "tags": list(_tags(contract, routes)),
        "paths": paths,
        "components": {
            "schemas": schemas.components | {"Error": _ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _tags(contract: Contract, routes: Routes) -> Iterator[dict[str, str]]:
    for name in sorted({binding.rpc.full_name.rpartition(".")[0] for binding in routes.bindings}):
        yield {"name": name.rpartition(".")[2], "description": contract.comments.get(name, "")}


def _operation(binding: Binding, contract: Contract, schemas: Schemas) -> dict[str, Any]:
    rpc = binding.rpc
    service, _, method = rpc.full_name.rpartition(".")
    comment = contract.comments.get(rpc.full_name, "")
    tag = service.rpartition(".")[2]
    operation: dict[str, Any] = {
        # A binding beside the first is another operation, and operations have names of their own.
        "operationId": f"{tag}_{method}" + _suffix(binding),
        "tags": [tag],
        "summary": comment.partition(". ")[0].partition("\n")[0].rstrip("."),
        "description": comment,
        "parameters": [
            *_path_parameters(binding, schemas),
            *_query_parameters(binding, schemas),
            *_header_parameters(binding),
        ],
        "responses": _responses(binding, schemas),
    }
    if binding.body and not binding.is_socket:
        operation["requestBody"] = {"content": {_JSON: {"schema": _body(binding, schemas)}}}
    return operation


def _suffix(binding: Binding) -> str:
    first = getattr(binding.rpc.rule, binding.verb.lower(), binding.template.text)
    return "" if first == binding.template.text else f"_{abs(hash_of(binding.template.text))}"


def hash_of(text: str) -> int:
    """Return a small number that stands for a text, the same one in every process."""
    return sum(at * ord(letter) for at, letter in enumerate(text, start=1)) % 10_000


def _path_parameters(binding: Binding, schemas: Schemas) -> Iterator[dict[str, Any]]:
    for path in binding.template.variables:
        field = _field_at(binding.rpc.request_type, path)
        yield {"name": path, "in": "path", "required": True, "schema": schemas.field(field)}


def _field_at(kind: Descriptor, path: str) -> FieldDescriptor:
    *way, last = path.split(".")
    for step in way:
        kind = message_in(fields_of(kind)[step])
    return fields_of(kind)[last]


def _query_parameters(binding: Binding, schemas: Schemas) -> Iterator[dict[str, Any]]:
    if binding.body == "*" or binding.is_socket:
        return
    taken = {*binding.template.variables, binding.body}
    for path, field in _leaves(binding.rpc.request_type, "", frozenset()):
        if path not in taken and path.partition(".")[0] not in taken:
            name = ".".join(fields_of_path(binding.rpc.request_type, path))
            schema = schemas.field(field)
            about = schema.pop("description", "") if "$ref" not in schema else ""
            yield {"name": name, "in": "query", "schema": schema} | ({"description": about} if about else {})


def fields_of_path(kind: Descriptor, path: str) -> Iterator[str]:
    """Yield the JSON names along a field path."""
    *way, last = path.split(".")
    for step in way:
        yield fields_of(kind)[step].json_name
        kind = message_in(fields_of(kind)[step])
    yield fields_of(kind)[last].json_name


def _leaves(kind: Descriptor, prefix: str, above: frozenset[str]) -> Iterator[tuple[str, FieldDescriptor]]:
    for field in kind.fields:
        path = f"{prefix}{field.name}"
        inner = field.message_type
        if inner is None or (is_well_known(inner) and not field.is_repeated):
            yield path, field
        elif not field.is_repeated and not is_map(field) and inner.full_name not in above:
            yield from _leaves(inner, f"{path}.", above | {inner.full_name})


def _header_parameters(binding: Binding) -> Iterator[dict[str, Any]]:
    if binding.rpc.server_streaming and POSITION in fields_of(binding.rpc.request_type):
        about = "The last number that the reader has; wins over the field."
        yield {"name": "Last-Event-ID", "in": "header", "description": about, "schema": {"type": "integer", "minimum": 0}}


def _body(binding: Binding, schemas: Schemas) -> Schema:
    kind = binding.rpc.request_type
    if binding.body != "*":
        return schemas.field(fields_of(kind)[binding.body])
    return schemas.object_of(kind, frozenset(binding.template.variables))


def _responses(binding: Binding, schemas: Schemas) -> dict[str, Any]:
    failed = {"description": "A failure.", "content": {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}}
    kind = binding.rpc.response_type
    if binding.is_socket:
        schemas.reference(binding.rpc.request_type)
        told = f"A WebSocket: messages in are `{binding.rpc.request_type.full_name}`, messages out `{kind.full_name}`."
        schemas.reference(kind)
        return {"101": {"description": told}, "default": failed}
    if not binding.rpc.server_streaming:
        field = fields_of(kind)[binding.response_body] if binding.response_body else None
        schema = schemas.field(field) if field else schemas.reference(kind)
        return {"200": {"description": "Done.", "content": {_JSON: {"schema": schema}}}, "default": failed}
    element = _frame(kind, schemas)
    content = {
        ServerSentEvents(0).content_type: {"schema": _event(element)},
        JsonLines().content_type: {"schema": element},
    }
    return {
        "200": {"description": "The stream; the schemas are those of one event, and of one line.", "content": content},
        "204": {"description": "There is nothing, and there never will be."},
        "default": failed,
    }


def _event(frame: Schema) -> Schema:
    """Return the schema of a server-sent event. What breaks a stream is its last one."""
    told = {"anyOf": [frame, {"$ref": "#/components/schemas/Error"}]}
    return {
        "type": "object",
        "required": ["data"],
        "properties": {
            "id": {"type": "string", "description": "The number to resume behind, where the stream can be resumed."},
            "event": {"type": "string", "description": "Which kind of event it is; `error` at the end of one that breaks."},
            "data": {"type": "string", "contentMediaType": _JSON, "contentSchema": told},
        },
    }


def _frame(kind: Descriptor, schemas: Schemas) -> Schema:
    """Return the schema of a frame: an element with the response's other fields, or the response."""
    field = unrolled_field(kind)
    if field is None:
        return schemas.reference(kind)
    return {"allOf": [schemas.reference(message_in(field)), schemas.object_of(kind, frozenset({field.name}))]}
