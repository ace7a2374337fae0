"""Answers to tool calls that wait: `client.answer(run, {"call-1": approve(), "call-2": deny("too dear")})`."""

import json
from collections.abc import Mapping

from letta_grpc.client.return_limits import fitting
from letta_grpc.v1 import messages_pb2

Answer = messages_pb2.Approve | messages_pb2.Deny | messages_pb2.ToolReturn
# By tool call id. They need not cover all calls that wait.
Answers = Mapping[str, Answer]


def approve(arguments: str | Mapping[str, object] | None = None) -> messages_pb2.Approve:
    """Let a call run: with these arguments, or, if none are given, with those that the model wrote."""
    return messages_pb2.Approve(arguments=json.dumps(arguments) if isinstance(arguments, Mapping) else arguments)


def deny(reason: str = "") -> messages_pb2.Deny:
    """Do not let a call run; the model is told why."""
    return messages_pb2.Deny(reason=reason)


def tool_return(
    value: object, *, failed: bool = False, stdout: tuple[str, ...] = (), stderr: tuple[str, ...] = ()
) -> messages_pb2.ToolReturn:
    """Return the result of a tool that the caller ran: text and content as they are, everything else as JSON.

    What JSON cannot express becomes its `str`. `stdout` and `stderr` are lines.
    """
    status = messages_pb2.TOOL_RETURN_STATUS_ERROR if failed else messages_pb2.TOOL_RETURN_STATUS_SUCCESS
    returned = messages_pb2.ToolReturn(status=status, stdout=stdout, stderr=stderr)
    match value:
        case messages_pb2.Content():
            returned.content.CopyFrom(value)
        case str():
            returned.text = value
        case _:
            returned.text = json.dumps(value, ensure_ascii=False, default=str)
    return returned


def failure(error: Exception) -> messages_pb2.ToolReturn:
    """Say what a tool raised. Whatever it is, it is told: a tool's failure must not end the turn."""
    try:
        words = f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - its __str__ is as much the caller's as the tool is
        words = type(error).__name__
    # Python has bytes of a file name that are no text as surrogates, which protobuf refuses.
    return tool_return(words.encode(errors="backslashreplace").decode(), failed=True)


def answer_messages(answers: Answers) -> list[messages_pb2.InputMessage]:
    """Return answers as input: the decisions, then the returns, each in the order given. Raises TypeError for others.

    Returns that are together larger than a server takes are cut, with notes that tell the model so.
    """
    decisions: list[messages_pb2.Decision] = []
    returns: list[messages_pb2.ToolReturn] = []
    for call_id, answer in answers.items():
        match answer:
            case messages_pb2.Approve():
                decisions.append(messages_pb2.Decision(tool_call_id=call_id, approve=answer))
            case messages_pb2.Deny():
                decisions.append(messages_pb2.Decision(tool_call_id=call_id, deny=answer))
            case messages_pb2.ToolReturn():
                returns.append(_naming(call_id, answer))
            case _:
                raise TypeError(f"an answer is approve(), deny(…) or tool_return(…); that to {call_id!r} is {answer!r}")
    decided = messages_pb2.InputMessage(approval=messages_pb2.ApprovalInput(decisions=decisions))
    given = messages_pb2.InputMessage(tool_returns=messages_pb2.ToolReturnsInput(returns=fitting(returns)))
    return [*([decided] if decisions else []), *([given] if returns else [])]


def _naming(call_id: str, returned: messages_pb2.ToolReturn) -> messages_pb2.ToolReturn:
    """Return a copy that names its call: the caller may give the same return to several."""
    named = messages_pb2.ToolReturn()
    named.CopyFrom(returned)
    named.tool_call_id = call_id
    return named
