"""Runs around calls that wait are paths in the table, and say the same in their events as in their state."""

from datetime import datetime, timedelta

import pytest

from letta_grpc.domain.approvals import ActionKind, Answer, OpenBatch, PendingAction
from letta_grpc.domain.errors import ApprovalAlreadyResolved
from letta_grpc.domain.events import ApprovalRequested, MessageCompleted, RunEvent, RunFinished, RunStarted, ToolReturned
from letta_grpc.domain.ids import MessageId, RunId
from letta_grpc.domain.inputs import (
    check_said_before,
    completed,
    entering,
    input_messages,
    is_answer,
    messages_behind_answers,
    words_behind_answers,
)
from letta_grpc.domain.messages import (
    ApprovalInput,
    Approve,
    Decision,
    Deny,
    ImagePart,
    Message,
    ReturnsInput,
    Role,
    SpokenInput,
    TextPart,
)
from letta_grpc.domain.runs import RunSpec, RunState, StopReason
from letta_grpc.domain.transitions import Phase, advance
from letta_grpc.domain.waiting import CANCELLED, denial_events, denied_by_server, still_waiting
from tests.support.values import NOW, RUN_ID, STEP_ID, returned, run, spec, text


def action(call_id: str, kind: ActionKind = ActionKind.APPROVAL) -> PendingAction:
    return PendingAction(
        tool_call_id=call_id,
        kind=kind,
        name="send",
        arguments="{}",
        message_id=MessageId("message-asked"),
        step_id=STEP_ID,
        expire_time=NOW + timedelta(hours=24),
    )


def batch(**answers: Answer) -> OpenBatch:
    return OpenBatch(run_id=RUN_ID, actions=(action("a"), action("b"), action("c", ActionKind.CLIENT_TOOL)), answers=answers)


def phase_after(events: tuple[RunEvent, ...]) -> Phase:
    phase = Phase.QUEUED
    for event in events:
        phase = advance(phase, event)
    return phase


@pytest.mark.parametrize(
    ("answered", "reason"), [(["a"], StopReason.REQUIRES_APPROVAL), (["a", "b"], StopReason.REQUIRES_CLIENT_TOOL)]
)
def test_a_run_that_leaves_calls_open_waits_for_them(answered: list[str], reason: StopReason) -> None:
    open_batch = batch(**{call_id: Approve(tool_call_id=call_id) for call_id in answered})
    ended = still_waiting(run(), open_batch)
    assert (ended.run.state, ended.run.stop_reason, ended.run.end_time) == (RunState.INTERRUPTED, reason, NOW)
    assert ended.run.pending_actions == open_batch.pending
    assert ended.events == (RunStarted(run()), ApprovalRequested(open_batch.pending), RunFinished(ended.run))
    assert phase_after(ended.events) is Phase.ENDED


def test_the_servers_own_run_denies_every_call_and_is_over() -> None:
    later: datetime = NOW + timedelta(hours=1)
    asking = run(background=True, metadata={"k": "v"})
    ended, message = denied_by_server(batch(a=Approve(tool_call_id="a"), c=returned("c")), asking, CANCELLED, later)
    denial = ended.run
    assert (denial.state, denial.stop_reason, denial.resumes_run_id) == (RunState.CANCELLED, StopReason.CANCELLED, RUN_ID)
    assert (denial.create_time, denial.end_time, denial.background, denial.metadata) == (later, later, True, {})
    assert denial.id != asking.id
    assert denial.request_id in denial.id
    assert (message.role, message.run_id, message.step_id) == (Role.TOOL, denial.id, STEP_ID)
    denied = f"Error: request to call tool denied. User reason: {CANCELLED}"
    assert [each.text for each in message.tool_returns] == [denied, denied, "fine"]
    assert ended.events[1:-1] == denial_events(message)
    assert ended.events[1:-1] == (*(ToolReturned(each) for each in message.tool_returns), MessageCompleted(message))
    assert ended.events[-1] == RunFinished(denial)
    assert phase_after(ended.events) is Phase.ENDED


def stored(*messages: SpokenInput | ApprovalInput | ReturnsInput) -> list[Message]:
    ids = tuple(MessageId(f"message-{index}") for index, _ in enumerate(messages))
    return list(input_messages(run(input_message_ids=ids), RunSpec(messages=messages)))


def test_input_becomes_messages_of_the_run() -> None:
    decisions: tuple[Decision, ...] = (Approve(tool_call_id="a"), Deny(tool_call_id="b"))
    content = (TextPart("look"), ImagePart(url="http://x/y.png"))
    (spoken,) = stored(SpokenInput(role=Role.SYSTEM, content=content, otid="o1"))
    decided, given = stored(ApprovalInput(decisions=decisions, otid="o2"), ReturnsInput(tool_returns=(returned("c"),)))
    assert (spoken.role, spoken.content, spoken.otid) == (Role.SYSTEM, content, "o1")
    assert (decided.role, decided.decisions, decided.otid) == (Role.APPROVAL, decisions, "o2")
    assert (given.role, given.tool_returns, given.otid) == (Role.APPROVAL, (returned("c"),), None)
    assert {message.run_id for message in (spoken, decided, given)} == {RunId(RUN_ID)}
    assert {message.create_time for message in (spoken, decided, given)} == {NOW}


def test_words_behind_answers_come_later_under_the_ids_behind_theirs() -> None:
    answer = ReturnsInput(tool_returns=(returned("c"),))
    words = SpokenInput(role=Role.USER, content=(TextPart("And?"),), otid="o")
    spec = RunSpec(messages=(answer, words))
    first, second = MessageId("message-0"), MessageId("message-1")
    answering = run(input_message_ids=(first, second))
    assert (entering(spec), words_behind_answers(spec)) == ((answer,), (words,))
    assert [message.id for message in input_messages(answering, spec)] == [first]
    later = NOW + timedelta(seconds=1)
    (message,) = messages_behind_answers(answering, spec, later)
    assert (message.id, message.role, message.text, message.otid) == (second, Role.USER, "And?", "o")
    assert (message.run_id, message.create_time) == (answering.id, later)


def test_no_message_of_an_input_is_left_out_for_want_of_an_id() -> None:
    with pytest.raises(ValueError, match="longer"):
        list(input_messages(run(input_message_ids=()), RunSpec(messages=(text("hi"),))))


def test_words_are_heard_by_the_run_that_brought_the_answers_or_refused() -> None:
    answer, words = ApprovalInput(decisions=(Approve(tool_call_id="c"),)), text("And?")
    told, plain = RunSpec(messages=(answer, words)), RunSpec(messages=(answer,))
    for given in ((answer, words), (answer,)):
        check_said_before(given, RunId(RUN_ID), told)
    for given, before in (((answer, text("Or?")), told), ((answer, words), plain)):
        with pytest.raises(ApprovalAlreadyResolved) as caught:
            check_said_before(given, RunId(RUN_ID), before)
        assert caught.value.metadata == {"tool_call_id": "c", "run_id": RUN_ID}


def test_only_decisions_and_returns_are_answers() -> None:
    assert not is_answer((text("hi"),))
    assert is_answer((ApprovalInput(decisions=()),))
    assert is_answer((ReturnsInput(tool_returns=()),))


def test_what_an_answer_does_not_say_comes_from_the_run_that_waits() -> None:
    resumed = spec(model="m/a", system="s", response_format="{}", max_steps=3, metadata={"k": "v"})
    assert completed(spec("x", model="m/b"), resumed) == spec("x", model="m/b", system="s", response_format="{}")
