"""ModelRequest → the body of a chat completion."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import orjson

from letta_grpc.domain.agents import ModelSettings
from letta_grpc.domain.completions import ANY_TOOL, ModelRequest, ToolDefinition
from letta_grpc.domain.context import package_return
from letta_grpc.domain.messages import Message, Role, ToolCall

# Vendors refuse a whole request for a name of another form.
_SENDABLE_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def encode_request(request: ModelRequest, *, token_limit_field: str, ask_for_usage: bool) -> bytes:
    """Return the JSON body. Reasoning is left out: vendors refuse it, or count it as the assistant's words."""
    body: dict[str, Any] = {"model": request.model, "messages": list(_messages(request)), "stream": True}
    if ask_for_usage:
        body["stream_options"] = {"include_usage": True}
    if request.tools:
        body["tools"] = _tools(request.tools)
        if request.tool_choice:
            body["tool_choice"] = _choice(request.tool_choice, request.tools)
    body.update(_settings(request.settings, token_limit_field, has_tools=bool(request.tools)))
    return orjson.dumps(body)


def _settings(settings: ModelSettings, token_limit_field: str, *, has_tools: bool) -> Iterator[tuple[str, Any]]:
    if settings.temperature is not None:
        yield "temperature", settings.temperature
    if settings.max_output_tokens is not None:
        yield token_limit_field, settings.max_output_tokens
    # Refused by OpenAI where there are no tools.
    if settings.parallel_tool_calls is not None and has_tools:
        yield "parallel_tool_calls", settings.parallel_tool_calls


def _choice(tool_choice: str, tools: tuple[ToolDefinition, ...]) -> str | dict[str, Any]:
    # More servers know the word than the object: llama.cpp takes the latter as "auto".
    if tool_choice == ANY_TOOL or len(tools) == 1:
        return ANY_TOOL
    return {"type": "function", "function": {"name": tool_choice}}


@lru_cache(maxsize=128)
def _tools(tools: tuple[ToolDefinition, ...]) -> orjson.Fragment:
    """Return the tools, written once: most of a short request, and the same from call to call."""
    return orjson.Fragment(orjson.dumps([_tool(tool) for tool in tools]))


def _tool(tool: ToolDefinition) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": orjson.Fragment(tool.parameters)}
    return {"type": "function", "function": function}


def _messages(request: ModelRequest) -> Iterator[dict[str, Any]]:
    if request.system:
        yield {"role": "system", "content": request.system}
    sent_ids: dict[str, str] = {}
    for message in request.messages:
        match message.role:
            case Role.TOOL:
                yield from _returns(message, sent_ids, request.timezone)
            case Role.ASSISTANT:
                ids = _ids_for_provider(message.tool_calls)
                sent_ids.update(ids)
                yield from _assistant(message, ids)
            case Role.USER | Role.SYSTEM:
                yield _said(message)


def _said(message: Message) -> dict[str, Any]:
    said = {"role": message.role.value, "content": message.text}
    if message.name and _SENDABLE_NAME.fullmatch(message.name):
        said["name"] = message.name
    return said


def _returns(message: Message, sent_ids: dict[str, str], timezone: str) -> Iterator[dict[str, Any]]:
    for returned in message.tool_returns:
        yield {
            "role": "tool",
            "tool_call_id": sent_ids.get(returned.tool_call_id, returned.tool_call_id),
            "content": package_return(returned, message.create_time, timezone),
        }


def _assistant(message: Message, ids: dict[str, str]) -> Iterator[dict[str, Any]]:
    if message.tool_calls:
        calls = [_call(call, ids[call.id]) for call in message.tool_calls]
        yield {"role": "assistant", "content": message.text or None, "tool_calls": calls}
    # An assistant message without any content is refused by several vendors.
    elif message.text:
        yield {"role": "assistant", "content": message.text}


def _call(call: ToolCall, sent_id: str) -> dict[str, Any]:
    return {"id": sent_id, "type": "function", "function": {"name": call.name, "arguments": _arguments(call.arguments)}}


def _ids_for_provider(calls: tuple[ToolCall, ...]) -> dict[str, str]:
    """Return by which id the provider shall know each call: its own where that tells the calls of one message apart."""
    ids = {call.id: call.provider_id or call.id for call in calls}
    return ids if len(set(ids.values())) == len(ids) else {call.id: call.id for call in calls}


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
