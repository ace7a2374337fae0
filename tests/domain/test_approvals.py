from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letta_grpc.domain.approvals import ActionKind, Answer, KnownAnswer, OpenBatch, PendingAction, answers_in, settle
from letta_grpc.domain.errors import ApprovalAlreadyResolved, ApprovalExpired, ApprovalPending, InvalidRequest
from letta_grpc.domain.ids import MessageId, RunId
from letta_grpc.domain.messages import (
    ApprovalInput,
    Approve,
    Decision,
    Deny,
    InputMessage,
    ReturnsInput,
    ToolReturn,
    ToolReturnStatus,
)
from letta_grpc.domain.runs import StopReason, waiting_reason
from tests.requirements.registry import requirement
from tests.support.values import NOW, RUN_ID, STEP_ID, returned, text

LATER = RunId("run-later")


def action(call_id: str, kind: ActionKind = ActionKind.APPROVAL) -> PendingAction:
    return PendingAction(
        tool_call_id=call_id,
        kind=kind,
        name="tool",
        arguments='{"as": "the model wrote"}',
        message_id=MessageId("message-asking"),
        step_id=STEP_ID,
        expire_time=NOW + timedelta(hours=1),
    )


def batch(*call_ids: str, answers: dict[str, Answer] | None = None) -> OpenBatch:
    return OpenBatch(run_id=RUN_ID, actions=tuple(map(action, call_ids)), answers=answers or {})


def decided(*decisions: Decision) -> list[InputMessage]:
    return [ApprovalInput(decisions=decisions)]


def client_returned(*call_ids: str) -> list[InputMessage]:
    return [ReturnsInput(tool_returns=tuple(map(returned, call_ids)))]


YES_A, YES_B, NO_B = Approve(tool_call_id="a"), Approve(tool_call_id="b"), Deny(tool_call_id="b", reason="too risky")


@requirement("approval_expires")
@pytest.mark.parametrize("answer", [decided(YES_A), decided(NO_B), decided(Approve(tool_call_id="c"), YES_A)])
def test_an_answer_that_is_late_is_refused_also_before_anybody_has_denied_its_call(answer: list[InputMessage]) -> None:
    waiting, known = batch("a", "b", "c", answers={"c": Approve(tool_call_id="c")}), Approve(tool_call_id="c")
    early, late = NOW + timedelta(minutes=59), NOW + timedelta(hours=1)
    answers = {"c": KnownAnswer(answer=known, run_id=LATER)}
    assert isinstance(settle(answer, waiting, answers, early), OpenBatch)
    with pytest.raises(ApprovalExpired) as caught:
        settle(answer, waiting, answers, late)
    assert caught.value.metadata["run_id"] == RUN_ID
    assert settle(decided(known), waiting, answers, late) == LATER


def test_an_answer_closes_its_call_alone() -> None:
    settled = settle(decided(YES_A), batch("a", "b"), {}, NOW)
    assert isinstance(settled, OpenBatch)
    assert [open_.tool_call_id for open_ in settled.pending] == ["b"]


@requirement("complaint_02_partial_answers")
@given(st.permutations(["a", "b", "c"]), st.integers(1, 2))
def test_answers_may_come_in_any_order_and_in_any_portions(order: list[str], first: int) -> None:
    so_far = batch("a", "b", "c")
    known: dict[str, KnownAnswer] = {}
    for portion in (order[:first], order[first:]):
        decisions = [Approve(tool_call_id=call_id) for call_id in portion]
        settled = settle(decided(*decisions), so_far, known, NOW)
        assert isinstance(settled, OpenBatch)
        so_far = settled
        known |= {call_id: KnownAnswer(answer=Approve(tool_call_id=call_id), run_id=LATER) for call_id in portion}
    assert not so_far.pending
    assert [call.id for call in so_far.calls()] == ["a", "b", "c"]


def test_the_same_answer_again_gives_the_run_that_it_made() -> None:
    assert settle(decided(YES_A), None, {"a": KnownAnswer(answer=YES_A, run_id=LATER)}, NOW) == LATER


def test_words_wait_for_the_last_answer() -> None:
    with pytest.raises(ApprovalPending, match="answer them, too") as caught:
        settle([*decided(YES_A), text("And?")], batch("a", "b"), {}, NOW)
    assert caught.value.metadata == {"run_id": RUN_ID, "tool_call_ids": "b"}
    settled = settle([*decided(YES_A, YES_B), text("And?")], batch("a", "b"), {}, NOW)
    assert isinstance(settled, OpenBatch)
    assert not settled.pending


def test_words_behind_an_answer_that_was_given_before_and_a_new_one_are_refused() -> None:
    so_far, known = batch("a", "b", answers={"a": YES_A}), {"a": KnownAnswer(answer=YES_A, run_id=LATER)}
    with pytest.raises(ApprovalAlreadyResolved) as caught:
        settle([*decided(YES_B, YES_A), text("And?")], so_far, known, NOW)
    assert caught.value.metadata == {"tool_call_id": "a", "run_id": LATER}


