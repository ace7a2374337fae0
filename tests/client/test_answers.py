from datetime import date
from typing import Any

import pytest

from letta_grpc.client import answer_messages, approve, deny, tool_return
from letta_grpc.v1 import messages_pb2


def test_decisions_and_returns_are_told_apart_and_keep_their_order() -> None:
    decided, given = answer_messages({"a": approve(), "b": tool_return("42"), "c": deny("too dear")})
    assert [one.tool_call_id for one in decided.approval.decisions] == ["a", "c"]
    assert decided.approval.decisions[1].deny.reason == "too dear"
    assert [(one.tool_call_id, one.text) for one in given.tool_returns.returns] == [("b", "42")]


def test_what_is_not_answered_makes_no_message() -> None:
    assert [message.WhichOneof("kind") for message in answer_messages({"a": deny()})] == ["approval"]
    assert answer_messages({}) == []


def test_arguments_are_approved_as_written_or_edited() -> None:
    assert not approve().HasField("arguments")
    assert approve({"sides": 6}).arguments == '{"sides": 6}'
    assert approve('{"sides":6}').arguments == '{"sides":6}'


def test_a_return_is_text_or_content_or_json() -> None:
    content = messages_pb2.Content(parts=[messages_pb2.ContentPart(text="hi")])
    assert tool_return("as it is").text == "as it is"
    assert tool_return(content).content == content
    assert tool_return({"day": date(2026, 1, 2), "name": "José"}).text == '{"day": "2026-01-02", "name": "José"}'
    assert tool_return("broken", failed=True).status == messages_pb2.TOOL_RETURN_STATUS_ERROR


def test_one_return_may_answer_several_calls() -> None:
    same = tool_return("same")
    (message,) = answer_messages({"a": same, "b": same})
    assert [one.tool_call_id for one in message.tool_returns.returns] == ["a", "b"]
    assert same.tool_call_id == ""


@pytest.mark.parametrize("answer", [True, None, "yes", {"approve": True}])
def test_what_is_no_answer_is_refused(answer: Any) -> None:  # noqa: ANN401 - the point of it
    with pytest.raises(TypeError, match=r"approve\(\), deny\(…\) or tool_return\(…\); that to 'call-1' is "):
        answer_messages({"call-1": answer})
