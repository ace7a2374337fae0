"""The tools that a chat completion offers: the agent calls them, and who asked runs them and says what they returned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import orjson

from letta_grpc.gateway.faces.openai.content import content_of, wrong
from letta_grpc.v1 import messages_pb2, runs_pb2

_CHOICES = (
    "'tool_choice' must be 'auto', 'none', 'required', or an object of type 'function' or 'allowed_tools' "
    "that names functions of 'tools', or of the agent's own."
)


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools that the agent is offered besides its own, and those of which it has to call one first."""

    offered: Sequence[runs_pb2.ClientTool]
    choice: Sequence[str] = ()


def tools_in(body: Mapping[str, Any]) -> Tools:
    """Return what a body says of tools. Raises Failure."""
    tools = body.get("tools") or []
    if body.get("functions"):
        raise wrong("functions", "'functions' are offered as 'tools' here.")
    if not isinstance(tools, list):
        raise wrong("tools", "'tools' must be a list.")
    offered = [_client_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools)]
    match body.get("tool_choice") or "auto":
        case "auto":
            return Tools(offered)
        case "none":
            return Tools(())
        case "required" if offered:
            return Tools(offered, [tool.name for tool in offered])
        case {"type": "function"} as function:
            return Tools(offered, [_chosen_name(function)])
        case {"type": "allowed_tools", "allowed_tools": {"mode": "auto" | "required" as mode, "tools": [_, *_] as allowed}}:
            names = [_chosen_name(tool) for tool in allowed]
            return Tools([tool for tool in offered if tool.name in names], names if mode == "required" else ())
        case _:
            raise wrong("tool_choice", _CHOICES)


def returns_in(messages: Sequence[object]) -> messages_pb2.ToolReturnsInput | None:
    """Return what tools returned, if that is what the last messages say. Raises Failure."""
    start = _first_at_end(messages)
    if start == len(messages):
        return None
    returns = [_return(message, f"messages[{start + index}]") for index, message in enumerate(messages[start:])]
    return messages_pb2.ToolReturnsInput(returns=returns)


def first_return_in(messages: Sequence[object]) -> int:
    """Return the place of the first return that is looked at: of those at the end, or right before the last words."""
    return _first_at_end(messages if _is_of_tool(messages[-1]) else messages[:-1])


def _first_at_end(messages: Sequence[object]) -> int:
    return len(messages) - sum(1 for _ in takewhile(_is_of_tool, reversed(messages)))


def _chosen_name(tool: object) -> str:
    match tool:
        case {"type": "function", "function": {"name": str(name)}}:
            return name
        case _:
            raise wrong("tool_choice", _CHOICES)


def _is_of_tool(message: object) -> bool:
    return isinstance(message, dict) and message.get("role") == "tool"


def _return(message: Any, path: str) -> messages_pb2.ToolReturn:  # noqa: ANN401 - a client's JSON object
    call_id, content = message.get("tool_call_id"), content_of(message.get("content"), f"{path}.content")
    if not isinstance(call_id, str):
        raise wrong(f"{path}.tool_call_id", f"'{path}.tool_call_id' must be a text.")
    # OpenAI's form does not say whether a tool failed: its text does.
    returned = messages_pb2.ToolReturn(tool_call_id=call_id, status=messages_pb2.TOOL_RETURN_STATUS_SUCCESS)
    if isinstance(content, str):
        returned.text = content
    else:
        returned.content.parts.extend(content)
    return returned


def _client_tool(tool: object, path: str) -> runs_pb2.ClientTool:
    match tool:
        case {"type": "function", "function": {"name": str(name), **more}}:
            description, parameters = more.get("description") or "", more.get("parameters") or {}
        case _:
            raise wrong(path, f"'{path}' must be of type 'function'; other tools are the agent's own.")
    if not isinstance(description, str) or not isinstance(parameters, dict):
        raise wrong(path, f"'{path}' must have a text as 'description' and an object as 'parameters'.")
    # OpenAI takes a schema of no properties for one without any.
    schema = orjson.dumps({"type": "object", "properties": {}} | parameters).decode()
    return runs_pb2.ClientTool(name=name, description=description, parameters=schema)
