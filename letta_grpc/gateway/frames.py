"""The general rule of streams: a response with one repeated message field is unrolled, each element is a frame.

The response's other fields are merged into each frame's JSON; a response without elements is one frame of them alone. A
frame's id is its `sequence_number`, its event the case of its oneof. Any other response is one frame as it is.

Rule for ids: a request that lists several things to do (a repeated message field at its top, as StreamRuns has) opens a stream
of several sequences of numbers. Its frames have no id, since no position in it could be resumed at; the JSON names run and
number.
"""

from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from typing import NamedTuple

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from letta_grpc.gateway.descriptors import Rpc, fields_of, is_map, members, message_in
from letta_grpc.gateway.printing import dict_of
from letta_grpc.gateway.requests import NUMBER
from letta_grpc.gateway.wire import elements_from, split, tag_of

HEARTBEAT = "heartbeat"
# What several readers of one run are sent is printed once, if it is small: deltas are, and they are what is many.
_CACHED_EVENTS, _MAX_CACHED_BYTES = 1024, 2048


class Frame(NamedTuple):
    """One thing that a stream tells, as one line of JSON."""

    json: bytes
    event: str | None
    id: int | None

    @property
    def is_heartbeat(self) -> bool:
        """Whether it says no more than that the stream is alive."""
        return self.event == HEARTBEAT


class Frames:
    """Turns the responses of one stream into frames."""

    def __init__(self, rpc: Rpc) -> None:
        self._response = rpc.response
        self._field = unrolled_field(rpc.response_type)
        self._print = _printer(message_in(self._field) if self._field else rpc.response_type)
        self._has_ids = not any(_is_message_list(field) for field in rpc.request_type.fields)
        self._tag = tag_of(self._field.number) if self._field else b""
        self._head, self._prefix = b"", b"{"

    def of(self, body: bytes) -> Iterator[Frame]:
        """Yield the frames of a response."""
        if self._field is None:
            frame = self._print(body)
            yield frame if self._has_ids else frame._replace(id=None)
            return
        elements = self._elements_behind_the_head(body)
        if elements is None:
            elements, head = split(body, self._field.number)
            self._take_head(head)
        if not elements:
            # It tells something else, in its other fields.
            yield Frame(self._prefix.rstrip(b",") + b"}", None, None)
        for element in elements:
            json, event, order = self._print(element)
            yield Frame(self._merged(json), event, order if self._has_ids else None)

    def _elements_behind_the_head(self, body: bytes) -> list[bytes] | None:
        """Return the elements of a response that begins as the one before did and has nothing else: most do."""
        return elements_from(body, len(self._head), self._tag) if self._head and body.startswith(self._head) else None

    def _take_head(self, head: bytes) -> None:
        """Print the response's other fields, unless they are those of the response before."""
        if head == self._head or self._field is None:
            return
        own = fields_of(message_in(self._field))
        told = dict_of(self._response.FromString(head))
        kept = {name: value for name, value in told.items() if name not in own}
        self._head, self._prefix = head, orjson.dumps(kept)[:-1] + b"," if kept else b"{"

    def _merged(self, json: bytes) -> bytes:
        return self._prefix + json[1:] if json != b"{}" else self._prefix.rstrip(b",") + b"}"


@cache
def unrolled_field(response: Descriptor) -> FieldDescriptor | None:
    """Return the one repeated message field of a response; None if there is none, or more than one."""
    lists = [field for field in response.fields if _is_message_list(field)]
    return lists[0] if len(lists) == 1 else None


def _is_message_list(field: FieldDescriptor) -> bool:
    return field.is_repeated and field.message_type is not None and not is_map(field)


@cache
def _printer(kind: Descriptor) -> Callable[[bytes], Frame]:
    message_class: type[Message] = GetMessageClass(kind)
    oneofs = members(kind)
    oneof = oneofs[0] if len(oneofs) == 1 else None
    has_number = NUMBER in fields_of(kind)

    def print_frame(body: bytes) -> Frame:
        message = message_class.FromString(body)
        event = message.WhichOneof(oneof) if oneof else None
        return Frame(orjson.dumps(dict_of(message)), event, getattr(message, NUMBER) if has_number else None)

    remembered = lru_cache(_CACHED_EVENTS)(print_frame)
    return lambda body: remembered(body) if len(body) <= _MAX_CACHED_BYTES else print_frame(body)
