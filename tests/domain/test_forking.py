"""What a copy of a conversation holds."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letta_grpc.domain.agents import Conversation
from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.domain.forking import Fork, WholeConversation, forked
from letta_grpc.domain.history import make_whole
from letta_grpc.domain.ids import MessageId, StepId, new_agent_id, new_conversation_id, previous_message_id
from letta_grpc.domain.messages import Approve, Message, Role, TextPart
from letta_grpc.domain.runs import RunKind, RunState
from tests.support.values import NOW, RUN_ID, assistant, tool_message

CONVERSATION = Conversation(
    id=new_conversation_id(),
    agent_id=new_agent_id(),
    title="plans",
    is_default=True,
    model="m/own",
    metadata={"k": "v"},
    create_time=NOW,
    update_time=NOW,
)


def user(name: str, words: str = "hello", role: Role = Role.USER) -> Message:
    id_ = MessageId(f"message-{name}")
    return Message(id=id_, role=role, content=(TextPart(words),), otid=f"otid-{name}", run_id=RUN_ID, create_time=NOW)


def stepped(message: Message, step: str, role: Role | None = None) -> Message:
    return replace(message, step_id=StepId(step), role=role or message.role)


def fork(messages: Sequence[Message], up_to: str | None = None, **context: MessageId | None) -> Fork:
    source = WholeConversation(conversation=CONVERSATION, messages=tuple(messages), **context)
    return forked(source, model="m/m", time=NOW, up_to=MessageId(f"message-{up_to}") if up_to else None)


def texts(fork: Fork) -> list[str]:
    return [message.text for message in fork.copy.messages]


WAITING = (
    user("u", "may you?"),
    stepped(assistant("a", "free", words="I look."), "s"),
    stepped(tool_message("r", "free"), "s"),
    stepped(assistant("q", "risky", words=""), "s", Role.APPROVAL),
)


def test_a_copy_has_the_words_the_calls_and_the_otids_under_ids_of_its_own() -> None:
    source = (user("u"), assistant("a", "1", words=""), tool_message("t", "1"), assistant("b", words="done"))
    copy = fork(source)
    assert [replace(m, id=o.id, run_id=o.run_id) for m, o in zip(copy.copy.messages, source, strict=True)] == list(source)
    assert {message.run_id for message in copy.copy.messages} == {copy.ended.run.id}
    assert not {message.id for message in copy.copy.messages} & {message.id for message in source}


def test_a_copy_is_a_conversation_of_the_same_agent_and_never_the_default_one() -> None:
    made = fork([]).copy.conversation
    assert made == replace(CONVERSATION, id=made.id, is_default=False)
    named = forked(WholeConversation(conversation=CONVERSATION), model="m/m", time=NOW, title="other")
    assert (named.copy.conversation.title, named.copy.conversation.model) == ("other", "m/own")


def test_the_run_that_holds_a_copy_is_over() -> None:
    run = fork([user("u")]).ended.run
    assert (run.kind, run.state, run.end_time, run.model) == (RunKind.FORK, RunState.COMPLETED, NOW, "m/m")


def test_the_calls_of_a_copied_step_stand_one_id_below_its_words() -> None:
    answered = replace(user("y", "", Role.APPROVAL), content=(), decisions=(Approve(tool_call_id="risky"),))
    copy = fork([*WAITING, answered, stepped(tool_message("t", "risky"), "s")])
    said, asked = copy.copy.messages[1], copy.copy.messages[3]
    assert asked.id == previous_message_id(said.id)
    assert len(copy.copy.messages) == 6


def test_calls_without_words_of_their_step_have_an_id_of_their_own() -> None:
    alone = [stepped(assistant("q", "1", words=""), "s", Role.APPROVAL), stepped(tool_message("t", "1"), "s")]
    assert len({message.id for message in fork(alone).copy.messages}) == 2


def test_a_copy_ends_with_the_named_message() -> None:
    assert texts(fork([user("u", "one"), assistant("a", words="first"), user("v", "two")], up_to="a")) == ["one", "first"]


def test_a_message_that_the_conversation_has_not_is_named() -> None:
    with pytest.raises(InvalidRequest, match="up_to_message_id"):
        fork([user("u")], up_to="other")


def test_nothing_waits_in_a_copy() -> None:
    assert texts(fork(WAITING)) == ["may you?"]
    partly = replace(user("y", "", Role.APPROVAL), content=(), decisions=(Approve(tool_call_id="risky"),))
    assert texts(fork([*WAITING, partly])) == ["may you?"]


def test_a_step_at_work_is_not_copied_and_what_came_before_it_is() -> None:
    done = (user("u", "one"), stepped(assistant("a", "1", words="wait"), "s"), stepped(tool_message("t", "1"), "s"))
    working = stepped(assistant("b", "2", words="and"), "s2")
    assert texts(fork([*done, working])) == ["one", "wait", ""]
    assert texts(fork([user("u", "one"), assistant("b", "2", words="of no step")])) == ["one"]


def test_a_conversation_that_went_on_without_a_return_is_copied_as_it_is() -> None:
    source = [user("u", "one"), stepped(assistant("b", "2", words="lost"), "s"), user("v", "two")]
    assert texts(fork(source)) == ["one", "lost", "two"]


def test_a_copy_has_the_context_of_its_source() -> None:
    summary = user("s", "In short.", Role.SUMMARY)
    source = [user("u", "one"), user("v", "two"), summary, user("w", "three")]
    copied = fork(source, summary_id=summary.id, kept_from=source[1].id).copy
    assert (copied.summary_id, copied.kept_from) == (copied.messages[2].id, copied.messages[1].id)
    copied = fork(source, summary_id=summary.id).copy
    assert (copied.summary_id, copied.kept_from) == (copied.messages[2].id, None)


def test_of_the_summaries_only_the_one_in_the_context_is_copied() -> None:
    older, newer = user("s", "Old.", Role.SUMMARY), user("t", "New.", Role.SUMMARY)
    copied = fork([user("u", "one"), older, user("v", "two"), newer], summary_id=newer.id).copy
    assert [message.text for message in copied.messages] == ["one", "two", "New."]


def test_a_copy_from_before_the_summary_has_everything_in_its_context() -> None:
    summary = user("s", "In short.", Role.SUMMARY)
    source = [user("u", "one"), user("v", "two"), summary]
    copied = fork(source, up_to="v", summary_id=summary.id, kept_from=source[1].id).copy
    assert (len(copied.messages), copied.summary_id, copied.kept_from) == (2, None, None)


TURNS = st.lists(st.lists(st.integers(0, 3), min_size=0, max_size=3), max_size=4)


@given(turns=TURNS, cut=st.integers(0, 40), missing=st.booleans())
def test_a_copy_is_whole_wherever_it_is_cut(turns: list[list[int]], cut: int, missing: bool) -> None:  # noqa: FBT001 - drawn
    source: list[Message] = []
    for number, steps in enumerate(turns):
        source.append(user(f"u{number}"))
        for index, calls in enumerate(steps):
            step, ids = f"s{number}-{index}", [f"c{number}-{index}-{call}" for call in range(calls)]
            source.append(stepped(assistant(f"a{number}-{index}", *ids, words="hm"), step))
            if ids:
                source.append(stepped(tool_message(f"t{number}-{index}", *ids), step))
    if missing and source and source[-1].role is Role.TOOL:
        source.pop()
    copied = fork(source[:cut]).copy.messages
    assert make_whole(copied) == copied
    assert source[: len(copied)] == [replace(m, id=o.id, run_id=RUN_ID) for m, o in zip(copied, source, strict=False)]
