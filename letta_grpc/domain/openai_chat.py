"""Conversations in OpenAI's words: plain values, as they stand in the JSON of a chat completion."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from letta_grpc.domain.agents import AgentKind
from letta_grpc.domain.arguments import object_in
from letta_grpc.domain.context import package_return
from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.domain.history import make_whole
from letta_grpc.domain.ids import RunId, StepId, new_message_id, new_tool_call_id
from letta_grpc.domain.memgpt import MESSAGE, SEND_MESSAGE, spoken
from letta_grpc.domain.messages import (
    ContentPart,
    ImagePart,
    Message,
    Role,
    SpokenInput,
    TextPart,
    ToolCall,
    ToolReturn,
    ToolReturnStatus,
)

Json = dict[str, object]


def chat_messages(messages: Sequence[Message], *, timezone: str = "UTC", without_system: bool = False) -> list[Json]:
    """Return a history as a chat: what was said by `send_message` is the assistant's text, every other call has its return.

    `without_system` leaves out system messages, but for one that the history begins with. Other messages that the server
    wrote for a user, JSON with a `message`, are that message.
    """
    chat: list[Json] = []
    speaking: set[str] = set()
    for place, message in enumerate(make_whole(messages)):
        match message.role:
            case Role.TOOL:
                chat += _returns(message, speaking, timezone)
            case Role.ASSISTANT:
                speaking = {call.id for call in message.tool_calls if call.name == SEND_MESSAGE}
                chat += _assistant(message, speaking)
            case Role.SYSTEM if without_system and place > 0:
                pass
            case _:
                chat.append({"role": message.role.value, "content": _heard(message)})
    return chat


def _returns(message: Message, speaking: set[str], timezone: str) -> Iterator[Json]:
    for returned in message.tool_returns:
        if returned.tool_call_id not in speaking:
            content = package_return(returned, message.create_time, timezone)
            yield {"role": "tool", "tool_call_id": returned.tool_call_id, "content": content}


def _assistant(message: Message, speaking: set[str]) -> Iterator[Json]:
    text = "".join(_said(call) for call in message.tool_calls if call.id in speaking) or message.text
    calls = [_call(call) for call in message.tool_calls if call.id not in speaking]
    if calls:
        yield {"role": "assistant", "content": text or None, "tool_calls": calls}
    elif text or speaking:
        yield {"role": "assistant", "content": text}


def _said(call: ToolCall) -> str:
    said = (object_in(call.arguments) or {}).get(MESSAGE, "")
    return said if isinstance(said, str) else ""


def _call(call: ToolCall) -> Json:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _heard(message: Message) -> str | list[Json]:
    if any(isinstance(part, ImagePart) for part in message.content):
        return [_part(part) for part in message.content if isinstance(part, TextPart | ImagePart)]
    packaged = object_in(message.text) if message.text.strip().startswith("{") else None
    inner = (packaged or {}).get("message")
    return inner if isinstance(inner, str) and message.role is Role.USER else message.text


def _part(part: ContentPart) -> Json:
    if isinstance(part, ImagePart):
        url = part.url or f"data:{part.media_type};base64,{part.data}"
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "text", "text": part.text if isinstance(part, TextPart) else ""}


def last_user_message(request: Mapping[str, object]) -> SpokenInput:
    """Return the input that a chat request ends with. Raises InvalidRequest."""
    if "messages" not in request:
        raise InvalidRequest(fields={"messages": "The 'messages' field is missing in the request."})
    messages = request["messages"]
    if isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Iterable):
        raise InvalidRequest(fields={"messages": "The 'messages' field must be an iterable."})
    last = next(reversed(list(messages)), None)
    if last is None:
        raise InvalidRequest(fields={"messages": "The 'messages' field must not be empty."})
    if not isinstance(last, Mapping) or last.get("role") != "user":
        raise InvalidRequest(fields={"messages[-1].role": "'messages[-1].role' must be a 'user'"})
    content = last.get("content")
    if not isinstance(content, str):
        raise InvalidRequest(fields={"messages[-1].content": "'messages[-1].content' must be a 'string'"})
    return SpokenInput(role=Role.USER, content=(TextPart(content),))


def assistant_said(
    text: str, kind: AgentKind, *, run_id: RunId, step_id: StepId | None, model: str, time: datetime
) -> tuple[Message, ...]:
    """Return what an answer that was given elsewhere becomes in the history: what an agent of this kind would have said."""
    said = Message(
        id=new_message_id(),
        role=Role.ASSISTANT,
        content=(TextPart(text),),
        run_id=run_id,
        step_id=step_id,
        model=model,
        create_time=time,
    )
    if kind is AgentKind.REACT:
        return (said,)
    call = ToolCall(id=new_tool_call_id(), name=SEND_MESSAGE, arguments=spoken(text))
    returned = ToolReturn(tool_call_id=call.id, status=ToolReturnStatus.SUCCESS, text="")
    back = Message(
        id=new_message_id(), role=Role.TOOL, tool_returns=(returned,), run_id=run_id, step_id=step_id, create_time=time
    )
    return (replace(said, tool_calls=(call,)), back)