def test_what_was_answered_before_is_no_obstacle_to_what_is_new() -> None:
    so_far = batch("a", "b", answers={"a": YES_A})
    settled = settle(decided(YES_A, NO_B), so_far, {"a": KnownAnswer(answer=YES_A, run_id=LATER)}, NOW)
    assert isinstance(settled, OpenBatch)
    assert dict(settled.answers) == {"a": YES_A, "b": NO_B}


def test_another_answer_to_an_answered_call_is_refused() -> None:
    with pytest.raises(ApprovalAlreadyResolved) as refused:
        settle(decided(Deny(tool_call_id="a")), None, {"a": KnownAnswer(answer=YES_A, run_id=LATER)}, NOW)
    assert refused.value.metadata == {"tool_call_id": "a", "run_id": LATER}


def test_an_answer_that_comes_too_late_is_told_so() -> None:
    with pytest.raises(ApprovalExpired) as refused:
        settle(decided(YES_A), None, {"a": KnownAnswer(answer=None, run_id=LATER)}, NOW)
    assert refused.value.metadata == {"tool_call_id": "a", "run_id": LATER}


def test_an_unknown_call_is_named_together_with_those_that_are_open() -> None:
    with pytest.raises(InvalidRequest) as refused:
        settle(decided(YES_A, Approve(tool_call_id="x")), batch("a", "b"), {}, NOW)
    assert refused.value.fields == {
        "run.messages[0].approval.decisions[1].tool_call_id": "'x' waits for no answer; open are: a, b"
    }


def test_an_answer_in_a_conversation_without_open_calls_says_that_there_are_none() -> None:
    with pytest.raises(InvalidRequest, match="open are: none"):
        settle(client_returned("a"), None, {}, NOW)


def test_each_kind_of_call_takes_its_own_kind_of_answer() -> None:
    clients = OpenBatch(run_id=RUN_ID, actions=(action("a", ActionKind.CLIENT_TOOL),))
    with pytest.raises(InvalidRequest, match="send its return, or deny it"):
        settle(decided(YES_A), clients, {}, NOW)
    with pytest.raises(InvalidRequest, match="approve or deny it"):
        settle(client_returned("a"), batch("a"), {}, NOW)
    for answer in (client_returned("a"), decided(Deny(tool_call_id="a"))):
        assert isinstance(settle(answer, clients, {}, NOW), OpenBatch)


def test_edited_arguments_are_what_the_tool_gets() -> None:
    edited = batch("a", "b", answers={"a": Approve(tool_call_id="a", arguments='{"edited": true}'), "b": YES_B})
    assert [call.arguments for call in edited.calls()] == ['{"edited": true}', '{"as": "the model wrote"}']


def test_the_model_is_told_why_a_call_was_denied() -> None:
    denial = batch("b", answers={"b": NO_B}).given_return("b")
    assert denial
    assert denial.status is ToolReturnStatus.ERROR
    assert denial.text == "Error: request to call tool denied. User reason: too risky"


@requirement("defect_reason_none")
def test_a_denial_without_a_reason_invents_none() -> None:
    denial = batch("b", answers={"b": Deny(tool_call_id="b")}).given_return("b")
    assert denial
    assert denial.text == "Error: request to call tool denied."


def test_closing_gives_every_call_exactly_one_return_in_the_models_order() -> None:
    given_back = ToolReturn(tool_call_id="c", status=ToolReturnStatus.SUCCESS, text="from the client")
    closed = batch("a", "b", "c", answers={"a": YES_A, "c": given_back}).closing_returns("nobody answered")
    assert [one.tool_call_id for one in closed] == ["a", "b", "c"]
    assert [one.status for one in closed] == [ToolReturnStatus.ERROR, ToolReturnStatus.ERROR, ToolReturnStatus.SUCCESS]
    assert "nobody answered" in closed[0].text


def test_a_persons_decision_comes_before_a_clients_work() -> None:
    asked, clients = action("a"), action("b", ActionKind.CLIENT_TOOL)
    assert waiting_reason([clients, asked]) is StopReason.REQUIRES_APPROVAL
    assert waiting_reason([clients]) is StopReason.REQUIRES_CLIENT_TOOL


def test_answers_are_found_among_other_input_and_know_their_place() -> None:
    messages = [text("hello"), *decided(YES_A, NO_B), *client_returned("c")]
    assert answers_in(messages) == {
        "a": ("run.messages[1].approval.decisions[0]", YES_A),
        "b": ("run.messages[1].approval.decisions[1]", NO_B),
        "c": ("run.messages[2].tool_returns.returns[0]", returned("c")),
    }
