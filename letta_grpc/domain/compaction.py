"""Compaction: which messages leave a context that grows too long, and what stands there in their place.

Rule: no cut parts a call from its return. A cut that parts a user's words from their answer is made only where no other helps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from letta_grpc.domain.context import estimate_message_tokens
from letta_grpc.domain.ids import MessageId, RunId
from letta_grpc.domain.messages import ImagePart, Message, Role, TextPart

# The share of the window that a context may fill before it is compacted.
FULL_SHARE = 0.9
# The share of the window that the kept messages may fill, after the first, second and third compaction in a row.
KEPT_SHARES = (0.3, 0.1, 0.0)
# What leaves must be worth a summary: otherwise a context whose instructions fill the window would be compacted at each step.
_WORTHWHILE_SHARE = 0.05
# The share of the window that a summary may fill.
_SUMMARY_SHARE = 0.1
# How many characters of one message the transcript has.
_MESSAGE_CHARACTERS = 4000
_BYTES_PER_TOKEN = 4

SUMMARIZER = """\
You keep the memory of a long conversation between a user and an assistant. Its oldest part is about to leave the assistant's \
sight; what you write stands in its place. Write down what the assistant needs to go on as if it had seen all of it: what the \
user wants and has said about themself, what was decided and promised, facts, names, numbers and identifiers exactly as they \
were given, what tools were used for and what they found, what went wrong, and what is still to be done. If there is an \
earlier summary, take over what still matters. Do not answer anybody, do not comment. Write in the conversation's language."""

_LEFT_OUT = "[Older messages are left out here.]"
_BY_MODEL = (
    "[The conversation so far, in short. {count} older messages are no longer shown; conversation_search finds them.]\n\n"
)
_BY_RULE = "[{count} older messages of this conversation are no longer shown; conversation_search finds them.]\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What leaves a context, the oldest first, and what stays. `summary` is the earlier summary, which stood before them."""

    summary: Message | None
    dropped: tuple[Message, ...]
    kept: tuple[Message, ...]

    @property
    def kept_from(self) -> MessageId | None:
        """The first message that stays."""
        return self.kept[0].id if self.kept else None


def cut(messages: Sequence[Message], kept_tokens: int, *, may_keep_none: bool = False) -> Cut | None:
    """Return the cut that keeps the newest messages, about as many as `kept_tokens` hold; None where nothing can leave.

    At least the newest turn of the loop stays, whatever it costs, unless `may_keep_none`.
    """
    summary = messages[0] if messages and messages[0].role is Role.SUMMARY else None
    history = messages[1:] if summary else messages
    places = [place for place in _places(history) if place > 0]
    if may_keep_none and history:
        places.append(len(history))
    if not places:
        return None
    place = _best(history, places, kept_tokens)
    return Cut(summary=summary, dropped=tuple(history[:place]), kept=tuple(history[place:]))


def is_worthwhile(cut: Cut, window: float) -> bool:
    """Say whether enough leaves for a summary of it to be a gain."""
    return tokens_of(cut.dropped) > window * _WORTHWHILE_SHARE


def tokens_of(messages: Sequence[Message]) -> int:
    """Return a rough count of what messages cost in a context."""
    return sum(estimate_message_tokens(message) for message in messages)


def _best(history: Sequence[Message], places: Sequence[int], kept_tokens: int) -> int:
    """Return the first place behind which everything fits: one before somebody's words if there is one, otherwise any."""
    behind, costs = 0, [0] * (len(history) + 1)
    for index in range(len(history) - 1, -1, -1):
        behind += estimate_message_tokens(history[index])
        costs[index] = behind
    fitting = [place for place in places if costs[place] <= kept_tokens] or [places[-1]]
    return next((place for place in fitting if place < len(history) and _opens_turn(history, place)), fitting[0])


def _opens_turn(history: Sequence[Message], place: int) -> bool:
    return _is_said(history[place]) and (place == 0 or not _is_said(history[place - 1]))


def _is_said(message: Message) -> bool:
    """Say whether a message came from outside. What the server tells the model within a turn belongs to a step."""
    return message.role in (Role.USER, Role.SYSTEM) and message.step_id is None


