import resource
from pathlib import Path

import pytest

from letta_grpc.client import Accumulator, ToolOutput
from letta_grpc.v1 import events_pb2, messages_pb2, run_service_pb2, runs_pb2
from tests.support.scripted_server import log_of

Event = events_pb2.RunEvent
MEMORY = Path("/proc/self/statm")
needs_memory = pytest.mark.skipif(not MEMORY.exists(), reason="only Linux tells a process how much memory it has now")


def held() -> int:
    return int(MEMORY.read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def text_delta(message_id: str, text: str) -> Event:
    return Event(text_delta=events_pb2.TextDelta(message_id=message_id, text=text))


def completed(message_id: str, text: str, role: "messages_pb2.Role.ValueType" = messages_pb2.ROLE_ASSISTANT) -> Event:
    content = [messages_pb2.ContentPart(text=text)] if text else []
    message = messages_pb2.Message(id=message_id, role=role, content=content)
    return Event(message_completed=events_pb2.MessageCompleted(message=message))


def fold(*events: Event) -> Accumulator:
    accumulator = Accumulator()
    for event in events:
        accumulator.add(event)
    return accumulator


def test_a_whole_log_adds_up_to_its_message_and_its_run() -> None:
    log = log_of(["Hel", "lo"])
    whole = fold(*log)
    assert whole.text == "Hello"
    assert whole.run == log[-1].run_finished.run
    assert whole.drafts == []


def test_deltas_add_up_to_a_draft() -> None:
    reasoning = Event(reasoning_delta=events_pb2.ReasoningDelta(message_id="m", text="hm"))
    (draft,) = fold(reasoning, text_delta("m", "a"), text_delta("m", "b")).drafts
    assert draft.content == [messages_pb2.ContentPart(reasoning="hm"), messages_pb2.ContentPart(text="ab")]


def test_a_signature_adds_nothing_to_what_can_be_read() -> None:
    signed = Event(reasoning_delta=events_pb2.ReasoningDelta(message_id="m", signature="proof"))
    (draft,) = fold(signed, text_delta("m", "a")).drafts
    assert draft.content == [messages_pb2.ContentPart(text="a")]


def test_tool_call_deltas_add_up_by_index() -> None:
    def delta(index: int, arguments: str) -> Event:
        piece = events_pb2.ToolCallDelta(
            message_id="m", call_index=index, tool_call_id=f"call-{index}", name="look", arguments=arguments
        )
        return Event(tool_call_delta=piece)

    (draft,) = fold(delta(0, "{"), delta(1, "[1"), delta(0, "}"), delta(1, "]")).drafts
    assert [(call.id, call.arguments) for call in draft.tool_calls] == [("call-0", "{}"), ("call-1", "[1]")]


@needs_memory
def test_long_arguments_take_the_memory_that_they_are_long() -> None:
    delta = Event(tool_call_delta=events_pb2.ToolCallDelta(message_id="m", tool_call_id="call-0", arguments="word " * 4))
    before = held()
    accumulator = fold(*[delta] * 5_000)
    assert held() - before < 50 << 20
    assert len(accumulator.drafts[0].tool_calls[0].arguments) == 100_000


KEPT = [
    completed("one", "Hi"),
    Event(tool_return=messages_pb2.ToolReturn(tool_call_id="call-0")),
    Event(child_run_started=events_pb2.ChildRunStarted(run_id="child")),
    Event(context_compacted=events_pb2.ContextCompacted()),
    Event(approval_request=events_pb2.ApprovalRequest(actions=[runs_pb2.PendingAction()])),
    Event(run_started=events_pb2.RunStarted(run=runs_pb2.Run(id="run"))),
    Event(run_finished=events_pb2.RunFinished(run=runs_pb2.Run(id="run"))),
]


@needs_memory
@pytest.mark.parametrize("kept", KEPT, ids=[event.WhichOneof("payload") for event in KEPT])
def test_what_is_kept_does_not_keep_the_response_that_it_came_with(kept: Event) -> None:
    response = run_service_pb2.AttachRunResponse(events=[*(text_delta("one", "word ") for _ in range(4_000)), kept])
    body = response.SerializeToString()
    before = held()
    accumulators = [fold(run_service_pb2.AttachRunResponse.FromString(body).events[-1]) for _ in range(100)]
    assert held() - before < 10 << 20
    assert len(accumulators) == 100


def test_a_completed_message_replaces_its_deltas_and_keeps_their_place() -> None:
    both = fold(text_delta("one", "x"), completed("two", "second"), completed("one", "first"))
    assert [message.id for message in both.messages] == ["one", "two"]
    assert both.text == "first\n\nsecond"


def test_a_restarted_step_takes_back_what_its_void_messages_said() -> None:
    restarted = Event(step_restarted=events_pb2.StepRestarted(step_id="s", attempt=2, void_message_ids=["void"]))
    rest = fold(completed("kept", "kept"), text_delta("void", "x"), restarted, completed("new", "again"))
    assert [message.id for message in rest.messages] == ["kept", "new"]
    assert rest.drafts == []


def test_text_leaves_out_tools_and_silent_messages() -> None:
    tool = completed("t", "42", messages_pb2.ROLE_TOOL)
    assert fold(completed("silent", ""), tool, completed("answer", "It is 42.")).text == "It is 42."


def test_tool_returns_are_kept_by_call() -> None:
    given = messages_pb2.ToolReturn(tool_call_id="call-1", text="42")
    assert fold(Event(tool_return=given)).tool_returns == {"call-1": given}


def test_a_draft_speaks_as_its_message_began() -> None:
    started = Event(message_started=events_pb2.MessageStarted(message_id="m", role=messages_pb2.ROLE_APPROVAL))
    (draft,) = fold(started).drafts
    assert draft.role == messages_pb2.ROLE_APPROVAL


def wrote(text: str, stream: "events_pb2.OutputStream.ValueType" = events_pb2.OUTPUT_STREAM_STDOUT) -> Event:
    return Event(tool_output_delta=events_pb2.ToolOutputDelta(tool_call_id="call-1", stream=stream, text=text))


def test_what_a_tool_writes_adds_up_by_stream_and_begins_anew_with_the_tool() -> None:
    began = Event(tool_execution_started=events_pb2.ToolExecutionStarted(tool_call_id="call-1"))
    stderr = events_pb2.OUTPUT_STREAM_STDERR
    assert fold(began, wrote("a"), wrote("b"), wrote("!", stderr)).tool_output == {"call-1": ToolOutput("ab", "!")}
    assert fold(began, wrote("a"), began, wrote("b")).tool_output == {"call-1": ToolOutput("b")}


def test_calls_wait_until_the_next_run_of_the_turn_begins() -> None:
    action = runs_pb2.PendingAction(tool_call_id="call-1")
    asked = Event(approval_request=events_pb2.ApprovalRequest(actions=[action]))
    next_run = Event(run_started=events_pb2.RunStarted(run=runs_pb2.Run(id="run-2")))
    assert list(fold(asked).pending_actions) == [action]
    assert list(fold(asked, next_run).pending_actions) == []


def test_compactions_and_runs_of_other_agents_are_kept() -> None:
    compacted = events_pb2.ContextCompacted(dropped_messages=3)
    child = events_pb2.ChildRunStarted(run_id="run-2")
    both = fold(Event(context_compacted=compacted), Event(child_run_started=child))
    assert (both.compactions, both.child_runs) == ([compacted], [child])


def test_unknown_kinds_change_nothing() -> None:
    assert fold(Event(sequence_number=1)).messages == []
