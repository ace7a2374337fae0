"""From what is stored of a conversation to what a model is shown.

Rule: in what a model is shown every tool call has its one return, in a tool message right behind the message that calls, in
the order of the calls, and there is no other return. Providers refuse anything else, for ever after.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from letta_grpc.domain.ids import MessageId
from letta_grpc.domain.messages import (
    Approve,
    ContentPart,
    ImagePart,
    Message,
    ReasoningPart,
    RedactedReasoningPart,
    Role,
    TextPart,
    ToolCall,
    ToolReturn,
    ToolReturnStatus,
)

LOST_RETURN = "Error: the server stopped before this tool returned. It may or may not have run."
UNANSWERED_RETURN = "Error: this tool was not run: nobody has answered whether it may."


@dataclass(slots=True)
class _Turn:
    """What the model said at once: text and all calls of a step, and what came back so far."""

    said: Message
    calls: dict[str, ToolCall] = field(default_factory=dict)
    # The calls that need an answer and have none.
    unanswered: set[str] = field(default_factory=set)
    returns: dict[str, ToolReturn] = field(default_factory=dict)
    brought_by: list[Message] = field(default_factory=list)

    def add_calls(self, message: Message) -> None:
        """Take in calls of the step; one that repeats an id would get no return of its own and is left out."""
        for call in message.tool_calls:
            if call.id not in self.calls:
                self.calls[call.id] = call
                if message.role is Role.APPROVAL:
                    self.unanswered.add(call.id)

    def add_returns(self, message: Message, returns: Iterable[ToolReturn]) -> None:
        """Take in what came back; the first return of a call counts."""
        for returned in returns:
            self.returns.setdefault(returned.tool_call_id, returned)
        self.brought_by.append(message)

    def messages(self) -> Iterable[Message]:
        """Yield the turn as the model is shown it; nothing if none of it can be shown."""
        said = self._shown()
        if said.content or said.tool_calls:
            yield said
        if self.calls:
            yield self._returned()

    def _shown(self) -> Message:
        said, calls = _heard(self.said), tuple(self.calls.values())
        content = tuple(part for part in said.content if _is_shown(part) or (calls and _is_thought(part)))
        if said.role is Role.ASSISTANT and content == said.content and calls == said.tool_calls:
            return said
        return replace(said, role=Role.ASSISTANT, content=content, tool_calls=calls)

    def _returned(self) -> Message:
        said, brought_by = self.said, self.brought_by
        returns = tuple(self.returns.get(call_id) or self._missing(call_id) for call_id in self.calls)
        only = brought_by[0] if len(brought_by) == 1 else None
        if only and only.tool_returns == returns and not (only.content or only.tool_calls or only.decisions):
            return only
        return Message(
            id=brought_by[0].id if brought_by else MessageId(f"{said.id}-returns"),
            role=Role.TOOL,
            tool_returns=returns,
            run_id=brought_by[0].run_id if brought_by else said.run_id,
            step_id=said.step_id,
            create_time=max((message.create_time for message in brought_by), default=said.create_time),
        )

    def _missing(self, call_id: str) -> ToolReturn:
        text = UNANSWERED_RETURN if call_id in self.unanswered else LOST_RETURN
        return ToolReturn(tool_call_id=call_id, status=ToolReturnStatus.ERROR, text=text)


def make_whole(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Return what a model is shown of stored messages. What is whole already stays as it is.

    The assistant's message and the calls of its step that needed an answer are one turn, with the arguments as they were
    approved; returns that came later stand right behind it; a call without a return gets an error return; answers and returns
    without a call are left out. A summary is shown as a user's message. Reasoning stays if its provider can verify it, and
    beside calls, where some providers want to have it back.
    """
    shown: list[Message | _Turn] = []
    turns: dict[str, _Turn] = {}
    last: _Turn | None = None
    for message in messages:
        match message:
            case Message(role=Role.TOOL):
                _take_returns(message, turns)
            case Message(role=Role.APPROVAL, tool_calls=()):
                _take_decisions(message, turns)
            case Message(role=Role.ASSISTANT | Role.APPROVAL):
                if not (last and _continues(message, last)):
                    last = _Turn(message)
                    shown.append(last)
                last.add_calls(message)
                turns |= dict.fromkeys(last.calls, last)
            case _:
                last = None
                shown.append(message)
    return tuple(part for entry in shown for part in (entry.messages() if isinstance(entry, _Turn) else (_heard(entry),)))


def _continues(message: Message, turn: _Turn) -> bool:
    return message.role is Role.APPROVAL and message.step_id is not None and message.step_id == turn.said.step_id


def _take_decisions(answer: Message, turns: dict[str, _Turn]) -> None:
    for decision in answer.decisions:
        if turn := turns.get(decision.tool_call_id):
            turn.unanswered.discard(decision.tool_call_id)
            if isinstance(decision, Approve) and decision.arguments is not None:
                call = turn.calls[decision.tool_call_id]
                turn.calls[call.id] = replace(call, arguments=decision.arguments)


def _take_returns(message: Message, turns: dict[str, _Turn]) -> None:
    by_turn: dict[int, tuple[_Turn, list[ToolReturn]]] = {}
    for returned in message.tool_returns:
        turn = turns.get(returned.tool_call_id)
        if turn and returned.tool_call_id not in turn.returns:
            by_turn.setdefault(id(turn), (turn, []))[1].append(returned)
    for turn, returns in by_turn.values():
        turn.add_returns(message, returns)


def _heard(message: Message) -> Message:
    """Return a message without returns and decisions, and without calls unless it is the model's: they stand elsewhere."""
    if message.role is Role.SUMMARY:
        message = replace(message, role=Role.USER)
    spoken = message.role in (Role.ASSISTANT, Role.APPROVAL)
    if message.tool_returns or message.decisions or (message.tool_calls and not spoken):
        message = replace(message, tool_calls=message.tool_calls if spoken else (), tool_returns=(), decisions=())
    return message


def _is_shown(part: ContentPart) -> bool:
    match part:
        case TextPart(text=text):
            return bool(text)
        case ReasoningPart(signature=signature):
            return bool(signature)
        case ImagePart() | RedactedReasoningPart():
            return True
        case _:
            return False


def _is_thought(part: ContentPart) -> bool:
    return isinstance(part, ReasoningPart) and bool(part.text)
