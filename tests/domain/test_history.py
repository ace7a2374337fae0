"""What a model is shown of a history, whatever state that is in."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from letta_grpc.domain.history import LOST_RETURN, UNANSWERED_RETURN, make_whole
from letta_grpc.domain.ids import MessageId, StepId
from letta_grpc.domain.messages import (
    Approve,
    ContentPart,
    Decision,
    Deny,
    ImagePart,
    Message,
    OmittedReasoningPart,
    ReasoningPart,
    RedactedReasoningPart,
    Role,
    SummarizedReasoningPart,
    TextPart,
    ToolCall,
    ToolReturnStatus,
)
from tests.requirements.registry import requirement
from tests.support.values import NOW, RUN_ID, assistant, returned, tool_message


def said(role: Role, words: str = "hello", name: str = "m", **fields: object) -> Message:
    plain = Message(id=MessageId(f"message-{name}"), role=role, content=(TextPart(words),), run_id=RUN_ID, create_time=NOW)
    return replace(plain, **fields)  # type: ignore[arg-type]  # any field


def asked(name: str, *calls: str, step: str | None = None) -> Message:
    message = replace(assistant(name, *calls), role=Role.APPROVAL)
    return replace(message, step_id=StepId(step)) if step else message


def answered(name: str, *decisions: Decision) -> Message:
    return said(Role.APPROVAL, name=name, content=(), decisions=decisions)


def returns_of(message: Message) -> list[tuple[str, str]]:
    return [(given.tool_call_id, given.text) for given in message.tool_returns]


def test_a_whole_history_stays_as_it_is() -> None:
    history = (said(Role.USER), assistant("a", "1", "2"), tool_message("b", "1", "2"), assistant("c", words="done"))
    assert make_whole(history) == history


def test_a_call_without_a_return_gets_an_error_return_right_behind_it() -> None:
    whole = make_whole([assistant("a", "1"), said(Role.USER)])
    assert [message.role for message in whole] == [Role.ASSISTANT, Role.TOOL, Role.USER]
    assert [(r.tool_call_id, r.status, r.text) for r in whole[1].tool_returns] == [("1", ToolReturnStatus.ERROR, LOST_RETURN)]


def test_a_return_without_a_call_is_left_out() -> None:
    assert make_whole([tool_message("a", "1"), assistant("b", words="on")]) == (assistant("b", words="on"),)
    whole = make_whole([assistant("a", "1"), tool_message("b", "2", "1")])
    assert returns_of(whole[1]) == [("1", "fine")]


def test_free_and_asked_calls_of_a_step_are_one_turn_with_all_returns_right_behind_it() -> None:
    later = replace(tool_message("e", "3", "2"), create_time=NOW + timedelta(minutes=1))
    history = [
        assistant("b", "1", words="Let me see."),
        asked("a", "2", "3"),
        tool_message("c", "1"),
        answered("d", Approve(tool_call_id="2"), Approve(tool_call_id="3")),
        later,
        assistant("f", words="done"),
    ]
    turn, back, done = make_whole(history)
    assert (turn.id, turn.role, turn.text) == (MessageId("message-b"), Role.ASSISTANT, "Let me see.")
    assert [call.id for call in turn.tool_calls] == ["1", "2", "3"]
    assert (back.id, back.role, back.create_time) == (MessageId("message-c"), Role.TOOL, later.create_time)
    assert [call_id for call_id, _ in returns_of(back)] == ["1", "2", "3"]
    assert done.text == "done"


def test_asked_calls_without_any_text_are_a_turn_of_their_own() -> None:
    turn, back = make_whole([asked("a", "1"), answered("b", Approve(tool_call_id="1")), tool_message("c", "1")])
    assert (turn.id, turn.role, back.role) == (MessageId("message-a"), Role.ASSISTANT, Role.TOOL)


def test_asked_calls_of_another_step_do_not_join_the_turn_before() -> None:
    shown = make_whole([assistant("a", "1"), asked("b", "2", step="step-other"), tool_message("c", "1", "2")])
    assert [[call.id for call in message.tool_calls] for message in shown if message.tool_calls] == [["1"], ["2"]]


def test_the_model_is_shown_the_arguments_that_were_approved_in_place_of_its_own() -> None:
    history = [asked("a", "1", "2"), answered("b", Approve(tool_call_id="1", arguments='{"x": 2}'), Approve(tool_call_id="2"))]
    turn, _ = make_whole([*history, tool_message("c", "1", "2")])
    assert [call.arguments for call in turn.tool_calls] == ['{"x": 2}', "{}"]


def test_a_call_that_nobody_answered_says_that_it_did_not_run_and_an_approved_one_that_it_may_have() -> None:
    _, back = make_whole([asked("a", "1", "2", "3"), answered("b", Approve(tool_call_id="2"), Deny(tool_call_id="3"))])
    assert returns_of(back) == [("1", UNANSWERED_RETURN), ("2", LOST_RETURN), ("3", LOST_RETURN)]


def test_answers_themselves_are_not_shown_and_answers_to_nothing_change_nothing() -> None:
    assert make_whole([answered("a", Approve(tool_call_id="9", arguments="{}")), said(Role.USER)]) == (said(Role.USER),)


def test_the_first_return_of_a_call_counts() -> None:
    again = replace(tool_message("c"), tool_returns=(returned("1", "other"),))
    _, back = make_whole([assistant("a", "1"), tool_message("b", "1"), again])
    assert returns_of(back) == [("1", "fine")]


def test_a_return_that_repeats_an_earlier_call_s_id_belongs_to_the_newest_call() -> None:
    shown = make_whole([assistant("a", "1"), tool_message("b", "1"), assistant("c", "1"), tool_message("d", "1")])
    assert [message.id for message in shown] == [f"message-{name}" for name in "abcd"]
    shown = make_whole([assistant("a", "1"), said(Role.USER), assistant("c", "1"), tool_message("d", "1")])
    assert [returns_of(message) for message in shown if message.tool_returns] == [[("1", LOST_RETURN)], [("1", "fine")]]


def test_a_call_that_repeats_an_id_of_its_own_turn_is_left_out() -> None:
    turn, back = make_whole([assistant("a", "1", "2", "1"), tool_message("b", "1", "2")])
    assert [call.id for call in turn.tool_calls] == ["1", "2"]
    assert [call_id for call_id, _ in returns_of(back)] == ["1", "2"]


def test_of_what_others_say_only_the_words_are_shown() -> None:
    odd = said(Role.USER, tool_calls=assistant("a", "1").tool_calls, tool_returns=(returned("1"),))
    assert make_whole([odd]) == (said(Role.USER),)


def test_a_summary_is_shown_as_a_users_message() -> None:
    (shown,) = make_whole([said(Role.SUMMARY, "Ada asked for tea.")])
    assert (shown.role, shown.text) == (Role.USER, "Ada asked for tea.")


@pytest.mark.parametrize(
    ("part", "is_shown"),
    [
        (TextPart("x"), True),
        (TextPart(""), False),
        (ImagePart(media_type="image/png", data="AA=="), True),
        (ReasoningPart("x"), False),
        (ReasoningPart("x", signature="s"), True),
        # What the provider signed stays even without words: it may be all there is of a thought.
        (ReasoningPart("", signature="s"), True),
        (RedactedReasoningPart("x"), True),
        (OmittedReasoningPart(), False),
        (SummarizedReasoningPart("x"), False),
    ],
)
def test_of_the_models_own_content_only_what_its_provider_takes_back_is_shown(part: ContentPart, is_shown: bool) -> None:  # noqa: FBT001 - a table
    (shown,) = make_whole([replace(assistant("a", words="so"), content=(part, TextPart("so")))])
    assert (part in shown.content) is is_shown
    assert TextPart("so") in shown.content


def test_what_a_model_thought_before_its_calls_stays_with_them() -> None:
    thoughts = (ReasoningPart("hm"), ReasoningPart(""), SummarizedReasoningPart("x"))
    turn, _ = make_whole([replace(assistant("a", "1"), content=thoughts), tool_message("b", "1")])
    assert turn.content == (ReasoningPart("hm"),)


def test_a_model_s_message_of_which_nothing_can_be_shown_is_left_out() -> None:
    assert make_whole([replace(assistant("a"), content=(ReasoningPart("hm"),)), said(Role.USER)]) == (said(Role.USER),)


CALL_IDS = st.sampled_from("123456")
IDS = st.lists(CALL_IDS, max_size=3)
STEPS = st.sampled_from([None, StepId("step-1"), StepId("step-2")])
PARTS: st.SearchStrategy[ContentPart] = st.sampled_from(
    [
        TextPart("words"),
        TextPart(""),
        ReasoningPart("hm"),
        ReasoningPart("hm", signature="s"),
        RedactedReasoningPart("x"),
        OmittedReasoningPart(),
        SummarizedReasoningPart("x"),
        ImagePart(url="https://example.org/x.png"),
    ]
)
DECISIONS = st.one_of(
    st.builds(Approve, tool_call_id=CALL_IDS, arguments=st.sampled_from([None, "{}", '{"edited": true}'])),
    st.builds(Deny, tool_call_id=CALL_IDS),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Message]:
    """Any history, the broken ones above all: any role with any calls, returns and decisions, in any order."""
    count = draw(st.integers(0, 8))
    return [
        Message(
            id=MessageId(f"message-{index}"),
            role=draw(st.sampled_from(Role)),
            content=tuple(draw(st.lists(PARTS, max_size=2))),
            tool_calls=tuple(ToolCall(id=call_id, name="tool", arguments="{}") for call_id in draw(IDS)),
            tool_returns=tuple(returned(call_id, f"from {index}") for call_id in draw(IDS)),
            decisions=tuple(draw(st.lists(DECISIONS, max_size=2))),
            run_id=RUN_ID,
            step_id=draw(STEPS),
            create_time=NOW + timedelta(seconds=index),
        )
        for index in range(count)
    ]


def check_whole(messages: Sequence[Message]) -> None:
    """Every call has exactly one return, in the one tool message right behind it, in the order of the calls."""
    due: list[str] = []
    for message in messages:
        if message.role is Role.TOOL:
            assert due
            assert [given.tool_call_id for given in message.tool_returns] == due
            due = []
        else:
            assert not due
            assert not message.tool_returns
            due = [call.id for call in message.tool_calls]
            assert len(set(due)) == len(due)
            assert not due or message.role is Role.ASSISTANT
    assert not due


@requirement("complaint_01_orphans")
@given(histories())
@example([])
def test_in_whatever_state_a_history_is_what_is_shown_of_it_is_whole(history: list[Message]) -> None:
    shown = make_whole(history)
    check_whole(shown)
    assert all(message.role not in (Role.APPROVAL, Role.SUMMARY) and not message.decisions for message in shown)


@given(histories())
def test_what_is_whole_already_stays_as_it_is(history: list[Message]) -> None:
    once = make_whole(history)
    assert make_whole(once) == once


@given(histories())
def test_what_was_said_keeps_its_order_and_nothing_is_shown_twice(history: list[Message]) -> None:
    spoken = [message.id for message in make_whole(history) if message.role is not Role.TOOL]
    places = [[message.id for message in history].index(message_id) for message_id in spoken]
    assert places == sorted(set(places))


@given(histories())
def test_every_word_of_others_than_the_model_is_shown(history: list[Message]) -> None:
    heard = [m.content for m in history if m.role in (Role.USER, Role.SYSTEM, Role.SUMMARY)]
    assert [m.content for m in make_whole(history) if m.role in (Role.USER, Role.SYSTEM)] == heard


@given(histories())
def test_every_return_that_is_shown_was_stored_or_says_that_it_is_missing(history: list[Message]) -> None:
    stored = [given for message in history if message.role is Role.TOOL for given in message.tool_returns]
    shown = [given for message in make_whole(history) for given in message.tool_returns]
    assert all(given in stored or given.text in (LOST_RETURN, UNANSWERED_RETURN) for given in shown)
