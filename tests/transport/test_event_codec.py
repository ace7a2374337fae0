import json
import os
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st

from letta_grpc.domain.approvals import ActionKind, PendingAction
from letta_grpc.domain.events import (
    ApprovalRequested,
    ChildRunStarted,
    ContextCompacted,
    Custom,
    MessageCompleted,
    MessageStarted,
    NumberedEvent,
    ReasoningDelta,
    RunEvent,
    RunFinished,
    RunStarted,
    StepCompleted,
    StepRestarted,
    StepStarted,
    TextDelta,
    ToolCallDelta,
    ToolExecutionStarted,
    ToolOutputDelta,
    ToolReturned,
)
from letta_grpc.domain.frames import split_frames
from letta_grpc.domain.ids import MessageId
from letta_grpc.domain.messages import (
    Approve,
    Deny,
    ImagePart,
    Message,
    ReasoningPart,
    Role,
    TextPart,
    ToolCall,
    ToolReturn,
    ToolReturnStatus,
)
from letta_grpc.domain.runs import RunError, RunState, StopReason
from letta_grpc.domain.tools import OutputStream
from letta_grpc.domain.usage import Timing, Usage
from letta_grpc.transport.convert.codec import ProtoEventCodec, body_of
from letta_grpc.transport.convert.events import PAYLOADS
from letta_grpc.v1 import events_pb2, run_service_pb2
from tests.requirements.registry import requirement
from tests.support.values import AGENT_ID, NOW, RUN_ID, STEP_ID, events
from tests.support.values import run as plain_run

GOLDEN = Path(__file__).parent / "golden"
MEMORY = Path("/proc/self/statm")
CODEC = ProtoEventCodec()
TIME_NS = 1_893_499_200_123_456_789
MESSAGE_ID = MessageId("message-00000000-0000-4000-8000-000000000001")
LONG = MessageId("x" * 100_000)
RETURN = ToolReturn(
    tool_call_id="call_1", status=ToolReturnStatus.ERROR, text="no such block", stdout=("looking",), stderr=("not there",)
)
ACTION = PendingAction(
    tool_call_id="call_1",
    kind=ActionKind.APPROVAL,
    name="delete_file",
    arguments='{"path": "a"}',
    message_id=MESSAGE_ID,
    step_id=STEP_ID,
    expire_time=NOW,
)
ENDED = plain_run(
    state=RunState.FAILED,
    stop_reason=StopReason.MODEL_ERROR,
    attempt=2,
    start_time=NOW,
    end_time=NOW,
    usage=Usage(prompt_tokens=0, completion_tokens=7),
    timing=Timing(time_to_first_token=0.25, total=1.5, tokens_per_second=5.6),
    pending_actions=(ACTION,),
    resumes_run_id=RUN_ID,
    parent_run_ids=(RUN_ID,),
    input_message_ids=(MESSAGE_ID,),
    error=RunError(reason="MODEL_OVERLOADED", message="busy", metadata={"provider": "openai"}),
    background=True,
    metadata={"ticket": "7"},
)
EXAMPLES: tuple[RunEvent, ...] = (
    RunStarted(plain_run(start_time=NOW, input_message_ids=(MESSAGE_ID,))),
    StepStarted(STEP_ID, 0, "openai/gpt"),
    MessageStarted(MESSAGE_ID, STEP_ID, Role.ASSISTANT),
    TextDelta(MESSAGE_ID, 1, "Grüße"),
    ReasoningDelta(MESSAGE_ID, "Hm."),
    ToolCallDelta(MESSAGE_ID, 1, "call_1", "memory_insert", '{"label": '),
    MessageCompleted(
        Message(
            id=MESSAGE_ID,
            role=Role.ASSISTANT,
            content=(ReasoningPart("Hm.", "proof"), TextPart("Grüße"), ImagePart(media_type="image/png", data="AAEC")),
            tool_calls=(ToolCall(id="call_1", name="memory_insert", arguments='{"label": "human"}', provider_id="0"),),
            tool_returns=(RETURN,),
            decisions=(Approve(tool_call_id="call_1", arguments="{}"), Deny(tool_call_id="call_2", reason="no")),
            otid="mine-1",
            name="ada",
            run_id=RUN_ID,
            step_id=STEP_ID,
            model="openai/gpt",
            create_time=NOW,
        ),
        Usage(prompt_tokens=7, completion_tokens=2, step_count=1),
    ),
    ToolExecutionStarted("call_1"),
    ToolOutputDelta("call_1", OutputStream.STDERR, "50 %\n"),
    ToolReturned(RETURN),
    ChildRunStarted("call_1", RUN_ID, AGENT_ID),
    ApprovalRequested((ACTION,)),
    ContextCompacted(
        summary=Message(id=MESSAGE_ID, role=Role.SUMMARY, content=(TextPart("So far."),), run_id=RUN_ID, create_time=NOW),
        kept_from=MESSAGE_ID,
        dropped_messages=12,
        tokens_before=30_000,
        tokens_after=9000,
        by_model=True,
    ),
    Custom("progress", '{"done": 3}'),
    StepCompleted(STEP_ID, Usage(total_tokens=9, step_count=1), Timing(total=0.5)),
    StepRestarted(STEP_ID, 2, (MESSAGE_ID,)),
    RunFinished(ENDED),
)


