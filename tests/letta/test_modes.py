"""What events become in either mode, event by event: what no scripted model sends, and no talk shows."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from letta_grpc.domain.completions import (
    HiddenReasoningChunk,
    ModelChunk,
    ReasoningChunk,
    ReasoningSealChunk,
    ReasoningSummaryChunk,
    TextChunk,
    ToolCallChunk,
)
from letta_grpc.domain.events import MessageCompleted
from letta_grpc.domain.ids import RunId, StepId
from letta_grpc.engine.answer import Admission, Answer
from letta_grpc.gateway.faces.letta.modes import View
from letta_grpc.gateway.faces.letta.shapes.messages import Item, items_of
from letta_grpc.gateway.faces.letta.steps_mode import StepsMode
from letta_grpc.gateway.faces.letta.tokens_mode import TokensMode
from letta_grpc.gateway.turns import BEGUN_AGAIN
from letta_grpc.transport.convert.codec import ProtoEventCodec, body_of
from letta_grpc.v1 import events_pb2 as pb
from letta_grpc.v1 import messages_pb2
from tests.support.values import NOW

CODEC = ProtoEventCodec()
RUN = "run-00000000-0000-4000-8000-000000000001"
STEP = "step-00000000-0000-4000-8000-000000000001"
SAID = "message-00000000-0000-4000-8000-0000000000ff"
RETURNED = "message-00000000-0000-4000-8000-000000000fff"
Part = messages_pb2.ContentPart


def message(role: messages_pb2.Role.ValueType, id_: str = SAID, **fields: Any) -> messages_pb2.Message:  # noqa: ANN401 - fields by name
    return messages_pb2.Message(id=id_, role=role, run_id=RUN, step_id=STEP, **fields)


def completed(told: messages_pb2.Message) -> pb.RunEvent:
    return pb.RunEvent(message_completed=pb.MessageCompleted(message=told))


def began() -> pb.RunEvent:
    return pb.RunEvent(message_started=pb.MessageStarted(message_id=SAID, step_id=STEP, role=messages_pb2.ROLE_ASSISTANT))


def text(words: str, part: int = 0) -> pb.RunEvent:
    return pb.RunEvent(text_delta=pb.TextDelta(message_id=SAID, content_index=part, text=words))


def thought(words: str) -> pb.RunEvent:
    return pb.RunEvent(reasoning_delta=pb.ReasoningDelta(message_id=SAID, text=words))


def told(mode: Callable[[str, View], StepsMode | TokensMode], *events: pb.RunEvent, **view: Any) -> list[Item]:  # noqa: ANN401 - fields by name
    made, numbers = mode(RUN, View(**view)), count(1)
    items = []
    for event in events:
        event.sequence_number = next(numbers)
        items += made.of(event)
    return items


def brief(items: Sequence[Item]) -> list[tuple[str, str, int]]:
    return [(item["message_type"], str(item["otid"])[-2:], item["seq_id"]) for item in items]


SEALED = [Part(reasoning="Hm.", signature="seal"), Part(redacted_reasoning="xyz"), Part(text="Well.")]


def test_in_steps_each_piece_has_a_number_of_its_own() -> None:
    events = (began(), thought("Hm."), text("Well.", 2), completed(message(messages_pb2.ROLE_ASSISTANT, content=SEALED)))
    items = told(StepsMode, *events)
    expected = [("reasoning_message", "80", 2), ("hidden_reasoning_message", "81", 3), ("assistant_message", "82", 4)]
    assert brief(items) == expected
    assert (items[0]["signature"], items[1]["hidden_reasoning"], items[1]["state"]) == ("seal", "xyz", "redacted")


def answered(chunks: Sequence[ModelChunk]) -> tuple[list[pb.RunEvent], messages_pb2.Message]:
    """The events of an answer that comes as these chunks, and what is stored of it."""
    answer = Answer(RunId(RUN), StepId(STEP), "m", (), admit=lambda _: Admission())
    events = [event for chunk in chunks for event in answer.take([chunk])]
    events += map(MessageCompleted, answer.messages(NOW))
    coded = [pb.RunEvent.FromString(body_of(CODEC.encode(1, 0, event))) for event in events]
    return coded, coded[-1].message_completed.message


def joined(items: Sequence[Item]) -> list[tuple[Any, ...]]:
    """Pieces put together by their otid, in the order in which they begin: kind, otid, words, signature."""
    whole: dict[str, list[Item]] = {}
    for item in items:
        whole.setdefault(item["otid"], []).append(item)
    return [(of[0]["message_type"], otid, "".join(map(words_of, of)), signatures_of(of)) for otid, of in whole.items()]


def words_of(item: Item) -> str:
    call = item["tool_call"]["arguments"] if "tool_call" in item else ""
    return item.get("content") or item.get("reasoning") or item.get("hidden_reasoning") or call


def signatures_of(items: Sequence[Item]) -> list[str]:
    return [item["signature"] for item in items if item.get("signature")]


CALL = ToolCallChunk(0, "call-1", "f", "{}")
CONTENT = st.one_of(
    st.builds(ReasoningChunk, st.sampled_from("ab")),
    st.builds(ReasoningSummaryChunk, st.sampled_from("cd")),
    st.builds(ReasoningSealChunk, st.sampled_from(["s1", "s2"])),
    st.builds(HiddenReasoningChunk, st.sampled_from([None, "x", "y"])),
    st.builds(TextChunk, st.sampled_from("vw")),
)
ANSWERS = st.builds(
    lambda content, calls: [*content, *calls], st.lists(CONTENT, min_size=1, max_size=9), st.sampled_from([[], [CALL]])
)


@given(ANSWERS)
@example([ReasoningChunk("Hm. "), ReasoningChunk("ok"), ReasoningSealChunk("s"), TextChunk("Well "), TextChunk("then.")])
@example([HiddenReasoningChunk("x"), TextChunk("Well "), TextChunk("then.")])
@example(
    [
        ReasoningChunk("A"),
        ReasoningSealChunk("s"),
        HiddenReasoningChunk("x"),
        ReasoningChunk("B"),
        ReasoningSealChunk("t"),
        CALL,
    ]
)
def test_in_tokens_an_answer_comes_in_the_order_and_under_the_names_of_the_history(chunks: list[ModelChunk]) -> None:
    events, stored = answered(chunks)
    assert joined(told(TokensMode, *events)) == joined(items_of(stored))


@pytest.mark.parametrize("mode", [StepsMode, TokensMode])
@given(ANSWERS)
def test_a_reader_that_resumes_behind_any_piece_gets_the_others_once(
    mode: Callable[[str, View], StepsMode | TokensMode], chunks: list[ModelChunk]
) -> None:
    events, _ = answered(chunks)
    items = told(mode, *events)
    for place, item in enumerate(items, start=1):
        assert [other for other in items if View(after=item["seq_id"]).passes(other)] == items[place:]
    assert items[-1]["seq_id"] <= len(events)


def test_what_proves_a_call_does_not_cut_the_calls_in_two() -> None:
    proof = HiddenReasoningChunk("proof")
    events, stored = answered([TextChunk("Well."), proof, CALL, proof, ToolCallChunk(1, "call-2", "f", "{}")])
    items = told(TokensMode, *events)
    assert len({item["otid"] for item in items if item["message_type"] == "tool_call_message"}) == 1
    assert [name[:2] for name in joined(items)] == [name[:2] for name in joined(items_of(stored))]


def test_a_call_that_no_delta_has_told_is_told_with_its_message() -> None:
    """A call by which an agent speaks is heard, not shown; if it says nothing, its return stood alone."""
    silent = messages_pb2.ToolCall(id="call-1", name="send_message", arguments="{}")
    events = (began(), completed(message(messages_pb2.ROLE_ASSISTANT, tool_calls=[silent])))
    (item,) = told(TokensMode, *events)
    assert (item["message_type"], item["otid"]) == (
        "tool_call_message",
        items_of(events[1].message_completed.message)[0]["otid"],
    )
    assert item["tool_calls"] == {"name": "send_message", "arguments": "{}", "tool_call_id": "call-1"}


def test_a_spoken_call_that_waits_is_told_with_its_message() -> None:
    asked = messages_pb2.ToolCall(id="call-1", name="send_message", arguments='{"message": "Well."}')
    request = message(messages_pb2.ROLE_APPROVAL, RETURNED, tool_calls=[asked])
    asks = pb.MessageStarted(message_id=RETURNED, step_id=STEP, role=messages_pb2.ROLE_APPROVAL)
    items = told(TokensMode, began(), text("Well."), pb.RunEvent(message_started=asks), completed(request))
    assert [item["message_type"] for item in items] == ["assistant_message", "approval_request_message"]
    assert (items[1]["id"], items[1]["otid"]) == (RETURNED, RETURNED)


def test_pieces_of_one_event_bear_the_next_numbers_where_those_before_it_are_taken() -> None:
    content = [Part(redacted_reasoning="x"), Part(reasoning="b"), Part(text="c")]
    first = message(messages_pb2.ROLE_ASSISTANT, content=[Part(text="a")])
    items = told(StepsMode, completed(first), completed(message(messages_pb2.ROLE_ASSISTANT, RETURNED, content=content)))
    assert [item["seq_id"] for item in items] == [1, 2, 3, 4]


def test_pieces_of_one_kind_that_follow_each_other_are_one() -> None:
    parts = [Part(text="a"), Part(text="b"), Part(reasoning="c"), Part(text="d")]
    items = items_of(message(messages_pb2.ROLE_ASSISTANT, content=parts))
    assert [item.get("content", item.get("reasoning")) for item in items] == ["ab", "c", "d"]
    deltas = told(TokensMode, began(), text("a", 0), text("b", 1), thought("c"), text("d", 3))
    assert [item["otid"] for item in deltas] == [items[0]["otid"], items[0]["otid"], items[1]["otid"], items[2]["otid"]]


def test_a_message_of_more_pieces_than_an_otid_can_tell_apart_is_told_all_the_same() -> None:
    parts = [Part(text="x") if place % 2 else Part(reasoning="y") for place in range(200)]
    items = items_of(message(messages_pb2.ROLE_ASSISTANT, content=parts))
    assert len(items) == 200
    assert len({item["otid"] for item in items}) == 128


@pytest.mark.parametrize("mode", [StepsMode, TokensMode])
def test_a_call_that_speaks_is_told_once_as_words(mode: Callable[[str, View], StepsMode | TokensMode]) -> None:
    call = messages_pb2.ToolCall(id="c1", name="send_message", arguments='{"message": "Hi"}')
    said = message(messages_pb2.ROLE_ASSISTANT, content=[Part(text="Hi")], tool_calls=[call])
    back = messages_pb2.ToolReturn(tool_call_id="c1", status=messages_pb2.TOOL_RETURN_STATUS_SUCCESS, text="Sent.")
    returned = message(messages_pb2.ROLE_TOOL, RETURNED, tool_returns=[back])
    items = told(mode, began(), text("Hi"), completed(said), completed(returned))
    assert [item["message_type"] for item in items] == ["assistant_message"]


@pytest.mark.parametrize("mode", [StepsMode, TokensMode])
@pytest.mark.parametrize("role", [messages_pb2.ROLE_USER, messages_pb2.ROLE_SYSTEM])
def test_what_the_caller_said_is_not_told_again(
    mode: Callable[[str, View], StepsMode | TokensMode], role: messages_pb2.Role.ValueType
) -> None:
    assert told(mode, completed(message(role, content=[Part(text="And be quick.")]))) == []


@pytest.mark.parametrize("mode", [StepsMode, TokensMode])
def test_a_compaction_is_told_to_those_who_asked(mode: Callable[[str, View], StepsMode | TokensMode]) -> None:
    summary = message(messages_pb2.ROLE_SUMMARY, content=[Part(text="Before.")])
    event = pb.RunEvent(context_compacted=pb.ContextCompacted(summary=summary, tokens_before=9, tokens_after=3))
    assert told(mode, event) == []
    begun, done = told(mode, pb.RunEvent(), event, compactions=True)
    assert (begun["message_type"], begun["event_type"]) == ("event_message", "compaction")
    assert (done["message_type"], done["summary"]) == ("summary_message", "Before.")
    assert (done["compaction_stats"]["context_tokens_before"], done["compaction_stats"]["context_tokens_after"]) == (9, 3)


@pytest.mark.parametrize("mode", [StepsMode, TokensMode])
def test_events_of_kinds_that_the_sdks_cannot_type_are_not_told(
    mode: Callable[[str, View], StepsMode | TokensMode],
) -> None:
    events = [
        pb.RunEvent(run_started=pb.RunStarted()),
        pb.RunEvent(step_started=pb.StepStarted()),
        pb.RunEvent(tool_execution_started=pb.ToolExecutionStarted(tool_call_id="c")),
        pb.RunEvent(tool_output_delta=pb.ToolOutputDelta(tool_call_id="c", text="x")),
        pb.RunEvent(approval_request=pb.ApprovalRequest()),
        pb.RunEvent(child_run_started=pb.ChildRunStarted()),
        pb.RunEvent(custom=pb.Custom(name="x", json="{}")),
        pb.RunEvent(step_completed=pb.StepCompleted()),
        pb.RunEvent(step_restarted=pb.StepRestarted()),
        completed(message(messages_pb2.ROLE_USER, content=[Part(text="Go on.")])),
        pb.RunEvent(),
    ]
    assert told(mode, *events) == []


def test_in_tokens_a_step_that_begins_again_says_what_is_void_to_readers_of_any_kind() -> None:
    void = pb.RunEvent(step_restarted=pb.StepRestarted(step_id=STEP, attempt=2, void_message_ids=[SAID, RETURNED]))
    (*_, item) = told(TokensMode, began(), text("Good mor"), void)
    assert item == {
        "message_type": "error_message",
        "run_id": RUN,
        "error_type": "step_restarted",
        "message": BEGUN_AGAIN,
        "detail": SAID,
        "seq_id": 3,
    }
    assert View(types=frozenset({"assistant_message"})).passes(item)
    assert told(StepsMode, began(), text("Good mor"), void) == []


def test_a_picture_is_shown_as_a_part() -> None:
    image = messages_pb2.Image(data=b"\x89PNG", media_type="image/png")
    (item,) = items_of(message(messages_pb2.ROLE_USER, content=[Part(text="See"), Part(image=image)]))
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}
    assert item["content"] == [{"type": "text", "text": "See"}, {"type": "image", "source": source}]