def _places(history: Sequence[Message]) -> Iterator[int]:
    """Yield where a cut parts no call from its return, and no message from others of its step that are shown as one."""
    last_return = {r.tool_call_id: at for at, m in enumerate(history) if m.role is Role.TOOL for r in m.tool_returns}
    open_until, turn = -1, None
    for place, message in enumerate(history):
        asks = message.role is Role.APPROVAL and bool(message.tool_calls)
        joins = turn is not None and message.step_id == turn if asks else message.role in (Role.TOOL, Role.APPROVAL)
        if not joins:
            turn = message.step_id if asks or message.role is Role.ASSISTANT else None
            if place > open_until:
                yield place
        open_until = max([open_until, *(last_return.get(call.id, -1) for call in message.tool_calls)])


def transcript(cut: Cut, window: int, share: float) -> str:
    """Return what the summary is written from: the earlier summary, then what leaves, as much as has room of the newest."""
    room = int(window * share) * _BYTES_PER_TOKEN
    earlier = f"Earlier summary:\n{_middle_out(_body(cut.summary), room // 3)}\n\n" if cut.summary else ""
    room -= len(earlier)
    lines: list[str] = []
    for message in reversed(cut.dropped):
        line = _line(message)
        room -= len(line.encode(errors="replace")) + 1
        if room < 0:
            # Of the newest there is something in any case.
            lines += [_LEFT_OUT] if lines else [_middle_out(line, max(0, room + len(line))), _LEFT_OUT]
            break
        lines.append(line)
    return earlier + "\n".join(reversed(lines))


def _line(message: Message) -> str:
    words = [_spoken(message)] if message.content else []
    words += [f"(calls {call.name} with {_middle_out(call.arguments, _MESSAGE_CHARACTERS)})" for call in message.tool_calls]
    words += [_middle_out(returned.text, _MESSAGE_CHARACTERS) for returned in message.tool_returns]
    return f"{message.role.value}: {' '.join(word for word in words if word)}"


def _spoken(message: Message) -> str:
    images = sum(isinstance(part, ImagePart) for part in message.content)
    text = _middle_out(message.text, _MESSAGE_CHARACTERS)
    return f"{text} [{images} pictures]" if images else text


def _middle_out(text: str, room: int) -> str:
    if len(text) <= room:
        return text
    return f"{text[: room // 2]} […] {text[len(text) - room // 2 :]}"


def summary_by_model(cut: Cut, written: str, window: int) -> tuple[TextPart, ...]:
    """Return the content of the summary that a model wrote; what is longer than a summary may be loses its middle."""
    return _content(_BY_MODEL, cut, _middle_out(written.strip(), _summary_characters(window)))


def summary_by_rule(cut: Cut, window: int) -> tuple[TextPart, ...]:
    """Return the content of a summary that no model wrote: how much left, the earlier summary, the last words of the user."""
    room = _summary_characters(window) // 2
    asked = next((message.text for message in reversed(cut.dropped) if message.role is Role.USER and _is_said(message)), "")
    body = [_middle_out(_body(cut.summary), room)] if cut.summary else []
    body += [f"The last that the user said in them: {_middle_out(asked, room)}"] if asked else []
    return _content(_BY_RULE, cut, "\n\n".join(body))


def _summary_characters(window: int) -> int:
    return int(window * _SUMMARY_SHARE) * _BYTES_PER_TOKEN


def _content(opening: str, cut: Cut, body: str) -> tuple[TextPart, ...]:
    return (TextPart(opening.format(count=len(cut.dropped))), TextPart(body))


def _body(summary: Message | None) -> str:
    """Return what a summary says, without the line that says what it is."""
    parts = [part.text for part in summary.content if isinstance(part, TextPart)] if summary else []
    return "\n".join(parts[1:] if len(parts) > 1 else parts)


def summary_message(
    content: tuple[TextPart, ...], *, id_: MessageId, run_id: RunId, model: str | None, time: datetime
) -> Message:
    """Return the message that stands in the context in place of what left."""
    return Message(id=id_, role=Role.SUMMARY, content=content, run_id=run_id, model=model, create_time=time)
