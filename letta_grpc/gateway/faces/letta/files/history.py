"""Messages of an agent file → messages of ours."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from letta_grpc.gateway.faces.letta.errors import unprocessable
from letta_grpc.gateway.faces.letta.fields import Body, moment, objects, strings
from letta_grpc.gateway.faces.letta.files.parts import part_in, parts_of
from letta_grpc.v1 import agent_files_pb2
from letta_grpc.v1 import messages_pb2 as pb

_ROLES = {
    "user": pb.ROLE_USER,
    "system": pb.ROLE_SYSTEM,
    "assistant": pb.ROLE_ASSISTANT,
    "tool": pb.ROLE_TOOL,
    "function": pb.ROLE_TOOL,
    "approval": pb.ROLE_APPROVAL,
    "summary": pb.ROLE_SUMMARY,
}
_SPEAKS = "send_message"
_NOT_SHOWN = "Earlier messages of this conversation are not shown."
_FAILED = frozenset({"error", "failed"})


class History:
    """Reads the messages of one agent. `left_out` grows by what has no place here."""

    def __init__(self, path: str, agent: Body, *, speaks_by_tool: bool, left_out: list[str]) -> None:
        self._path = path
        self._given = objects(agent, "messages")
        self._by_id = {each["id"]: each for each in reversed(self._given) if isinstance(each.get("id"), str)}
        self._shown = strings(agent, "in_context_message_ids")
        self._speaks_by_tool = speaks_by_tool
        self._left_out = left_out

    def conversation(self) -> agent_files_pb2.ConversationFile:
        """Return the default conversation. Raises Failure."""
        messages = [self._message(place, each) for place, each in self._kept()]
        file = agent_files_pb2.ConversationFile()
        file.conversation.is_default = True
        shown = frozenset(self._shown)
        context = [message.id for message in messages if message.id in shown]
        if context and len(context) < len(messages):
            messages, context = _behind_summary(messages, context)
            file.context_message_ids.extend(context)
        file.messages.extend(messages)
        return file

    def _kept(self) -> Iterator[tuple[int, Body]]:
        """Yield all but the system prompt as it stood then: it is made anew, of the instructions and blocks."""
        prompt_id = self._shown[0] if self._shown else self._given[0].get("id") if self._given else None
        for place, each in enumerate(self._given):
            if each.get("role") != "system" or each.get("id") != prompt_id:
                yield place, each

    def _message(self, place: int, given: Body) -> pb.Message:
        path = f"{self._path}.messages.{place}"
        role = _ROLES.get(str(given.get("role")))
        if role is None:
            raise unprocessable(f"{path}.role", f"{given.get('role')!r} is none of {', '.join(_ROLES)}")
        id_ = str(given.get("id") or f"message-{place}")
        message = pb.Message(id=id_, role=role, name=str(given.get("name") or ""), model=str(given.get("model") or ""))
        message.create_time.FromDatetime(_time(f"{path}.created_at", given.get("created_at")))
        parts = parts_of(given.get("content"))
        message.tool_calls.extend(_calls(path, given, parts))
        if role == pb.ROLE_TOOL:
            message.tool_returns.extend(_returns(path, given, parts))
        elif role == pb.ROLE_APPROVAL and not message.tool_calls:
            message.decisions.extend(self._decisions(given))
            message.tool_returns.extend(_client_returns(given))
        else:
            message.content.extend(self._content(path, message, parts))
        return message

    def _content(self, path: str, message: pb.Message, parts: Iterable[Body]) -> Iterator[pb.ContentPart]:
        is_thought = self._speaks_by_tool and bool(message.tool_calls)
        for place, part in enumerate(parts):
            if part.get("type") in ("tool_call", "tool_return"):
                continue
            read = part_in(part)
            if read is None:
                self._left_out.append(
                    f"{path}.content.{place}: a part of the type {part.get('type')!r}, or without what it shows"
                )
                continue
            if message.role == pb.ROLE_USER and read.text:
                read.text = _unpacked(read.text)
            yield pb.ContentPart(reasoning=read.text) if is_thought and read.text else read
        if is_thought:
            yield from (pb.ContentPart(text=said) for call in message.tool_calls if (said := _said(call)))

    def _decisions(self, given: Body) -> Iterator[pb.Decision]:
        answers = [each for each in objects(given, "approvals") if each.get("type", "approval") == "approval"]
        if not answers and isinstance(given.get("approve"), bool):
            asked = self._by_id.get(str(given.get("approval_request_id")), {})
            plain = {"approve": given["approve"], "reason": given.get("denial_reason")}
            answers = [{**plain, "tool_call_id": call.get("id")} for call in objects(asked, "tool_calls")]
        for answer in answers:
            decision = pb.Decision(tool_call_id=str(answer.get("tool_call_id") or ""))
            if answer.get("approve"):
                decision.approve.SetInParent()
            else:
                decision.deny.reason = str(answer.get("reason") or "")
            yield decision


def _client_returns(given: Body) -> Iterator[pb.ToolReturn]:
    for each in objects(given, "approvals"):
        if each.get("type") == "tool":
            status = pb.TOOL_RETURN_STATUS_ERROR if each.get("status") == "error" else pb.TOOL_RETURN_STATUS_SUCCESS
            body = each.get("tool_return", each.get("func_response"))
            text = body if isinstance(body, str) else json.dumps(body)
            yield pb.ToolReturn(tool_call_id=str(each.get("tool_call_id") or ""), status=status, text=text)


def _behind_summary(messages: list[pb.Message], context: Sequence[str]) -> tuple[list[pb.Message], list[str]]:
    """Return messages of which only those behind a summary are shown, and what is shown: the summary first."""
    start = next(place for place, message in enumerate(messages) if message.id == context[0])
    first = messages[start]
    if first.role != pb.ROLE_SUMMARY:
        text = _alert("".join(part.text for part in first.content)) if first.role == pb.ROLE_USER else None
        summary = pb.Message(id=f"{first.id}-summary", role=pb.ROLE_SUMMARY, create_time=first.create_time)
        summary.content.add(text=text or _NOT_SHOWN)
        # What told the model of a summary is the summary itself.
        messages[start : start + bool(text)] = [summary]
    return messages, [message.id for message in messages[start:]]


def _time(path: str, given: object) -> datetime:
    return datetime.fromtimestamp(0, UTC) if given is None else moment(path, str(given))


def _calls(path: str, given: Body, parts: Iterable[Body]) -> Iterator[pb.ToolCall]:
    for place, call in enumerate(objects(given, "tool_calls")):
        function = call.get("function")
        if not isinstance(function, dict):
            raise unprocessable(f"{path}.tool_calls.{place}.function", "must be an object")
        arguments = function.get("arguments")
        text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
        yield pb.ToolCall(id=str(call.get("id") or ""), name=str(function.get("name") or ""), arguments=text)
    if not given.get("tool_calls"):
        for part in parts:
            if part.get("type") == "tool_call":
                text = json.dumps(part.get("input") or {})
                yield pb.ToolCall(id=str(part.get("id") or ""), name=str(part.get("name") or ""), arguments=text)


def _returns(path: str, given: Body, parts: Sequence[Body]) -> Iterator[pb.ToolReturn]:
    content = "".join(str(part.get("text") or part.get("content") or "") for part in parts)
    returns = objects(given, "tool_returns") or [{}]
    for place, each in enumerate(returns):
        call_id = each.get("tool_call_id") or given.get("tool_call_id")
        if not call_id:
            raise unprocessable(f"{path}.tool_returns.{place}.tool_call_id", "is required")
        body = each.get("func_response")
        text, packed_status = _unpacked_return(
            content if body is None else body if isinstance(body, str) else json.dumps(body)
        )
        status = str(each.get("status") or packed_status).lower()
        yield pb.ToolReturn(
            tool_call_id=str(call_id),
            status=pb.TOOL_RETURN_STATUS_ERROR if status in _FAILED else pb.TOOL_RETURN_STATUS_SUCCESS,
            text=text,
            stdout=strings(each, "stdout"),
            stderr=strings(each, "stderr"),
        )


def _object_in(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text) if text.startswith("{") else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _unpacked(text: str) -> str:
    """Return what a user said, out of what it was wrapped in for the model."""
    packed = _object_in(text)
    said = packed.get("message")
    return said if packed.get("type") == "user_message" and isinstance(said, str) else text


def _alert(text: str) -> str | None:
    packed = _object_in(text)
    told = packed.get("message")
    return told if packed.get("type") == "system_alert" and isinstance(told, str) else None


def _unpacked_return(text: str) -> tuple[str, str]:
    packed = _object_in(text)
    if {"status", "message"} <= packed.keys() <= {"status", "message", "time"} and isinstance(packed["message"], str):
        return packed["message"], str(packed["status"])
    return text, "success"


def _said(call: pb.ToolCall) -> str:
    said = _object_in(call.arguments).get("message") if call.name == _SPEAKS else None
    return said if isinstance(said, str) else ""
