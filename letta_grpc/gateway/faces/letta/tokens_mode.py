"""The mode `stream_tokens`: text, reasoning and arguments as they come, returns when all of a step's tools are done."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from letta_grpc.gateway.faces.letta.ids import otid_of
from letta_grpc.gateway.faces.letta.shapes.messages import (
    Item,
    call_delta_json,
    envelope,
    hidden_json,
    items_of,
    reasoning_json,
)
from letta_grpc.gateway.faces.letta.telling import Scene, View, compaction_items
from letta_grpc.v1 import events_pb2, messages_pb2


@dataclass(slots=True)
class _Spoken:
    """A message that is being streamed. `index` is that of its current piece, which has a kind."""

    step_id: str
    asks: bool
    kind: str = ""
    index: int = -1


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
                thought = event.reasoning_delta
                yield self._piece(thought.message_id, "reasoning_message", **reasoning_json(thought.text))
            case "tool_call_delta":
                yield self._call(event.tool_call_delta)
            case "message_completed":
                yield from self._completed(event.message_completed.message)
            case "context_compacted" if self._view.compactions:
                yield from compaction_items(event.context_compacted)
            case _:
                pass

    def _piece(self, message_id: str, kind: str, **more: Any) -> Item:  # noqa: ANN401 - any JSON
        spoken = self._spoken.setdefault(message_id, _Spoken("", asks=False))
        if spoken.kind != kind:
            spoken.kind, spoken.index = kind, spoken.index + 1
        otid = message_id if spoken.asks else otid_of(message_id, spoken.index)
        return envelope(kind, id_=message_id, date="", otid=otid, step_id=spoken.step_id or None, **more)

    def _call(self, delta: events_pb2.ToolCallDelta) -> Item:
        asks = self._spoken[delta.message_id].asks if delta.message_id in self._spoken else False
        told: dict[str, str | None] = {"arguments": delta.arguments, "tool_call_id": delta.tool_call_id}
        if delta.tool_call_id not in self._named:
            self._named.add(delta.tool_call_id)
            told = {"name": delta.name, **told}
        elif asks:
            # The reference server leaves the name out of one kind and sends null in the other; clients have met both.
            told = {"name": None, **told}
        kind = "approval_request_message" if asks else "tool_call_message"
        return self._piece(delta.message_id, kind, **call_delta_json(told))

    def _completed(self, message: messages_pb2.Message) -> Iterator[Item]:
        """Tell of a whole message what no delta has told."""
        self._scene.note(message)
        match message.role:
            case messages_pb2.ROLE_TOOL:
                yield from items_of(message, frozenset(self._scene.hidden_returns))
            case messages_pb2.ROLE_ASSISTANT:
                self._spoken.setdefault(message.id, _Spoken(message.step_id, asks=False))
                for part in message.content:
                    if part.WhichOneof("kind") in {"redacted_reasoning", "omitted_reasoning"}:
                        yield self._piece(message.id, "hidden_reasoning_message", **hidden_json([part]))
                    elif part.signature:
                        yield self._piece(message.id, "reasoning_message", **reasoning_json("", part.signature))
            case _:
                pass
