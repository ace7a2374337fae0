"""ModelRequest → the body of a chat completion."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import orjson

from letta_grpc.adapters.openai.call_ids import ids_for_provider, sendable_id
from letta_grpc.adapters.openai.call_proofs import extras_of
from letta_grpc.adapters.openai.dialect import Dialect
from letta_grpc.adapters.openai.pictures import pictures_in, written_parts
from letta_grpc.adapters.openai.reasoning import details_of, plain_reasoning
from letta_grpc.adapters.openai.response_format import response_format
from letta_grpc.domain.agents import ModelSettings
from letta_grpc.domain.completions import ANY_TOOL, ModelRequest, ToolDefinition
from letta_grpc.domain.context import package_return
from letta_grpc.domain.messages import ContentPart, Message, Role, TextPart, ToolCall, ToolReturn

# Vendors refuse a whole request for a name of another form.
_SENDABLE_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_UNSENDABLE = re.compile(r"[^a-zA-Z0-9_-]")
_MAX_NAME_CHARACTERS = 64
# Up to this many characters the JSON of tools is kept: of the largest that callers can offer, it would be half a gigabyte.
_KEPT_CHARACTERS = 64 * 1024


def encode_request(request: ModelRequest, dialect: Dialect, *, provider: str | None = None) -> bytes:
    """Return the JSON body.

    Reasoning is left out but in a dialect that wants it: vendors refuse it, or count it as the assistant's words. What a model
    has proved goes back to that model, if the handles of messages say that it was this one at this `provider`.
    """
    author = f"{provider}/{request.model}" if provider else None
    body: dict[str, Any] = {"model": request.model, "messages": list(_messages(request, dialect, author)), "stream": True}
    if dialect.asks_for_usage:
        body["stream_options"] = {"include_usage": True}
    if request.tools:
        body["tools"] = _tools(request.tools)
        if request.tool_choice:
            body["tool_choice"] = _choice(request.tool_choice, request.tools)
    if request.response_format is not None:
        body["response_format"] = response_format(request.response_format)
    body.update(_settings(request.settings, dialect.limit_field, has_tools=bool(request.tools)))
    return orjson.dumps(body)


def _settings(settings: ModelSettings, limit_field: str, *, has_tools: bool) -> Iterator[tuple[str, Any]]:
    if settings.temperature is not None:
        yield "temperature", settings.temperature
    if settings.max_output_tokens is not None:
        yield limit_field, settings.max_output_tokens
    if settings.reasoning_effort is not None:
        yield "reasoning_effort", settings.reasoning_effort
    # Refused by OpenAI where there are no tools.
    if settings.parallel_tool_calls is not None and has_tools:
        yield "parallel_tool_calls", settings.parallel_tool_calls


def _choice(tool_choice: str, tools: tuple[ToolDefinition, ...]) -> str | dict[str, Any]:
    # More servers know the word than the object: llama.cpp takes the latter as "auto".
    if tool_choice == ANY_TOOL or len(tools) == 1:
        return ANY_TOOL
    return {"type": "function", "function": {"name": tool_choice}}


def _tools(tools: tuple[ToolDefinition, ...]) -> orjson.Fragment:
    """Return the tools, written once: most of a short request, and the same from call to call."""
    is_kept = sum(len(tool.parameters) + len(tool.description) for tool in tools) <= _KEPT_CHARACTERS
    return _written_once(tools) if is_kept else _written(tools)


def _written(tools: tuple[ToolDefinition, ...]) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps([_tool(tool) for tool in tools]))


_written_once = lru_cache(maxsize=128)(_written)


def _tool(tool: ToolDefinition) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": orjson.Fragment(tool.parameters)}
    return {"type": "function", "function": function}


def _messages(request: ModelRequest, dialect: Dialect, author: str | None) -> Iterator[dict[str, Any]]:
    if request.system:
        yield {"role": "system", "content": request.system}
    sent_ids: dict[str, str] = {}
    offered = {tool.name for tool in request.tools}
    for message in request.messages:
        match message.role:
            case Role.TOOL:
                called = [returned.tool_call_id for returned in message.tool_returns]
                ids = {own: sent_ids.get(own) or sendable_id(own, dialect) for own in called}
                yield from _returns(message, ids, request.timezone)
            case Role.ASSISTANT:
                ids = ids_for_provider(message.tool_calls, dialect)
                sent_ids.update(ids)
                proofs = message.content if author and message.model == author else ()
                proven = list(details_of(proofs))
                for sent in _assistant(message, ids, proofs, offered, dialect):
                    yield sent | {"reasoning_details": proven} if proven else sent
            case Role.USER | Role.SYSTEM:
                yield from _said(message)


def _said(message: Message) -> Iterator[dict[str, Any]]:
    said: dict[str, Any] = {"role": message.role.value, "content": message.text}
    if message.name and _SENDABLE_NAME.fullmatch(message.name):
        said["name"] = message.name
    pictures = pictures_in(message.content)
    if pictures and message.role is Role.USER:
        yield said | {"content": written_parts(message.content)}
        return
    if message.text or not pictures:
        yield said
    if pictures:
        # Only a user can show pictures.
        yield {"role": "user", "content": written_parts(pictures)}


def _returns(message: Message, sent_ids: dict[str, str], timezone: str) -> Iterator[dict[str, Any]]:
    for returned in message.tool_returns:
        yield {
            "role": "tool",
            "tool_call_id": sent_ids[returned.tool_call_id],
            "content": package_return(returned, message.create_time, timezone),
        }
    # A tool message holds text alone, and nothing may stand between the tool messages of one step.
    shown = [part for returned in message.tool_returns for part in _pictures_of(returned, sent_ids)]
    if shown:
        yield {"role": "user", "content": written_parts(shown)}


def _pictures_of(returned: ToolReturn, sent_ids: dict[str, str]) -> Iterator[ContentPart]:
    if pictures := pictures_in(returned.content):
        yield TextPart(f"What the call {sent_ids[returned.tool_call_id]} returned to look at:")
        yield from pictures


def _assistant(
    message: Message, ids: dict[str, str], proofs: tuple[ContentPart, ...], offered: set[str], dialect: Dialect
) -> Iterator[dict[str, Any]]:
    if message.tool_calls:
        extras = extras_of(proofs, message.tool_calls)
        calls = [_call(call, ids[call.id], offered, extras.get(call.id)) for call in message.tool_calls]
        said = {"role": "assistant", "content": message.text or None, "tool_calls": calls}
        yield said | {"reasoning_content": plain_reasoning(message.content)} if dialect.returns_reasoning else said
    # An assistant message without any content is refused by several vendors.
    elif message.text:
        yield {"role": "assistant", "content": message.text}


def _call(call: ToolCall, sent_id: str, offered: set[str], extra: dict[str, Any] | None) -> dict[str, Any]:
    # A tool that is offered has in its calls the name that it is offered by; what a model makes up can be any text.
    name = call.name if call.name in offered else _sendable(call.name)
    function = {"name": name, "arguments": _arguments(call.arguments)}
    sent: dict[str, Any] = {"id": sent_id, "type": "function", "function": function}
    return sent | {"extra_content": extra} if extra else sent


def _sendable(name: str) -> str:
    return _UNSENDABLE.sub("_", name[:_MAX_NAME_CHARACTERS]) or "_"


def _arguments(written: str) -> str:
    """Return arguments that are a JSON object, whatever the model wrote.

    Vendors that parse them (vLLM, llama.cpp, Anthropic, Gemini) refuse the whole context otherwise, for ever after.
    """
    try:
        if isinstance(orjson.loads(written or "{}"), dict):
            return written or "{}"
    except orjson.JSONDecodeError:
        pass
    return orjson.dumps({"not_json": written}).decode()
