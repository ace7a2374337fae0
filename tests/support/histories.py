"""What happened between a server and those who called it, as they saw it.

Streams are kept as the bytes that came, split by protobuf's own rules and by none of the product's code.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import grpc

from letta_grpc.v1 import blocks_pb2, events_pb2, messages_pb2, run_service_pb2, runs_pb2

_DELTAS = frozenset({"text_delta", "reasoning_delta", "tool_call_delta"})
_ALWAYS = frozenset({"run_started", "step_restarted", "run_finished"})
# The number of `events` in the responses of streams.
STREAMED = 3
# … and in that of ListRunEvents.
LISTED = 1


@lru_cache(maxsize=100_000)
def parsed(body: bytes) -> events_pb2.RunEvent:
    """An event of its bytes; not to be changed."""
    return events_pb2.RunEvent.FromString(body)


def is_heartbeat(body: bytes) -> bool:
    return parsed(body).HasField("heartbeat")


def event_bodies(response: bytes, field_number: int = STREAMED) -> tuple[bytes, ...]:
    """The bytes of each event of a response, as they are in it."""
    bodies, at = [], 0
    while at < len(response):
        tag, at = _varint(response, at)
        assert tag & 7 == 2, f"wire type {tag & 7} in a message of strings and messages"
        size, at = _varint(response, at)
        if tag >> 3 == field_number:
            bodies.append(response[at : at + size])
        at += size
    return tuple(bodies)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def passes(options: run_service_pb2.StreamOptions, event: events_pb2.RunEvent) -> bool:
    """Whether a reader with these options is to be sent the event, by the contract's words."""
    kind = event.WhichOneof("payload")
    if kind in _DELTAS and options.omit_deltas:
        return False
    wanted = {events_pb2.EventKind.Name(one).removeprefix("EVENT_KIND_").lower() for one in options.event_kinds}
    return not wanted or kind in wanted or kind in _ALWAYS


@dataclass(slots=True)
class Stream:
    """One stream, from its opening to its end. `code` is None if its reader left; `life` counts the server's lives."""

    reader: str
    run_id: str = ""
    after: int = 0
    options: run_service_pb2.StreamOptions = field(default_factory=run_service_pb2.StreamOptions)
    life: int = 0
    responses: list[tuple[bytes, ...]] = field(default_factory=list)
    code: grpc.StatusCode | None = None
    reason: str = ""

    @property
    def bodies(self) -> list[bytes]:
        """What came, without heartbeats."""
        return [body for response in self.responses for body in response if not is_heartbeat(body)]

    @property
    def numbers(self) -> list[int]:
        return [parsed(body).sequence_number for body in self.bodies]

    @property
    def is_filtered(self) -> bool:
        return self.options.omit_deltas or bool(self.options.event_kinds)

    @property
    def last(self) -> int:
        """The greatest number that its reader has."""
        return max([self.after, *self.numbers])

    def __str__(self) -> str:
        numbers = self.numbers
        span = f"{numbers[0]}…{numbers[-1]}" if numbers else "nothing"
        return f"{self.reader} on {self.run_id} after {self.after} in life {self.life} ({span}, then {self.code})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One answer to a start: the run, or the reason of the refusal."""

    request_id: str
    payload: str
    run_id: str = ""
    refusal: str = ""
    blamed_run_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """The answer to a cancel."""

    run: runs_pb2.Run


@dataclass(slots=True)
class History:
    """All of it, and what the server said when everything was over: logs, runs, conversations, and blocks."""

    streams: list[Stream] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    cancels: list[Cancel] = field(default_factory=list)
    logs: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    runs: dict[str, runs_pb2.Run] = field(default_factory=dict)
    conversations: dict[str, list[messages_pb2.Message]] = field(default_factory=dict)
    blocks: dict[str, blocks_pb2.Block] = field(default_factory=dict)
    lives: int = 1

    def events(self, run_id: str) -> Iterator[events_pb2.RunEvent]:
        return map(parsed, self.logs.get(run_id, ()))

    @property
    def all_events(self) -> Mapping[str, list[events_pb2.RunEvent]]:
        return {run_id: list(self.events(run_id)) for run_id in self.logs}

    @property
    def messages(self) -> Iterator[messages_pb2.Message]:
        for messages in self.conversations.values():
            yield from messages
