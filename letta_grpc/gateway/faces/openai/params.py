"""What the server finds wrong with a start, by the names that the chat completion behind it has for things."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from letta_grpc.gateway.faces.openai.content import places_in
from letta_grpc.gateway.faces.openai.tools import first_return_in, tools_in
from letta_grpc.gateway.failures import Failure

_PLAIN = {"agent_id": "model", "run.messages": "messages", "run.client_tools": "tools", "run.metadata": "metadata"}
_RETURNS = re.compile(r"run\.messages\[\d+\]\.tool_returns\.returns(?:\[(?P<index>\d+)\](?P<rest>.*))?")
_USER = re.compile(r"run\.messages\[\d+\]\.user(?P<rest>.*)")
_TOOL = re.compile(r"run\.client_tools\[(?P<index>\d+)\](?P<rest>.*)")
_CONTENT = re.compile(r"\.content(?:\.parts)?(?:\[(?P<part>\d+)\])?(?P<rest>\.\w+)?.*")
_FIRST = re.compile(r"[.\[]")
_PARTS = {".text": ".text", ".image": ".image_url.url"}


def in_words_of_chat(failure: Failure, body: Mapping[str, Any]) -> Failure:
    """Return a failure as it is told to whoever sent this body. What has no name there is not named."""
    if not (broken := failure.broken):
        return failure
    params = {path: param for path in broken if (param := _param(path, body))}
    message = failure.message
    for path, param in params.items():
        message = message.replace(f"{path}: ", f"{param}: ")
    violations = {"fieldViolations": [{"field": param, "description": broken[path]} for path, param in params.items()]}
    details = [{**detail, **violations} if "fieldViolations" in detail else detail for detail in failure.details]
    return Failure(failure.code, message, http=failure.http, details=details, headers=failure.headers)


def _param(path: str, body: Mapping[str, Any]) -> str | None:
    if not path.startswith(("run.", "agent_id")):
        # Either the caller's own name, or what this face has put into the start.
        return path if _FIRST.split(path, maxsplit=1)[0] in body else None
    if path in _PLAIN:
        return _PLAIN[path]
    if path.startswith("run.tool_choice"):
        return "tool_choice"
    if path == "run.response_format":
        return "response_format.json_schema.schema"
    if found := _TOOL.fullmatch(path):
        return f"tools[{_place(body, int(found['index']))}]" + (f".function{found['rest']}" if found["rest"] else "")
    return _message_param(path, body["messages"])


def _message_param(path: str, messages: Sequence[Any]) -> str | None:
    if found := _USER.fullmatch(path):
        return f"messages[-1]{_within(found['rest'], messages[-1])}"
    if found := _RETURNS.fullmatch(path):
        if found["index"] is None:
            return "messages"
        place = first_return_in(messages) + int(found["index"])
        return f"messages[{place}]{_within(found['rest'], messages[place])}"
    return "messages" if path.startswith("run.messages") else None


def _within(rest: str, message: Mapping[str, Any]) -> str:
    """Return the name of a field of a message."""
    if found := _CONTENT.fullmatch(rest):
        part = f"[{places_in(message['content'])[int(found['part'])]}]" if found["part"] else ""
        return f".content{part}{_PARTS.get(found['rest'] or '', '')}"
    return ".content" if rest == ".text" else rest


def _place(body: Mapping[str, Any], index: int) -> int:
    """Return the place of an offered tool among those of the body, of which `tool_choice` may leave some out."""
    offered, sent = tools_in(body).offered, body["tools"]
    if len(offered) == len(sent):
        return index
    return [tool["function"]["name"] for tool in sent].index(offered[index].name)
