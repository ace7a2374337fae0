"""The two modes in which a reader is told of a run, by messages or by tokens: what they have in common.

Rule: (run_id, seq_id) is a position. Where an event becomes several pieces, the last bears its number and the others the
numbers before it, which belong to deltas of the same message: so the numbers rise, and a reader that resumes between two
pieces gets the second. Where those numbers are taken, the pieces bear the next that are free: no two have the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from letta_grpc.gateway.faces.letta.shapes.messages import Item, envelope, shown_calls
from letta_grpc.gateway.faces.letta.shapes.runs import PRIVATE
from letta_grpc.gateway.faces.letta.shapes.times import date_of
from letta_grpc.gateway.turns import BEGUN_AGAIN
from letta_grpc.v1 import events_pb2, messages_pb2

PING = "ping"
ERROR = "error_message"
# What a run keeps for this face: its input's digest, how its stream was asked for, which returns were the client's own, and
# what its messages were called, if there were several.
DIGEST, STREAM, TYPES, RETURNS, OTIDS = (f"{PRIVATE}{name}" for name in ("input", "stream", "types", "returns", "otids"))


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How a reader wants a run told. `after` is the last number that it has."""

    tokens: bool = False
    pings: bool = True
    compactions: bool = False
    types: frozenset[str] = frozenset()
    hidden_returns: frozenset[str] = frozenset()
    after: int = 0

    def passes(self, item: Item) -> bool:
        """Say whether an item is for this reader."""
        # What takes back messages is for everyone: nobody could tell from the others which are void.
        wanted = not self.types or item["message_type"] in self.types or item["message_type"] == ERROR
        return wanted and (item["seq_id"] or 0) > self.after


@dataclass(slots=True)
class Scene:
    """What is known of a run from its events so far."""

    run_id: str
    hidden_returns: set[str] = field(default_factory=set)
    last_number: int = 0

    def numbered(self, items: Sequence[Item], event: events_pb2.RunEvent) -> list[Item]:
        """Return the pieces of one event with their numbers, and its time."""
        date = date_of(event.create_time)
        for place, item in enumerate(items):
            self.last_number = max(event.sequence_number - (len(items) - 1 - place), self.last_number + 1)
            item.update(run_id=self.run_id, seq_id=self.last_number)
            if "date" in item:
                item["date"] = date
        return list(items)

    def note(self, message: messages_pb2.Message) -> None:
        """Remember the calls of a message that are told as text: their returns are not told."""
        shown = {call.id for call in shown_calls(message)} if message.role == messages_pb2.ROLE_ASSISTANT else set()
        if message.role == messages_pb2.ROLE_ASSISTANT:
            self.hidden_returns |= {call.id for call in message.tool_calls} - shown


class Mode(Protocol):
    """Turns events into what a reader is told."""

    def of(self, event: events_pb2.RunEvent) -> list[Item]:
        """Return what an event becomes."""
        ...


def compaction_items(compacted: events_pb2.ContextCompacted) -> list[Item]:
    """Return what a compaction becomes, for readers that asked to be told."""
    summary = compacted.summary
    trigger = "context_window_exceeded"
    begun = {"trigger": trigger, "context_token_estimate": compacted.tokens_before, "context_window": None}
    stats = {
        "trigger": trigger,
        "context_tokens_before": compacted.tokens_before,
        "context_tokens_after": compacted.tokens_after,
        "context_window": None,
        "messages_count_before": None,
        "messages_count_after": None,
    }
    text = "".join(part.text for part in summary.content)
    return [
        envelope("event_message", id_=summary.id, date="", event_type="compaction", event_data=begun),
        envelope("summary_message", id_=summary.id, date="", summary=text, compaction_stats=stats),
    ]


def void_item(void: Sequence[str]) -> Item:
    """Return what says that messages are void. It has no name on the wire: at `event: error` the SDKs stop reading."""
    told = {"error_type": "step_restarted", "message": BEGUN_AGAIN, "detail": ", ".join(void)}
    return {"message_type": ERROR, "run_id": None, **told, "seq_id": None}


def hidden_returns(metadata: Mapping[str, str]) -> frozenset[str]:
    """Return the calls whose returns the client itself gave: it is not told them again."""
    return frozenset(filter(None, metadata.get(RETURNS, "").split(",")))
