"""The bytes of events.

A *frame* is one event as it stands inside a response: one tag byte, a varint length, the event's bytes. Frames of one run
put behind each other are a response's `events`, so whoever has them stored has nothing to encode again. The journal keeps
frames without looking into them; `domain/frames.py` cuts them.
"""

from typing import Protocol

from letta_grpc.domain.events import NumberedEvent, RunEvent


class EventCodec(Protocol):
    """Turns events into frames, once, and back."""

    def encode(self, sequence_number: int, create_time_ns: int, event: RunEvent) -> bytes:
        """Return the event's frame."""
        ...

    def decode(self, frame: bytes) -> NumberedEvent:
        """Return the event of a frame that `encode` made."""
        ...
