from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letta_grpc.domain.compaction import (
    Cut,
    cut,
    is_worthwhile,
    summary_by_model,
    summary_by_rule,
    summary_message,
    tokens_of,
    transcript,
)
from letta_grpc.domain.history import make_whole
from letta_grpc.domain.ids import MessageId, StepId
from letta_grpc.domain.messages import Approve, ImagePart, Message, Role, TextPart, ToolCall, ToolReturn, ToolReturnStatus
from tests.support.values import NOW, RUN_ID, assistant, tool_message


def user(name: str, words: str = "hello", **fields: object) -> Message:
    plain = Message(
        id=MessageId(f"message-{name}"), role=Role.USER, content=(TextPart(words),), run_id=RUN_ID, create_time=NOW
    )
    return replace(plain, **fields)  # type: ignore[arg-type]  # any field


def summary(*texts: str) -> Message:
    return user("s", role=Role.SUMMARY, content=tuple(TextPart(text) for text in texts))


def asked(name: str, *calls: str) -> Message:
    return replace(assistant(name, *calls), role=Role.APPROVAL)


def names(messages: tuple[Message, ...]) -> str:
    return "".join(message.id.removeprefix("message-") for message in messages)


def chosen(*messages: Message, kept: int, may_keep_none: bool = False) -> Cut:
    found = cut(messages, kept, may_keep_none=may_keep_none)
    assert found
    return found


TALK = (user("a"), assistant("b", words="yes"), user("c"), assistant("d", words="no"), user("e"))


def test_the_newest_messages_that_fit_are_kept_and_begin_with_somebodys_words() -> None:
    found = chosen(*TALK, kept=tokens_of(TALK[1:]))
    assert (names(found.dropped), names(found.kept), found.kept_from) == ("ab", "cde", "message-c")
    assert names(chosen(*TALK, kept=tokens_of(TALK[3:])).kept) == "e"


def test_words_are_parted_from_their_answer_only_where_no_other_cut_fits() -> None:
    work = (user("a"), assistant("b", "1"), tool_message("c", "1"), assistant("d", "2"), tool_message("e", "2"))
    found = chosen(*work, kept=tokens_of(work[3:]))
    assert (names(found.dropped), names(found.kept)) == ("abc", "de")


def test_what_the_server_told_the_model_within_a_turn_does_not_open_one() -> None:
    told = user("c", step_id=StepId("step-1"))
    messages = (user("a"), assistant("b", words="hm"), told, assistant("d", words="yes"), user("e"))
    assert names(chosen(*messages, kept=tokens_of(messages[2:])).kept) == "e"


def test_the_newest_turn_stays_whatever_it_costs() -> None:
    work = (user("a"), assistant("b", "1"), tool_message("c", "1"))
    assert names(chosen(*work, kept=0).kept) == "bc"


def test_what_is_said_between_a_call_and_its_return_stays_with_them() -> None:
    work = (user("a"), assistant("b", "1"), user("c"), tool_message("d", "1"))
    assert names(chosen(*work, kept=0).kept) == "bcd"


def test_nothing_is_cut_where_nothing_can_leave() -> None:
    assert cut((), 0) is None
    assert cut((user("a"),), 0) is None
    assert cut((summary("x"), user("a")), 0) is None
    assert cut((), 0, may_keep_none=True) is None
    assert cut((summary("x"),), 0, may_keep_none=True) is None


def test_all_of_it_can_leave_if_that_is_what_is_wanted() -> None:
    found = chosen(*TALK, kept=0, may_keep_none=True)
    assert (names(found.dropped), found.kept, found.kept_from) == ("abcde", (), None)


def test_the_earlier_summary_is_neither_kept_nor_counted_among_what_leaves() -> None:
    old = summary("x")
    found = chosen(old, *TALK, kept=tokens_of(TALK[2:]))
    assert (found.summary, names(found.dropped), names(found.kept)) == (old, "ab", "cde")


def test_asked_calls_their_answers_and_their_returns_stay_together_with_what_was_said_beside_them() -> None:
    answer = user("d", role=Role.APPROVAL, content=(), decisions=(Approve(tool_call_id="2"),))
    batch = (assistant("b", "1"), asked("a", "2"), tool_message("c", "1"), answer, tool_message("e", "2"))
    for kept in range(0, tokens_of(batch) + 50, 5):
        found = chosen(user("u"), *batch, assistant("f", words="done"), kept=kept)
        assert names(found.kept) in ("f", "bacdef")
    alone = (user("u"), asked("a", "2"), answer, tool_message("e", "2"))
    assert names(chosen(*alone, kept=0).kept) == "ade"


def test_a_cut_is_worth_its_summary_only_if_enough_leaves() -> None:
    found = chosen(*TALK, kept=tokens_of(TALK[2:]))
    assert is_worthwhile(found, 100)
    assert not is_worthwhile(found, 1000)


