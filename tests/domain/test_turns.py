from dataclasses import replace

from letta_grpc.domain.messages import Deny, Message, Role, ToolReturnStatus
from letta_grpc.domain.turns import MadeCall, made_in, refusal_text
from tests.support.values import STEP_ID, assistant, returned, tool_message


def decided(*denied: str) -> Message:
    return replace(assistant("d"), role=Role.APPROVAL, decisions=tuple(Deny(tool_call_id=call) for call in denied))


def gave(*calls: str) -> Message:
    return replace(tool_message("t"), tool_returns=tuple(returned(call, f"from {call}") for call in calls))


def test_calls_that_returned_were_made_in_the_order_of_their_returns() -> None:
    turn = [assistant("a", "1", "2"), gave("2", "1"), assistant("c", "3")]
    assert [call.output for call in made_in(turn, ["tool"])] == ["from 2", "from 1"]


def test_calls_of_unknown_tools_and_stray_returns_were_not_made() -> None:
    assert made_in([assistant("a", "1"), tool_message("b", "1", "2")], ["other"]) == ()


def test_denied_calls_are_told_from_those_that_were_made() -> None:
    turn = [assistant("a", "1", "2"), decided("1"), gave("1", "2")]
    assert [(call.output, call.denied) for call in made_in(turn, ["tool"])] == [("from 1", True), ("from 2", False)]


def test_calls_that_broke_a_rule_were_not_made() -> None:
    broken = replace(returned("1"), status=ToolReturnStatus.ERROR, text=refusal_text("tool", ["other"]))
    failed = replace(returned("2"), status=ToolReturnStatus.ERROR, text="Error")
    message = replace(tool_message("b"), tool_returns=(broken, failed))
    assert made_in([assistant("a", "1", "2"), message], ["tool"]) == (MadeCall(tool="tool", output="Error", step_id=STEP_ID),)
