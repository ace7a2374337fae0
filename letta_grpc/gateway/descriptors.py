"""The contract as data: services, messages and comments of a descriptor set.

Nothing here knows a service by name: an RPC that is added to a proto is in the set, and so in everything that is made of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from google.api import annotations_pb2, http_pb2  # type: ignore[import-untyped]  # nobody publishes stubs of it
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

# Field numbers in descriptor.proto, of which the paths of comments are made.
_MESSAGES, _ENUMS, _SERVICES = 4, 5, 6
_IN_MESSAGE_FIELDS, _IN_MESSAGE_MESSAGES, _IN_MESSAGE_ENUMS = 2, 3, 4
_MEMBERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Rpc:
    """A method. `name` is `package.Service/Method`; `rule` is its `google.api.http`, if it has one."""

    name: str
    request_type: Descriptor
    response_type: Descriptor
    client_streaming: bool
    server_streaming: bool
    rule: Any

    @property
    def request(self) -> type[Message]:
        """The class of its requests."""
        return GetMessageClass(self.request_type)

    @property
    def response(self) -> type[Message]:
        """The class of its responses."""
        return GetMessageClass(self.response_type)

    @property
    def full_name(self) -> str:
        """The name as comments know it: `package.Service.Method`."""
        return self.name.replace("/", ".")


@dataclass(frozen=True, slots=True)
class Contract:
    """All that a descriptor set says. `comments` are by full name."""

    pool: DescriptorPool
    rpcs: Sequence[Rpc]
    comments: Mapping[str, str]


@cache
def own_contract() -> Contract:
    """Return the contract of `letta_grpc.v1`."""
    return contract_of((resources.files("letta_grpc.gateway.contract") / "v1.binpb").read_bytes())


def contract_of(descriptor_set: bytes) -> Contract:
    """Read a serialized FileDescriptorSet that names each file after the files it imports, as protoc writes it."""
    files = FileDescriptorSet.FromString(descriptor_set).file
    pool = DescriptorPool()
    for file in files:
        pool.AddSerializedFile(file.SerializeToString())
    rpcs = tuple(rpc for file in files for rpc in _rpcs(file, pool))
    comments = {name: text for file in files for name, text in _comments(file)}
    return Contract(pool, rpcs, comments)


def _rpcs(file: FileDescriptorProto, pool: DescriptorPool) -> Iterator[Rpc]:
    for service in file.service:
        for method in service.method:
            extensions: Any = method.options.Extensions
            rule = extensions[annotations_pb2.http]
            yield Rpc(
                name=f"{file.package}.{service.name}/{method.name}",
                request_type=pool.FindMessageTypeByName(method.input_type.lstrip(".")),
                response_type=pool.FindMessageTypeByName(method.output_type.lstrip(".")),
                client_streaming=method.client_streaming,
                server_streaming=method.server_streaming,
                rule=rule if rule != http_pb2.HttpRule() else None,
            )


def _comments(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    names = dict(_paths(file))
    for location in file.source_code_info.location:
        name = names.get(tuple(location.path))
        if name and location.leading_comments.strip():
            yield name, location.leading_comments.strip()


def _paths(file: FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    """Yield where each thing of a file stands, as its comments say it, and its full name."""
    package = file.package
    for index, message in enumerate(file.message_type):
        yield from _message_paths(message, (_MESSAGES, index), f"{package}.{message.name}")
    for index, enum in enumerate(file.enum_type):
        yield (_ENUMS, index), f"{package}.{enum.name}"
        for at, value in enumerate(enum.value):
            yield (_ENUMS, index, _MEMBERS, at), f"{package}.{enum.name}.{value.name}"
    for index, service in enumerate(file.service):
        yield (_SERVICES, index), f"{package}.{service.name}"
        for at, method in enumerate(service.method):
            yield (_SERVICES, index, _MEMBERS, at), f"{package}.{service.name}.{method.name}"


def _message_paths(message: DescriptorProto, path: tuple[int, ...], name: str) -> Iterator[tuple[tuple[int, ...], str]]:
    yield path, name
    for at, field in enumerate(message.field):
        yield (*path, _IN_MESSAGE_FIELDS, at), f"{name}.{field.name}"
    for at, nested in enumerate(message.nested_type):
        yield from _message_paths(nested, (*path, _IN_MESSAGE_MESSAGES, at), f"{name}.{nested.name}")
    for at, enum in enumerate(message.enum_type):
        yield (*path, _IN_MESSAGE_ENUMS, at), f"{name}.{enum.name}"


@cache
def fields_of(message: Descriptor) -> Mapping[str, FieldDescriptor]:
    """Return a message's fields by both spellings of their names."""
    names = {field.name: field for field in message.fields}
    return names | {field.json_name: field for field in message.fields}


def message_in(field: FieldDescriptor) -> Descriptor:
    """Return the type of a field that holds messages."""
    if field.message_type is None:
        raise TypeError(f"{field.full_name} holds no message")
    return field.message_type


def is_map(field: FieldDescriptor) -> bool:
    """Say whether a field is a map."""
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def is_well_known(message: Descriptor) -> bool:
    """Say whether JSON knows a form of its own for a message."""
    return message.full_name.startswith("google.protobuf.")


def members(message: Descriptor) -> Sequence[str]:
    """Return the names of a message's oneofs, less those that stand for `optional`."""
    return [one.name for one in message.oneofs if [f"_{field.name}" for field in one.fields] != [one.name]]
