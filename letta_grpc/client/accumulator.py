"""From events to messages: what a run has said so far."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from letta_grpc.v1 import events_pb2, messages_pb2, runs_pb2


@dataclass(slots=True)
class Draft:
    """A message that is still being written: the sum of its deltas."""

    text: dict[int, str] = field(default_factory=dict[int, str])
    reasoning: str = ""
    calls: dict[int, messages_pb2.ToolCall] = field(default_factory=dict[int, messages_pb2.ToolCall])

    def as_message(self, message_id: str) -> messages_pb2.Message:
        """Return what there is as an assistant message."""
        parts = [messages_pb2.ContentPart(reasoning=self.reasoning)] if self.reasoning else []
        parts += [messages_pb2.ContentPart(text=text) for _, text in sorted(self.text.items())]
        return messages_pb2.Message(
            id=message_id,
            role=messages_pb2.ROLE_ASSISTANT,
            content=parts,
            tool_calls=[call for _, call in sorted(self.calls.items())],
        )


class Accumulator:
    """Folds events, each given once and in order.

    A completed message replaces its deltas; a restarted step takes back what its void messages had said.
    """

    def __init__(self) -> None:
        self.run: runs_pb2.Run | None = None
        self.tool_returns: dict[str, messages_pb2.ToolReturn] = {}
        # In the order of their first sign of life: an unfinished message keeps its place when it is completed.
        self._messages: dict[str, Draft | messages_pb2.Message] = {}

    @property
    def messages(self) -> Sequence[messages_pb2.Message]:
        """The completed messages, in order."""
        return [message for message in self._messages.values() if isinstance(message, messages_pb2.Message)]

    @property
    def drafts(self) -> Sequence[messages_pb2.Message]:
        """What is being written, as far as it has come."""
        return [draft.as_message(key) for key, draft in self._messages.items() if isinstance(draft, Draft)]

    @property
    def tool_calls(self) -> Sequence[messages_pb2.ToolCall]:
        """The calls of the completed messages, in order."""
        return [call for message in self.messages for call in message.tool_calls]

    @property
    def text(self) -> str:
        """The texts of the completed assistant messages that have any, in order, with a blank line between them."""
        texts = (text_of(message) for message in self.messages if message.role == messages_pb2.ROLE_ASSISTANT)
        return "\n\n".join(text for text in texts if text)

    def add(self, event: events_pb2.RunEvent) -> None:
        """Fold the next event in. Kinds without a meaning for messages, unknown ones too, change nothing."""
        match event.WhichOneof("payload"):
            case "text_delta":
                delta = event.text_delta
                texts = self._draft(delta.message_id).text
                texts[delta.content_index] = texts.get(delta.content_index, "") + delta.text
            case "reasoning_delta":
                self._draft(event.reasoning_delta.message_id).reasoning += event.reasoning_delta.text
            case "tool_call_delta":
                self._add_arguments(event.tool_call_delta)
            case "message_started":
                self._draft(event.message_started.message_id)
            case "message_completed":
                self._messages[event.message_completed.message.id] = event.message_completed.message
            case "tool_return":
                self.tool_returns[event.tool_return.tool_call_id] = event.tool_return
            case "step_restarted":
                for message_id in event.step_restarted.void_message_ids:
                    self._messages.pop(message_id, None)
            case "run_started" | "run_finished" as kind:
                self.run = getattr(event, kind).run
            case _:
                pass

    def _draft(self, message_id: str) -> Draft:
        match self._messages.setdefault(message_id, Draft()):
            case Draft() as draft:
                return draft
            case _:
                # A delta behind its completed message has nothing to add.
                return Draft()

    def _add_arguments(self, delta: events_pb2.ToolCallDelta) -> None:
        calls = self._draft(delta.message_id).calls
        call = calls.setdefault(delta.call_index, messages_pb2.ToolCall(id=delta.tool_call_id, name=delta.name))
        call.arguments += delta.arguments


def text_of(message: messages_pb2.Message) -> str:
    """Return a message's plain text, without its reasoning."""
    return "".join(part.text for part in message.content)
