"""Request bodies → the input of a run."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from letta_grpc.gateway.faces.letta.errors import unprocessable
from letta_grpc.gateway.faces.letta.fields import objects, strings, text
from letta_grpc.v1 import messages_pb2 as pb
from letta_grpc.v1 import runs_pb2

Body = Mapping[str, Any]

_STATUSES = {"success": pb.TOOL_RETURN_STATUS_SUCCESS, "error": pb.TOOL_RETURN_STATUS_ERROR}


def messages_in(body: Body) -> list[pb.InputMessage]:
    """Return the input of a body that has `messages` or `input`. Raises Failure."""
    given, said = body.get("messages"), body.get("input")
    if (given is None) == (said is None):
        raise unprocessable("messages", "Exactly one of messages and input is needed")
    if given is None:
        given = [{"role": "user", "content": said}]
    if not isinstance(given, list) or not given:
        raise unprocessable("messages", "Messages must not be empty")
    return [message for place, each in enumerate(given) for message in _input(f"messages.{place}", each)]


def _input(path: str, given: Any) -> list[pb.InputMessage]:  # noqa: ANN401 - a caller's JSON
    if not isinstance(given, dict):
        raise unprocessable(path, "must be an object")
    match given.get("type") or ("approval" if "approve" in given or "approvals" in given else "message"):
        case "message":
            return [_said(path, given)]
        case "approval":
            return _answers(path, given, _approvals(given))
        case "tool_return":
            returns = [{**each, "type": "tool"} for each in objects(given, "tool_returns")]
            return _answers(path, given, returns)
        case other:
            raise unprocessable(f"{path}.type", f"{other!r} is none of message, approval, tool_return")


def _said(path: str, given: Body) -> pb.InputMessage:
    message = pb.InputMessage(otid=text(given, "otid"))
    content = given.get("content")
    match given.get("role"):
        case "user":
            body: pb.UserInput | pb.SystemInput = message.user
        case "system":
            body = message.system
        case "assistant":
            raise unprocessable(f"{path}.role", "words of the assistant's come from its runs alone; send user or system")
        case other:
            raise unprocessable(f"{path}.role", f"{other!r} is none of user, system")
    if isinstance(content, str):
        body.text = content
    elif isinstance(content, list):
        body.content.parts.extend(_part(f"{path}.content.{place}", part) for place, part in enumerate(content))
    else:
        raise unprocessable(f"{path}.content", "must be text or a list of parts")
    return message


def _part(path: str, part: Any) -> pb.ContentPart:  # noqa: ANN401 - a caller's JSON
    match part:
        case {"type": "text", "text": str(text)}:
            return pb.ContentPart(text=text)
        case {"type": "image", "source": {"type": "url", "url": str(url)}}:
            return pb.ContentPart(image=pb.Image(url=url))
        case {"type": "image", "source": {"type": "base64", "data": str(data), "media_type": str(media_type)}}:
            try:
                return pb.ContentPart(image=pb.Image(data=base64.b64decode(data, validate=True), media_type=media_type))
            except ValueError:
                raise unprocessable(f"{path}.source.data", "must be base64") from None
        case _:
            raise unprocessable(path, "must be a text part, or an image part with a url or base64 source")


def _approvals(given: Body) -> Sequence[Body]:
    """Return the answers of an approval. The older form names the request, not its calls: see `approvals.py`."""
    approvals = given.get("approvals")
    return [each for each in approvals if isinstance(each, dict)] if isinstance(approvals, list) else ()


def _answers(path: str, given: Body, answers: Sequence[Body]) -> list[pb.InputMessage]:
    if not answers:
        raise unprocessable(path, "must have answers: approvals, or tool_returns")
    decisions = [_decision(path, each) for each in answers if each.get("type", "approval") == "approval"]
    returns = [_return(path, each) for each in answers if each.get("type", "approval") != "approval"]
    messages = []
    if decisions:
        messages.append(pb.InputMessage(otid=text(given, "otid"), approval=pb.ApprovalInput(decisions=decisions)))
    if returns:
        otid = None if decisions else text(given, "otid")
        messages.append(pb.InputMessage(otid=otid, tool_returns=pb.ToolReturnsInput(returns=returns)))
    return messages


def _decision(path: str, given: Body) -> pb.Decision:
    approve, call_id = given.get("approve"), given.get("tool_call_id")
    if not isinstance(approve, bool) or not isinstance(call_id, str):
        raise unprocessable(f"{path}.approvals", "an approval has a tool_call_id, and approve: true or false")
    decision = pb.Decision(tool_call_id=call_id)
    if approve:
        decision.approve.SetInParent()
    else:
        decision.deny.reason = text(given, "reason") or ""
    return decision


def _return(path: str, given: Body) -> pb.ToolReturn:
    call_id, status, body = given.get("tool_call_id"), given.get("status", "success"), given.get("tool_return")
    if not isinstance(call_id, str) or not isinstance(status, str) or status not in _STATUSES:
        raise unprocessable(f"{path}.tool_returns", "a return has a tool_call_id, and status: success or error")
    returned = pb.ToolReturn(
        tool_call_id=call_id,
        status=_STATUSES[status],
        stdout=strings(given, "stdout"),
        stderr=strings(given, "stderr"),
    )
    if isinstance(body, list):
        returned.content.parts.extend(_part(f"{path}.tool_return.{place}", part) for place, part in enumerate(body))
    else:
        returned.text = body if isinstance(body, str) else json.dumps(body)
    return returned


def client_tools_in(body: Body) -> list[runs_pb2.ClientTool]:
    """Return the tools that the client runs. Raises Failure."""
    return [
        runs_pb2.ClientTool(
            name=text(given, "name") or "",
            description=text(given, "description") or "",
            parameters=json.dumps(parameters) if (parameters := given.get("parameters")) else "",
        )
        for given in objects(body, "client_tools")
    ]
