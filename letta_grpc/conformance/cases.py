"""What a case is: the calls that the server plays one after the other, and what a right client makes of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import grpc

from letta_grpc.v1 import events_pb2

Event = events_pb2.RunEvent
# What the program does beside reading to the end.
Action = Literal["stream", "attach", "cancel", "close", "deadline", "approve", "edit", "deny", "return"]

# Programs ask for a heartbeat this often, so three times as long without a word is silence.
HEARTBEAT_SECONDS = 0.5
BEAT_SECONDS = 0.25
# Programs have this key, and the server takes no other.
API_KEY = "conformance-key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """How a call ends when it does not end OK; with a reason it carries what our server sends."""

    code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    # What is wrong, by the path of the field.
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    retry_milliseconds: int | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """One response with these events."""

    events: Sequence[Event]


@dataclass(frozen=True, slots=True)
class Beats:
    """So many heartbeats with this number, one every BEAT_SECONDS."""

    number: int
    count: int


@dataclass(frozen=True, slots=True)
class UntilCancelled:
    """Nothing more before CancelRun was called."""


Deed = Send | Beats | UntilCancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What one streaming call does, then how it ends: a refusal, or OK, or by no word at all until the reader goes."""

    deeds: Sequence[Deed] = ()
    end: Refusal | Literal["ok", "silence"] = "ok"
    # Whether the run's id goes out before anything else; False for a call that fails before the run is accepted.
    accepts: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The error that the program prints: of the call, or of a failed run (then without a code)."""

    code: str
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    fields: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """What the program prints about the last run that it followed."""

    events: Sequence[int] = ()
    text: str = ""
    # COMPLETED, INTERRUPTED, …; None if the program did not see the end.
    state: str | None = None
    error: Failure | None = None
    # The calls that the first run waited for.
    pending: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the server saw of a program."""

    starts: int = 1
    attached_after: Sequence[int] = ()
    cancels: int = 0
    # In ProtoJSON, the input of the answering run.
    answers: Sequence[Mapping[str, object]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One script. Its name is the id of the agent that plays it."""

    name: str
    about: str
    calls: Sequence[Call]
    printed: Printed
    seen: Seen = field(default_factory=Seen)
    action: Action = "stream"
    # Where an `attach` begins.
    after: int = 0
    omit_deltas: bool = False
    # Whether the last call is played again and again; otherwise a call too many is refused.
    for_ever: bool = False
    # The run that the calls tell of had ended before the first of them.
    ended_before: bool = False
    log: Sequence[Event] = ()
    # What the run that brings the answers does.
    answering: Sequence[Call] = ()
    answering_log: Sequence[Event] = ()