ROLES = st.sampled_from(Role)
CALLS = st.lists(st.sampled_from("123456"), unique=True, max_size=2)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Message, ...]:
    """Histories of any order, calls and returns anywhere; a summary only where there can be one."""
    roles = draw(st.lists(ROLES.filter(lambda role: role is not Role.SUMMARY), max_size=8))
    messages = [summary("before")] if draw(st.booleans()) else []
    for index, role in enumerate(roles):
        calls = draw(CALLS) if role in (Role.ASSISTANT, Role.APPROVAL) else ()
        returns = draw(CALLS) if role is Role.TOOL else ()
        messages.append(
            replace(
                assistant(str(index), *(f"{call}" for call in calls), words=draw(st.sampled_from(["", "x" * 40, "y" * 400]))),
                role=role,
                tool_returns=tool_message("t", *returns).tool_returns,
                step_id=draw(st.sampled_from([None, StepId("step-1"), StepId("step-2")])),
            )
        )
    return tuple(messages)


@given(histories(), st.integers(0, 400))
def test_a_cut_keeps_all_in_order_and_parts_no_call_from_its_return(history: tuple[Message, ...], kept: int) -> None:
    found = cut(history, kept)
    if found is None:
        return
    assert (*((found.summary,) if found.summary else ()), *found.dropped, *found.kept) == history
    assert found.dropped
    assert found.kept
    # What is shown of the two parts is what is shown of the whole: no turn is torn.
    shown = make_whole((*found.dropped, *found.kept))
    assert [
        (message.tool_calls, [given.tool_call_id for given in message.tool_returns])
        for message in (*make_whole(found.dropped), *make_whole(found.kept))
    ] == [(message.tool_calls, [given.tool_call_id for given in message.tool_returns]) for message in shown]


@pytest.mark.parametrize("share", [0.6, 0.1])
def test_what_the_summary_is_written_from_has_the_earlier_summary_and_as_much_of_the_newest_as_there_is_room(
    share: float,
) -> None:
    messages = [user(str(index), f"fact {index} " + "x" * 300) for index in range(60)]
    found = chosen(summary("[Dropped.]", "Ada likes tea."), *messages, user("z"), kept=0)
    text = transcript(found, 8000, share)
    assert text.startswith("Earlier summary:\nAda likes tea.\n\n")
    assert "fact 59" in text
    assert len(text) <= 8000 * share * 4 + 100
    assert ("[Older messages are left out here.]" in text) is (share < 0.6)
    assert ("fact 0 " in text) is (share == 0.6)


def test_one_message_cannot_crowd_out_the_others_and_of_the_newest_there_is_something_in_any_case() -> None:
    huge = user("b", "begin " + "x" * 100_000 + " end")
    text = transcript(chosen(user("a", "the fact"), huge, user("c"), kept=0), 8000, 0.6)
    assert "the fact" in text
    assert "begin" in text
    assert "end" in text
    assert len(text) < 5000
    assert "begin" in transcript(chosen(user("a"), huge, user("c"), kept=0), 200, 0.6)


def test_what_the_summary_is_written_from_names_calls_returns_and_pictures() -> None:
    called = replace(assistant("b"), tool_calls=(ToolCall(id="1", name="look", arguments='{"at": "sky"}'),))
    given = ToolReturn(tool_call_id="1", status=ToolReturnStatus.SUCCESS, text="It is blue.")
    back = replace(tool_message("c"), tool_returns=(given,))
    picture = user("a", content=(TextPart("See:"), ImagePart(url="https://example.org/x.png")))
    text = transcript(chosen(picture, called, back, user("d"), kept=0), 8000, 0.6)
    assert text == 'user: See: [1 pictures]\nassistant: (calls look with {"at": "sky"})\ntool: It is blue.'


def test_a_summary_says_how_much_left_and_where_it_is_found() -> None:
    found = chosen(*TALK, kept=tokens_of(TALK[2:]))
    opening, body = summary_by_model(found, "  Ada said hello. ", 8000)
    assert "2 older messages" in opening.text
    assert "conversation_search" in opening.text
    assert body.text == "Ada said hello."


def test_a_summary_never_takes_more_than_its_share_of_the_window() -> None:
    found = chosen(summary("x", "z" * 50_000), user("a", "y" * 50_000), user("b"), kept=0)
    for content in (summary_by_model(found, "x" * 50_000, 1000), summary_by_rule(found, 1000)):
        assert len(content[1].text) < 600


def test_a_summary_that_no_model_wrote_has_the_earlier_one_and_the_last_words_of_the_user() -> None:
    heartbeat = user("h", "heartbeat", step_id=StepId("step-1"))
    found = chosen(summary("[Dropped.]", "Ada likes tea."), user("a", "Find me a pot."), heartbeat, user("c"), kept=0)
    opening, body = summary_by_rule(found, 8000)
    assert opening.text.startswith("[2 older messages of this conversation are no longer shown")
    assert body.text == "Ada likes tea.\n\nThe last that the user said in them: Find me a pot."
    assert summary_by_rule(chosen(assistant("a", words="x"), user("b"), kept=0), 8000)[1].text == ""


def test_a_summary_of_one_part_is_all_that_it_says() -> None:
    found = chosen(summary("Ada likes tea."), user("a"), user("b"), kept=0)
    assert "Ada likes tea." in transcript(found, 8000, 0.6)


def test_the_summary_s_message_is_no_part_of_a_step() -> None:
    message = summary_message((TextPart("x"),), id_=MessageId("message-1"), run_id=RUN_ID, model="m", time=NOW)
    assert (message.role, message.step_id, message.model, message.text) == (Role.SUMMARY, None, "m", "x")
