"""What events become in either mode, event by event: what no scripted model sends, and no talk shows."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import pytest

from letta_grpc.gateway.faces.letta.shapes.messages import Item, items_of
from letta_grpc.gateway.faces.letta.steps_mode import StepsMode
from letta_grpc.gateway.faces.letta.telling import View
from letta_grpc.gateway.faces.letta.tokens_mode import TokensMode
from letta_grpc.v1 import events_pb2 as pb
from letta_grpc.v1 import messages_pb2

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


def test_in_tokens_what_no_delta_has_told_comes_at_the_end() -> None:
    events = (began(), thought("Hm."), text("Well.", 2), completed(message(messages_pb2.ROLE_ASSISTANT, content=SEALED)))
    items = told(TokensMode, *events)
    kinds = ["reasoning_message", "assistant_message", "reasoning_message", "hidden_reasoning_message"]
    assert [item["message_type"] for item in items] == kinds
    assert (items[2]["reasoning"], items[2]["signature"]) == ("", "seal")


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


def test_a_picture_is_shown_as_a_part() -> None:
    image = messages_pb2.Image(data=b"\x89PNG", media_type="image/png")
    (item,) = items_of(message(messages_pb2.ROLE_USER, content=[Part(text="See"), Part(image=image)]))
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}
    assert item["content"] == [{"type": "text", "text": "See"}, {"type": "image", "source": source}]
