"""The mode `stream_steps`: whole messages, each as it is stored."""

from letta_grpc.gateway.faces.letta.modes import Scene, View, compaction_items
from letta_grpc.gateway.faces.letta.shapes.messages import Item, items_of
from letta_grpc.v1 import events_pb2, messages_pb2

# Who speaks in messages that are not told: the caller, who knows them, and the server to the model within a turn.
_SAID = (messages_pb2.ROLE_USER, messages_pb2.ROLE_SYSTEM)


class StepsMode:
    """Tells messages."""

    def __init__(self, run_id: str, view: View) -> None:
        self._scene = Scene(run_id, set(view.hidden_returns))
        self._view = view

    def of(self, event: events_pb2.RunEvent) -> list[Item]:
        """Return what an event becomes."""
        match event.WhichOneof("payload"):
            case "message_completed" if event.message_completed.message.role not in _SAID:
                message = event.message_completed.message
                self._scene.note(message)
                items = items_of(message, frozenset(self._scene.hidden_returns))
            case "context_compacted" if self._view.compactions:
                items = compaction_items(event.context_compacted)
            case _:
                return []
        return self._scene.numbered(items, event)
