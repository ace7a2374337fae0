"""From events to messages: what a run has said so far."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from letta_grpc.v1 import events_pb2, messages_pb2, runs_pb2


@dataclass(slots=True)
class ToolOutput:
    """What a tool has written up to now."""

    stdout: str = ""
    stderr: str = ""


@dataclass(slots=True)
class DraftCall:
    """A tool call whose arguments are still coming."""

    id: str
    name: str
    arguments: list[str] = field(default_factory=list[str])

    def as_call(self) -> messages_pb2.ToolCall:
        """Return what has come so far as a call."""
        return messages_pb2.ToolCall(id=self.id, name=self.name, arguments="".join(self.arguments))


@dataclass(slots=True)
class Draft:
    """A message that is still being written: its deltas.

    They are joined when somebody looks. A protobuf message whose string grows keeps every length that it ever had: arguments
    of 250 kB, a few characters at a time, would take gigabytes.
    """

    role: "messages_pb2.Role.ValueType" = messages_pb2.ROLE_ASSISTANT
    text: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    reasoning: list[str] = field(default_factory=list[str])
    calls: dict[int, DraftCall] = field(default_factory=dict[int, DraftCall])

    def as_message(self, message_id: str) -> messages_pb2.Message:
        """Return what has come so far as a message."""
        reasoning = "".join(self.reasoning)
        parts = [messages_pb2.ContentPart(reasoning=reasoning)] if reasoning else []
        parts += [messages_pb2.ContentPart(text="".join(text)) for _, text in sorted(self.text.items())]
        return messages_pb2.Message(
            id=message_id,
            role=self.role,
            content=parts,
            tool_calls=[call.as_call() for _, call in sorted(self.calls.items())],
        )


class Accumulator:
    """Folds events, each given once and in order.

    A completed message replaces its deltas; a restarted step takes back what its void messages had said.

    Rule: what is kept is a copy. A part of a protobuf message keeps all of it: with a run of 300 bytes a whole response would
    stay, which takes half a megabyte where it has replayed thousands of deltas.
    """

    def __init__(self) -> None:
        self.run: runs_pb2.Run | None = None
        self.tool_returns: dict[str, messages_pb2.ToolReturn] = {}
        # By call. A tool that another server runs once more begins with nothing.
        self.tool_output: dict[str, ToolOutput] = {}
        self.compactions: list[events_pb2.ContextCompacted] = []
        self.child_runs: list[events_pb2.ChildRunStarted] = []
        self._asked: Sequence[runs_pb2.PendingAction] = ()
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
    def pending_actions(self) -> Sequence[runs_pb2.PendingAction]:
        """The calls for whose answers the run ended, or is about to end."""
        return self._asked or (self.run.pending_actions if self.run else ())

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
                self._draft(delta.message_id).text.setdefault(delta.content_index, []).append(delta.text)
            case "reasoning_delta":
                self._draft(event.reasoning_delta.message_id).reasoning.append(event.reasoning_delta.text)
            case "tool_call_delta":
                self._add_arguments(event.tool_call_delta)
            case "message_started":
                self._draft(event.message_started.message_id).role = event.message_started.role
            case "message_completed":
                message = deepcopy(event.message_completed.message)
                self._messages[message.id] = message
            case "step_restarted":
                for message_id in event.step_restarted.void_message_ids:
                    self._messages.pop(message_id, None)
            case _:
                self._add_of_tools(event)

    def _add_of_tools(self, event: events_pb2.RunEvent) -> None:
        match event.WhichOneof("payload"):
            case "tool_execution_started":
                self.tool_output[event.tool_execution_started.tool_call_id] = ToolOutput()
            case "tool_output_delta":
                self._add_output(event.tool_output_delta)
            case "tool_return":
                self.tool_returns[event.tool_return.tool_call_id] = deepcopy(event.tool_return)
            case "child_run_started":
                self.child_runs.append(deepcopy(event.child_run_started))
            case _:
                self._add_of_run(event)

    def _add_of_run(self, event: events_pb2.RunEvent) -> None:
        match event.WhichOneof("payload"):
            case "run_started":
                # The next run of a turn: what was asked before has its answer.
                self.run, self._asked = deepcopy(event.run_started.run), ()
            case "run_finished":
                self.run = deepcopy(event.run_finished.run)
            case "approval_request":
                self._asked = deepcopy(event.approval_request).actions
            case "context_compacted":
                self.compactions.append(deepcopy(event.context_compacted))
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
        call = calls.setdefault(delta.call_index, DraftCall(delta.tool_call_id, delta.name))
        call.arguments.append(delta.arguments)

    def _add_output(self, delta: events_pb2.ToolOutputDelta) -> None:
        output = self.tool_output.setdefault(delta.tool_call_id, ToolOutput())
        if delta.stream == events_pb2.OUTPUT_STREAM_STDERR:
            output.stderr += delta.text
        else:
            output.stdout += delta.text


def text_of(message: messages_pb2.Message) -> str:
    """Return a message's plain text, without its reasoning."""
    return "".join(part.text for part in message.content)
