"""How agents of the memgpt kind speak: by tools alone.

Every tool takes two arguments more: what the model thinks, and whether it wants to go on. `send_message` says something to the
user. A call is kept as the model wrote it, and beside it, as parts of the message, what was thought and said; the model is
shown the call alone.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from letta_grpc.domain.arguments import object_in, text_of
from letta_grpc.domain.completions import ToolDefinition
from letta_grpc.domain.context import local_time
from letta_grpc.domain.messages import ContentPart, Message, ReasoningPart, TextPart, ToolCall

THINKING = "thinking"
HEARTBEAT = "request_heartbeat"
SEND_MESSAGE = "send_message"
MESSAGE = "message"

# What is told of a call of `send_message` that says nothing.
SILENT = f"Error: nothing was said. {SEND_MESSAGE} takes a JSON object with: {MESSAGE}, a text."

_HIDDEN = "[This is an automated system message hidden from the user]"
WANTED_HEARTBEAT = f"{_HIDDEN} Function called using request_heartbeat=true, returning control"
FAILED_HEARTBEAT = f"{_HIDDEN} Function call failed, returning control"

_THINKING_SCHEMA = {
    "type": "string",
    "description": "What you think before you act. It is not part of what you say to the user.",
}
_HEARTBEAT_SCHEMA = {
    "type": "boolean",
    "description": "true: you get control back after this call and can make another one. false: your turn ends here.",
}

SEND_MESSAGE_TOOL = ToolDefinition(
    name=SEND_MESSAGE,
    description="Say something to the user. This is the only way in which the user hears of you.",
    parameters=json.dumps(
        {
            "type": "object",
            "properties": {MESSAGE: {"type": "string", "description": "What you say, in the user's language."}},
            "required": [MESSAGE],
        }
    ),
    idempotent=True,
)


def extended(tool: ToolDefinition) -> ToolDefinition:
    """Return a tool as the model is told of it: with the argument for thinking first, and that for going on last.

    The tool that speaks to the user has none for going on; a model that wants to may still write it.
    """
    schema = object_in(tool.parameters) or {}
    own, required = schema.get("properties"), schema.get("required")
    properties = {THINKING: _THINKING_SCHEMA, **(own if isinstance(own, dict) else {})}
    names = [THINKING, *(required if isinstance(required, list) else [])]
    if tool.name != SEND_MESSAGE:
        properties[HEARTBEAT] = _HEARTBEAT_SCHEMA
        names.append(HEARTBEAT)
    schema = {**schema, "type": "object", "properties": properties, "required": names}
    return replace(tool, parameters=json.dumps(schema, ensure_ascii=False))


def as_run(call: ToolCall) -> ToolCall:
    """Return a call as its tool takes it: without the two arguments that every tool has."""
    members = object_in(call.arguments)
    if members is None:
        return call
    return replace(call, arguments=text_of({key: value for key, value in members.items() if key not in (THINKING, HEARTBEAT)}))


def wants_heartbeat(call: ToolCall) -> bool:
    """Say whether the model asked to go on after this call."""
    asked = (object_in(call.arguments) or {}).get(HEARTBEAT)
    return asked is True or (isinstance(asked, str) and asked.lower() == "true")


def spoken(text: str) -> str:
    """Return the arguments of the `send_message` call that a model's plain words are taken as."""
    return text_of({MESSAGE: text})


def heartbeat(reason: str, time: datetime, timezone: str) -> str:
    """Return the text of the message that gives the model control again."""
    return json.dumps({"type": "heartbeat", "reason": reason, "time": local_time(time, timezone)}, ensure_ascii=False)


def says_something(call: ToolCall, message: Message | None) -> bool:
    """Say whether a call of `send_message` has words, be they none, or its message has: cut ones, or plain ones beside it."""
    words = (object_in(call.arguments) or {}).get(MESSAGE)
    return isinstance(words, str) or (message is not None and bool(message.text))


def is_heard(call: ToolCall, message: Message) -> bool:
    """Say whether what a call of `send_message` says stands in the message, too."""
    words = (object_in(call.arguments) or {}).get(MESSAGE)
    return not words or not isinstance(words, str) or any(isinstance(p, TextPart) and p.text == words for p in message.content)


def as_shown(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Return a history as the model is shown it: what stands in a call does not stand beside it, too."""
    return tuple(_without_doubles(message) if message.tool_calls else message for message in messages)


def _without_doubles(message: Message) -> Message:
    thoughts, words = [], []
    for call in message.tool_calls:
        members = object_in(call.arguments) or {}
        thoughts.append(members.get(THINKING))
        words.append(members.get(MESSAGE) if call.name == SEND_MESSAGE else None)
    return replace(message, content=tuple(part for part in message.content if not _is_in(part, thoughts, words)))


def _is_in(part: ContentPart, thoughts: Sequence[object], words: Sequence[object]) -> bool:
    match part:
        case ReasoningPart(text=text):
            return text in thoughts
        case TextPart(text=text):
            return text in words
        case _:
            return False
