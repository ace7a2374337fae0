"""Events as frames: the bytes in which they are stored and sent."""

import threading
from typing import Generic, TypeVar

from letta_grpc.domain.events import NumberedEvent, ReasoningDelta, RunEvent, TextDelta
from letta_grpc.transport.convert.events import event_from_pb, event_to_pb
from letta_grpc.transport.convert.times import NANOS
from letta_grpc.v1 import events_pb2 as pb

# The tag of `events` in the responses of every stream: field 3, length-delimited.
EVENTS_TAG = b"\x1a"
_LAST_BYTE = 0x7F
# A protobuf message keeps every string that it was ever given until it goes itself: after this much another one is filled.
_TEMPLATE_CHARACTERS = 64 * 1024
Delta = TypeVar("Delta", pb.TextDelta, pb.ReasoningDelta)


class _Template(Generic[Delta]):
    """A message that is filled again and again: building a new one costs twice as much as all the rest of a delta."""

    __slots__ = ("delta", "event", "room", "time")

    def __init__(self, event: pb.RunEvent, delta: Delta) -> None:
        self.event = event
        self.time = event.create_time
        self.delta: Delta = delta
        self.room = _TEMPLATE_CHARACTERS


def _text_template() -> _Template[pb.TextDelta]:
    event = pb.RunEvent(text_delta=pb.TextDelta())
    return _Template(event, event.text_delta)


def _reasoning_template() -> _Template[pb.ReasoningDelta]:
    event = pb.RunEvent(reasoning_delta=pb.ReasoningDelta())
    return _Template(event, event.reasoning_delta)


class _Templates(threading.local):
    """Each thread has its own, since a half-filled one must not be seen by another."""

    def __init__(self) -> None:
        self.text = _text_template()
        self.reasoning = _reasoning_template()


class ProtoEventCodec:
    """The EventCodec of `letta_grpc.v1.RunEvent`. May be used from any thread."""

    def __init__(self) -> None:
        self._templates = _Templates()

    def encode(self, sequence_number: int, create_time_ns: int, event: RunEvent) -> bytes:
        """Return the event's frame."""
        if isinstance(event, TextDelta):
            body = self._text_delta(sequence_number, create_time_ns, event)
        elif isinstance(event, ReasoningDelta) and not (event.signature or event.hidden):
            body = self._reasoning_delta(sequence_number, create_time_ns, event)
        else:
            # Deterministic: maps have an order of their own otherwise, another one in each process.
            body = event_to_pb(sequence_number, create_time_ns, event).SerializeToString(deterministic=True)
        return frame(body)

    def decode(self, frame: bytes) -> NumberedEvent:
        """Return the event of a frame that `encode` made."""
        return event_from_pb(pb.RunEvent.FromString(body_of(frame)))

    def _text_delta(self, number: int, time_ns: int, event: TextDelta) -> bytes:
        template = self._templates.text
        template.room -= len(event.message_id) + len(event.text)
        if template.room < 0:
            self._templates.text = _text_template()
        message, time, delta = template.event, template.time, template.delta
        message.sequence_number = number
        time.seconds = time_ns // NANOS
        time.nanos = time_ns % NANOS
        delta.message_id = event.message_id
        delta.content_index = event.content_index
        delta.text = event.text
        return message.SerializeToString()

    def _reasoning_delta(self, number: int, time_ns: int, event: ReasoningDelta) -> bytes:
        template = self._templates.reasoning
        template.room -= len(event.message_id) + len(event.text)
        if template.room < 0:
            self._templates.reasoning = _reasoning_template()
        message, time, delta = template.event, template.time, template.delta
        message.sequence_number = number
        time.seconds = time_ns // NANOS
        time.nanos = time_ns % NANOS
        delta.message_id = event.message_id
        delta.text = event.text
        return message.SerializeToString()


def frame(body: bytes) -> bytes:
    """Return an event's bytes as a response has them: as a length-delimited field."""
    size = len(body)
    if size <= _LAST_BYTE:
        return b"%b%c%b" % (EVENTS_TAG, size, body)
    if size <= 0x3FFF:  # noqa: PLR2004 - two bytes of varint hold 14 bits
        return b"%b%c%c%b" % (EVENTS_TAG, size & 0x7F | 0x80, size >> 7, body)
    return EVENTS_TAG + varint(size) + body


def varint(number: int) -> bytes:
    """Return a number in protobuf's variable length."""
    result = bytearray()
    while number > _LAST_BYTE:
        result.append(number & 0x7F | 0x80)
        number >>= 7
    result.append(number)
    return bytes(result)


def body_of(frame: bytes) -> bytes:
    """Return the message of a frame."""
    start = 1
    while frame[start] > _LAST_BYTE:
        start += 1
    return frame[start + 1 :]


def retag(frame: bytes, tag: bytes) -> bytes:
    """Return a frame as the field of another message."""
    return tag + frame[1:]