def as_the_wire_tells(event: RunEvent) -> RunEvent:
    """No name and an empty one are the same there."""
    match event:
        case MessageCompleted(message=message):
            return replace(event, message=message_as_the_wire_tells(message))
        case ContextCompacted(summary=summary, kept_from=kept_from):
            return replace(event, summary=message_as_the_wire_tells(summary), kept_from=kept_from or None)
        case _:
            return event


def message_as_the_wire_tells(message: Message) -> Message:
    told = {"name": message.name or None, "step_id": message.step_id or None, "model": message.model or None}
    return replace(message, **told)  # type: ignore[arg-type]  # fields by name


@settings(max_examples=60, deadline=None)
@given(events(), st.integers(1, 2**31 - 1), st.integers(0, 2**62))
def test_any_event_survives_the_wire(event: RunEvent, number: int, time_ns: int) -> None:
    decoded = CODEC.decode(CODEC.encode(number, time_ns, event))
    assert decoded == NumberedEvent(number, time_ns, as_the_wire_tells(event))


@settings(max_examples=20, deadline=None)
@given(st.lists(events(), max_size=4))
def test_frames_behind_each_other_are_the_events_of_a_response(some: list[RunEvent]) -> None:
    frames = [CODEC.encode(number, TIME_NS, event) for number, event in enumerate(some, start=1)]
    joined = b"".join(frames)
    assert list(split_frames(joined)) == frames
    for response in (run_service_pb2.StreamRunResponse, run_service_pb2.AttachRunResponse):
        read = response.FromString(joined)
        assert [event.SerializeToString(deterministic=True) for event in read.events] == [body_of(frame) for frame in frames]


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 16383, 16384, 2_000_000])
def test_an_event_of_any_size_is_one_frame(size: int) -> None:
    delta = TextDelta(MESSAGE_ID, 0, "x" * size)
    frame = CODEC.encode(1, TIME_NS, delta)
    assert list(split_frames(frame)) == [frame]
    assert CODEC.decode(frame).event == delta


def test_a_reused_template_forgets_the_event_before() -> None:
    CODEC.encode(7, TIME_NS, TextDelta(MESSAGE_ID, 3, "before"))
    assert CODEC.decode(CODEC.encode(8, 0, TextDelta(MESSAGE_ID, 0, ""))) == NumberedEvent(8, 0, TextDelta(MESSAGE_ID, 0, ""))


@pytest.mark.skipif(not MEMORY.exists(), reason="only Linux tells a process how much memory it has at the moment")
@pytest.mark.parametrize("delta_of", [lambda id_, text: TextDelta(id_, 0, text), ReasoningDelta], ids=["text", "reasoning"])
@pytest.mark.parametrize("strings", [(MESSAGE_ID, LONG), (LONG, "x")], ids=["long text", "long id"])
def test_a_reused_template_keeps_nothing_of_the_events_before(
    delta_of: Callable[[MessageId, str], RunEvent], strings: tuple[MessageId, str]
) -> None:
    def held() -> int:
        return int(MEMORY.read_text(encoding="ascii").split()[1]) * resource.getpagesize()

    delta = delta_of(*strings)
    CODEC.encode(1, TIME_NS, delta)
    before = held()
    for number in range(1_000):
        CODEC.encode(number + 1, TIME_NS, delta)
    assert held() - before < 20 << 20


def test_the_same_event_has_the_same_bytes_whoever_encodes_it() -> None:
    for event in EXAMPLES:
        assert CODEC.encode(3, TIME_NS, event) == ProtoEventCodec().encode(3, TIME_NS, event)


def test_there_is_an_example_of_every_event() -> None:
    assert {type(event) for event in EXAMPLES} == set(get_args(RunEvent)) == set(PAYLOADS)


def test_every_kind_bears_the_number_of_its_payload() -> None:
    fields = events_pb2.RunEvent.DESCRIPTOR.oneofs_by_name["payload"].fields
    kinds = {f"EVENT_KIND_{field.name.upper()}": field.number for field in fields if field.name != "heartbeat"}
    assert kinds == {name: number for name, number in events_pb2.EventKind.items() if number}


@requirement("complaint_23_one_shape")
@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: PAYLOADS[type(event)])
def test_the_json_of_an_event_stays_as_others_know_it(event: RunEvent) -> None:
    message = events_pb2.RunEvent.FromString(body_of(CODEC.encode(4, TIME_NS, event)))
    assert message.WhichOneof("payload") == PAYLOADS[type(event)]
    found = json.dumps(MessageToDict(message), indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    golden = GOLDEN / f"{PAYLOADS[type(event)]}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(found)
    assert found == golden.read_text()
