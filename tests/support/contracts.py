"""The accepted contract, an older and a newer one made of it, and stubs of each that know nothing of the package's own."""

from collections.abc import AsyncIterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

_ROOT = Path(__file__).parents[2]
_PACKAGE = "letta_grpc.v1"

# What the older contract does not know yet.
LATER_EVENTS = ("message_started", "tool_execution_started", "tool_return", "step_completed", "context_compacted", "custom")
LATER_FIELDS = {
    "Run": ("usage", "timing", "model", "kind"),
    "Agent": ("tool_rules", "sleeptime"),
    "StreamRunResponse": ("agent_id",),
    "AttachRunResponse": ("agent_id",),
}
# What the newer one adds.
NEW_FIELD = "mood"
NEW_EVENT = "mood_changed"
_NEW_NUMBER = 900
_WITH_NEW_FIELD = (
    "Run",
    "RunSpec",
    "RunEvent",
    "Message",
    "StreamRunRequest",
    "StreamRunResponse",
    "AttachRunResponse",
    "CreateAgentRequest",
)


def accepted() -> FileDescriptorSet:
    """Return the last accepted contract."""
    return FileDescriptorSet.FromString((_ROOT / "protos/baseline.binpb").read_bytes())


def older() -> FileDescriptorSet:
    """Return a contract from before some events and fields."""
    files = accepted()
    for name, gone in {**LATER_FIELDS, "RunEvent": LATER_EVENTS}.items():
        message = _message(files, name)
        kept = [field for field in message.field if field.name not in gone]
        assert len(kept) == len(message.field) - len(gone)
        del message.field[:]
        message.field.extend(kept)
    return files


def newer() -> FileDescriptorSet:
    """Return a contract with an event, and a field of many messages, that nobody has heard of yet."""
    files = accepted()
    events = next(file for file in files.file if file.name.endswith("/events.proto"))
    events.message_type.add(name="MoodChanged").field.append(_text(NEW_FIELD, 1))
    event = _message(files, "RunEvent")
    payload = FieldDescriptorProto(
        name=NEW_EVENT,
        number=_NEW_NUMBER + 1,
        label=FieldDescriptorProto.LABEL_OPTIONAL,
        type=FieldDescriptorProto.TYPE_MESSAGE,
        type_name=f".{_PACKAGE}.MoodChanged",
        oneof_index=0,
    )
    event.field.append(payload)
    for name in _WITH_NEW_FIELD:
        _message(files, name).field.append(_text(NEW_FIELD, _NEW_NUMBER))
    return files


def _text(name: str, number: int) -> FieldDescriptorProto:
    label, kind = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.TYPE_STRING
    return FieldDescriptorProto(name=name, number=number, label=label, type=kind)


def _message(files: FileDescriptorSet, name: str) -> DescriptorProto:
    own = (file for file in files.file if file.package == _PACKAGE)
    return next(message for file in own for message in file.message_type if message.name == name)


class Stubs:
    """Messages and calls of a contract."""

    def __init__(self, files: FileDescriptorSet) -> None:
        self._pool = DescriptorPool()
        for file in files.file:
            self._pool.Add(file)

    @cache  # noqa: B019 - a test has few of these, and they live as long as it does
    def kind(self, name: str) -> type[Message]:
        """Return the class of a message."""
        return GetMessageClass(self._pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))

    def new(self, name: str, fields: dict[str, Any]) -> Any:  # noqa: ANN401 - a message that has no types
        """Make a message from ProtoJSON."""
        return json_format.ParseDict(fields, self.kind(name)())

    async def call(self, channel: grpc.aio.Channel, method: str, **fields: object) -> Any:  # noqa: ANN401 - see `new`
        """Make a unary call."""
        request, response = self._types(method)
        make = channel.unary_unary(_path(method), request.SerializeToString, response.FromString)
        return await make(self.new(request.DESCRIPTOR.name, fields))

    def stream(self, channel: grpc.aio.Channel, method: str, **fields: object) -> AsyncIterable[Any]:
        """Make a streaming call; return its responses."""
        request, response = self._types(method)
        make = channel.unary_stream(_path(method), request.SerializeToString, response.FromString)
        return make(self.new(request.DESCRIPTOR.name, fields))

    def _types(self, method: str) -> tuple[type[Message], type[Message]]:
        name = method.rpartition("/")[2]
        return self.kind(f"{name}Request"), self.kind(f"{name}Response")


def serving(stubs: Stubs, service: str, handlers: dict[str, Any]) -> grpc.GenericRpcHandler:
    """Return what a server of this contract does for streaming methods."""
    methods = {
        name: grpc.unary_stream_rpc_method_handler(
            handler,
            request_deserializer=stubs.kind(f"{name}Request").FromString,
            response_serializer=stubs.kind(f"{name}Response").SerializeToString,
        )
        for name, handler in handlers.items()
    }
    return grpc.method_handlers_generic_handler(f"{_PACKAGE}.{service}", methods)


def numbers(responses: Sequence[Any]) -> list[int]:
    """Return the numbers of the events in some responses."""
    return [event.sequence_number for response in responses for event in response.events]


def _path(method: str) -> str:
    return f"/{_PACKAGE}.{method}"
