"""The mode `stream_tokens`: text, reasoning and arguments as they come, returns when all of a step's tools are done."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from letta_grpc.gateway.faces.letta.ids import otid_of
from letta_grpc.gateway.faces.letta.modes import Scene, View, compaction_items, void_item
from letta_grpc.gateway.faces.letta.shapes.messages import (
    Item,
    call_delta_json,
    envelope,
    hidden_json,
    items_of,
    reasoning_json,
    shown_calls,
)
from letta_grpc.v1 import events_pb2, messages_pb2

_THOUGHT, _CALLS = "reasoning_message", "tool_call_message"


@dataclass(slots=True)
class _Spoken:
    """A message that is being streamed.

    `kind` and `index` are those of the piece of its content that comes at the moment. Its calls are one piece, whatever comes
    between them: each of several may come with a proof, and the history has the calls together.
    """

    step_id: str
    asks: bool
    kind: str = ""
    index: int = -1
    is_sealed: bool = False
    calls_index: int | None = None
    pieces: int = 0

    def index_of(self, kind: str) -> int:
        """Return the index of the piece that is continued by something of this kind, or begun."""
        if kind == _CALLS:
            if self.calls_index is None:
                self.calls_index = self._next()
            return self.calls_index
        if kind != self.kind:
            self.kind, self.index, self.is_sealed = kind, self._next(), False
        return self.index

    def _next(self) -> int:
        self.pieces += 1
        return self.pieces - 1


class TokensMode:
    """Tells deltas."""

    def __init__(self, run_id: str, view: View) -> None:
        self._scene = Scene(run_id, set(view.hidden_returns))
        self._view = view
        self._spoken: dict[str, _Spoken] = {}
        self._named: set[str] = set()

    def of(self, event: events_pb2.RunEvent) -> list[Item]:
        """Return what an event becomes."""
        return self._scene.numbered(list(self._items(event)), event)

    def _items(self, event: events_pb2.RunEvent) -> Iterator[Item]:
        match event.WhichOneof("payload"):
            case "message_started":
                begun = event.message_started
                self._spoken[begun.message_id] = _Spoken(begun.step_id, begun.role == messages_pb2.ROLE_APPROVAL)
            case "text_delta":
                delta = event.text_delta
                yield self._piece(delta.message_id, "assistant_message", content=delta.text)
            case "reasoning_delta":
                yield from self._thought(event.reasoning_delta)
            case "tool_call_delta":
                yield self._call(event.tool_call_delta)
            case "message_completed":
                yield from self._completed(event.message_completed.message)
            case "step_restarted":
                if void := [id_ for id_ in event.step_restarted.void_message_ids if id_ in self._spoken]:
                    yield void_item(void)
            case "context_compacted" if self._view.compactions:
                yield from compaction_items(event.context_compacted)
            case _:
                pass

    def _piece(self, message_id: str, kind: str, **more: Any) -> Item:  # noqa: ANN401 - any JSON
        spoken = self._spoken_of(message_id)
        otid = message_id if spoken.asks else otid_of(message_id, spoken.index_of(kind))
        return envelope(kind, id_=message_id, date="", otid=otid, step_id=spoken.step_id or None, **more)

    def _spoken_of(self, message_id: str) -> _Spoken:
        return self._spoken.setdefault(message_id, _Spoken("", asks=False))

    def _thought(self, delta: events_pb2.ReasoningDelta) -> Iterator[Item]:
        if delta.WhichOneof("hidden"):
            part = messages_pb2.ContentPart(redacted_reasoning=delta.redacted_reasoning)
            yield self._piece(delta.message_id, "hidden_reasoning_message", **hidden_json([part]))
            return
        spoken = self._spoken_of(delta.message_id)
        # Parts that follow each other are one piece, which has the first signature of theirs, as in the history.
        if delta.text or not spoken.is_sealed:
            yield self._piece(delta.message_id, _THOUGHT, **reasoning_json(delta.text, delta.signature or None))
        spoken.is_sealed |= bool(delta.signature)

    def _call(self, delta: events_pb2.ToolCallDelta) -> Item:
        asks = self._spoken[delta.message_id].asks if delta.message_id in self._spoken else False
        told: dict[str, str | None] = {"arguments": delta.arguments, "tool_call_id": delta.tool_call_id}
        if delta.tool_call_id not in self._named:
            self._named.add(delta.tool_call_id)
            told = {"name": delta.name, **told}
        elif asks:
            # The reference server leaves the name out of one kind and sends null in the other; clients have met both.
            told = {"name": None, **told}
        kind = "approval_request_message" if asks else _CALLS
        return self._piece(delta.message_id, kind, **call_delta_json(told))

    def _completed(self, message: messages_pb2.Message) -> Iterator[Item]:
        self._scene.note(message)
        if message.role == messages_pb2.ROLE_TOOL:
            yield from items_of(message, frozenset(self._scene.hidden_returns))
            return
        # What the model says was told by its deltas, but for calls by which an agent speaks: if one says nothing, or waits for
        # an approval, this is all that there is of it.
        for call in message.tool_calls if message.role == messages_pb2.ROLE_APPROVAL else shown_calls(message):
            if call.id not in self._named:
                yield self._call(
                    events_pb2.ToolCallDelta(
                        message_id=message.id, tool_call_id=call.id, name=call.name, arguments=call.arguments
                    )
                )
