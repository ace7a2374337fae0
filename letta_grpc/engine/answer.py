"""A model's answer while it comes: chunks go in, events come out, and in the end its messages."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import assert_never

from letta_grpc.domain.approvals import ActionKind
from letta_grpc.domain.arguments import merged
from letta_grpc.domain.completions import (
    HiddenReasoningChunk,
    ModelChunk,
    ModelFinished,
    ReasoningChunk,
    ReasoningSealChunk,
    ReasoningSummaryChunk,
    TextChunk,
    ToolCallChunk,
)
from letta_grpc.domain.errors import InvalidModelOutput
from letta_grpc.domain.events import MessageStarted, ReasoningDelta, RunEvent, TextDelta, ToolCallDelta
from letta_grpc.domain.ids import MessageId, RunId, StepId, new_message_id, new_tool_call_id, previous_message_id
from letta_grpc.domain.memgpt import SEND_MESSAGE, spoken
from letta_grpc.domain.messages import (
    ContentPart,
    Message,
    OmittedReasoningPart,
    ReasoningPart,
    RedactedReasoningPart,
    Role,
    SummarizedReasoningPart,
    TextPart,
    ToolCall,
)
from letta_grpc.domain.usage import Usage
from letta_grpc.engine.speech import Said, Speech
from letta_grpc.ports.partial_json import PartialJson

# The stored message must fit into one event of 2 MiB, even if each character takes four bytes.
MAX_ANSWER_CHARACTERS = 400_000
# No tool has a longer name, and no provider needs longer ids.
_MAX_NAME_CHARACTERS = 256
# What a call counts for beside its arguments: its name, two ids and their framing.
_CALL_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Admission:
    """What is decided about a call when it is announced: what it waits for, and the arguments that a rule gives it.

    A call that is `refused` breaks a rule: it waits for nothing, and what it would say is not said.
    """

    waits_for: ActionKind | None = None
    arguments: str = ""
    refused: bool = False


@dataclass(slots=True)
class _Call:
    """A tool call whose arguments are still coming. `id` is empty until the name is known and the call can be announced.

    It will stand in the message `message_id`, at `position` among its calls.
    """

    message_id: MessageId
    position: int = 0
    provider_id: str | None = None
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    # Those that no event has told yet.
    untold: list[str] = field(default_factory=list)
    given: str = ""
    speech: Speech | None = None


# What comes in pieces.
_Words = type[TextPart] | type[ReasoningPart] | type[SummarizedReasoningPart]


@dataclass(slots=True)
class _Part:
    """A part of the content. `said_by` is the id of the call that says it, if one does: each is a part of its own.

    One with a `seal`, or one that came `whole`, is not continued.
    """

    kind: _Words
    said_by: str = ""
    texts: list[str] = field(default_factory=list)
    seal: str = ""
    whole: RedactedReasoningPart | OmittedReasoningPart | None = None

    def continues(self, kind: _Words, said_by: str) -> bool:
        """Say whether more of this kind belongs to this part."""
        return (self.kind, self.said_by) == (kind, said_by) and not (self.seal or self.whole)

    def content(self) -> ContentPart:
        """Return the part as it is stored."""
        if self.whole:
            return self.whole
        text = "".join(self.texts)
        return ReasoningPart(text, self.seal) if self.seal else self.kind(text)


class Answer:
    """Accumulates one answer. Ids are the same in its events and in its messages.

    Text, reasoning and calls that run at once make the assistant's message; calls that `admit` says wait for something stand
    under the id below in an approval message. With `partial_json` calls are how the model thinks and speaks: what they say is
    told as text and reasoning, and plain words are taken as a call that says them.

    `known_call_ids` are those of the conversation, None where nobody knows them all: then none of the provider's is used.
    """

    def __init__(
        self,
        run_id: RunId,
        step_id: StepId,
        model: str,
        known_call_ids: Iterable[str] | None,
        *,
        admit: Callable[[str], Admission],
        partial_json: PartialJson | None = None,
    ) -> None:
        self.message_id: MessageId = new_message_id()
        self.finish: ModelFinished | None = None
        self._run_id = run_id
        self._step_id = step_id
        self._model = model
        self._known_call_ids = None if known_call_ids is None else set(known_call_ids)
        self._admit = admit
        self._partial_json = partial_json
        self._started: set[MessageId] = set()
        self._parts: list[_Part] = []
        self._calls: dict[int, _Call] = {}
        self._announced: list[_Call] = []
        self._characters = 0

    @property
    def asking_id(self) -> MessageId:
        """The id of the message that holds the calls that wait."""
        return previous_message_id(self.message_id)

    @property
    def usage(self) -> Usage:
        """What the answer cost, as one step."""
        return replace(self.finish.usage if self.finish else Usage(), step_count=1)

    @property
    def text(self) -> str:
        """What was said in plain words so far."""
        return "".join(text for part in self._parts if part.kind is TextPart for text in part.texts)

    def take(self, chunks: Sequence[ModelChunk]) -> list[RunEvent]:
        """Take in what came in one read; return its events. Raises InvalidModelOutput for an answer without end."""
        events: list[RunEvent] = []
        for chunk in chunks:
            match chunk:
                case TextChunk(text=text):
                    self._take_text(text, events)
                case ReasoningChunk(text=text):
                    self._take_reasoning(text, events)
                case ReasoningSummaryChunk(text=text):
                    self._take_reasoning(text, events, SummarizedReasoningPart)
                case ReasoningSealChunk(signature=signature):
                    self._seal(signature, events)
                case HiddenReasoningChunk(data=data):
                    self._take_hidden(data, events)
                case ToolCallChunk():
                    self._take_call(chunk, events)
                case ModelFinished():
                    self._finish_speech(events)
                    self.finish = chunk
                case _:
                    assert_never(chunk)
        if self._characters > MAX_ANSWER_CHARACTERS:
            self._shorten()
            raise InvalidModelOutput(f"The model's answer is longer than {MAX_ANSWER_CHARACTERS} characters.")
        return events

    def _take_text(self, text: str, events: list[RunEvent], said_by: str = "") -> None:
        self._start(self.message_id, events)
        events.append(TextDelta(self.message_id, self._extend(TextPart, text, said_by), text))

    def _take_reasoning(self, text: str, events: list[RunEvent], kind: _Words = ReasoningPart, said_by: str = "") -> None:
        self._start(self.message_id, events)
        self._extend(kind, text, said_by)
        events.append(ReasoningDelta(self.message_id, text))

    def _seal(self, signature: str, events: list[RunEvent]) -> None:
        self._start(self.message_id, events)
        self._extend(ReasoningPart, "")
        self._parts[-1].seal = signature
        self._characters += len(signature)
        events.append(ReasoningDelta(self.message_id, signature=signature))

    def _take_hidden(self, data: str | None, events: list[RunEvent]) -> None:
        self._start(self.message_id, events)
        whole = OmittedReasoningPart() if data is None else RedactedReasoningPart(data)
        self._parts.append(_Part(ReasoningPart, whole=whole))
        self._characters += 1 + len(data or "")
        events.append(ReasoningDelta(self.message_id, hidden=whole))

    def _start(self, message_id: MessageId, events: list[RunEvent]) -> None:
        if message_id not in self._started:
            self._started.add(message_id)
            role = Role.ASSISTANT if message_id == self.message_id else Role.APPROVAL
            events.append(MessageStarted(message_id, self._step_id, role))

    def _shorten(self) -> None:
        """Keep only as much as may be stored: one chunk can have any size. A proof that would be cut is left out."""
        room = MAX_ANSWER_CHARACTERS
        self._parts = [part for part in self._parts if not part.whole]
        for part in self._parts:
            kept = "".join(part.texts)[:room]
            part.texts[:], part.seal = [kept], ""
            room -= len(kept)

    def _extend(self, kind: _Words, text: str, said_by: str = "") -> int:
        if not self._parts or not self._parts[-1].continues(kind, said_by):
            # The framing of a part that follows another one counts too: there can be as many parts as characters.
            self._characters += bool(self._parts)
            self._parts.append(_Part(kind, said_by))
        self._parts[-1].texts.append(text)
        self._characters += len(text)
        return len(self._parts) - 1

    def _take_call(self, chunk: ToolCallChunk, events: list[RunEvent]) -> None:
        call = self._call(chunk.index)
        call.provider_id = call.provider_id or _bounded(chunk.id)
        call.arguments.append(chunk.arguments)
        self._characters += len(chunk.arguments)
        arguments = chunk.arguments
        if not call.id:
            call.name = _bounded(chunk.name) or ""
            if not call.name:
                return
            self._announce(call, events)
            arguments = "".join(call.arguments)
        if call.speech:
            self._tell(call, call.speech.feed(arguments), events)
        # What is told as text isn't told as arguments too.
        if not call.speech or not call.speech.speaks:
            call.untold.append(arguments)
            if not call.speech or not call.speech.may_think_first:
                self._show(call, events)

    @staticmethod
    def _show(call: _Call, events: list[RunEvent]) -> None:
        events.append(ToolCallDelta(call.message_id, call.position, call.id, call.name, "".join(call.untold)))
        call.untold.clear()

    def _announce(self, call: _Call, events: list[RunEvent]) -> None:
        call.id = self._unique(call.provider_id)
        admission = self._admit(call.name)
        call.given = admission.arguments
        if admission.waits_for:
            call.message_id = self.asking_id
        call.position = sum(other.message_id == call.message_id for other in self._announced)
        self._announced.append(call)
        self._start(call.message_id, events)
        if self._partial_json:
            is_clients = admission.waits_for is ActionKind.CLIENT_TOOL
            speaks = call.name == SEND_MESSAGE and not (admission.refused or is_clients)
            call.speech = Speech(self._partial_json, call.given, speaks=speaks)
            self._tell(call, call.speech.given, events)

    def _tell(self, call: _Call, said: Iterable[Said], events: list[RunEvent]) -> None:
        for kind, text in said:
            if kind is TextPart:
                self._take_text(text, events, call.id)
            else:
                self._take_reasoning(text, events, said_by=call.id)

    def _finish_speech(self, events: list[RunEvent]) -> None:
        for call in self._announced:
            if call.speech:
                self._tell(call, call.speech.finish(), events)
            if call.untold:
                self._show(call, events)
        words = self.text
        if self._partial_json and words and not self._announced:
            # A call of its own: one that never got a name leaves its arguments behind.
            arguments = spoken(words)
            self._characters += _CALL_CHARACTERS + len(arguments)
            call_id = self._unique(None)
            self._announced.append(_Call(self.message_id, id=call_id, name=SEND_MESSAGE, arguments=[arguments]))

    def _call(self, index: int) -> _Call:
        call = self._calls.get(index)
        if call is None:
            call = self._calls[index] = _Call(self.message_id)
            self._characters += _CALL_CHARACTERS
        return call

    def _unique(self, provider_id: str | None) -> str:
        # Some providers number the calls of each answer anew, or give none: returns could not be told apart.
        if not provider_id or self._known_call_ids is None or provider_id in self._known_call_ids:
            return new_tool_call_id()
        self._known_call_ids.add(provider_id)
        return provider_id

    def messages(self, time: datetime, *, with_calls: bool = True) -> tuple[Message, ...]:
        """Return the messages so far; those with nothing in them are left out.

        The assistant's comes first, then the one whose calls wait. An answer that was cut is kept without its calls.
        """
        content = tuple(part.content() for part in self._parts)
        calls = self._announced if with_calls else []
        free = tuple(self._tool_call(call) for call in calls if call.message_id == self.message_id)
        asked = tuple(self._tool_call(call) for call in calls if call.message_id != self.message_id)
        messages = []
        if content or free:
            messages.append(self._message(self.message_id, Role.ASSISTANT, content, free, time))
        if asked:
            messages.append(self._message(self.asking_id, Role.APPROVAL, (), asked, time))
        return tuple(messages)

    def _message(
        self, id_: MessageId, role: Role, content: tuple[ContentPart, ...], calls: tuple[ToolCall, ...], time: datetime
    ) -> Message:
        return Message(
            id=id_,
            role=role,
            content=content,
            tool_calls=calls,
            run_id=self._run_id,
            step_id=self._step_id,
            model=self._model,
            create_time=time,
        )

    @staticmethod
    def _tool_call(call: _Call) -> ToolCall:
        replaced = call.provider_id if call.provider_id and call.provider_id != call.id else None
        arguments = merged("".join(call.arguments), call.given)
        return ToolCall(id=call.id, name=call.name, arguments=arguments, provider_id=replaced)


def _bounded(name: str | None) -> str | None:
    """Return a name or an id, None for one that is too long to be any."""
    return name if name and len(name) <= _MAX_NAME_CHARACTERS else None
