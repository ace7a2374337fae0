"""Events."""

from typing import assert_never

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
from letta_grpc.domain.ids import AgentId, MessageId, RunId, StepId
from letta_grpc.domain.messages import OmittedReasoningPart, RedactedReasoningPart
from letta_grpc.transport.convert.actions import action_from_pb, action_to_pb
from letta_grpc.transport.convert.enums import OUTPUT_STREAMS, ROLES
from letta_grpc.transport.convert.messages import message_from_pb, message_to_pb, tool_return_from_pb, tool_return_to_pb
from letta_grpc.transport.convert.runs import run_from_pb, run_to_pb
from letta_grpc.transport.convert.times import NANOS
from letta_grpc.transport.convert.usage import timing_from_pb, timing_to_pb, usage_from_pb, usage_to_pb
from letta_grpc.v1 import events_pb2 as pb

# The payloads as `RunEvent.payload` names them, by the class that they carry.
PAYLOADS: dict[type[RunEvent], str] = {
    RunStarted: "run_started",
    StepStarted: "step_started",
    MessageStarted: "message_started",
    TextDelta: "text_delta",
    ReasoningDelta: "reasoning_delta",
    ToolCallDelta: "tool_call_delta",
    MessageCompleted: "message_completed",
    ToolExecutionStarted: "tool_execution_started",
    ToolOutputDelta: "tool_output_delta",
    ToolReturned: "tool_return",
    ChildRunStarted: "child_run_started",
    ApprovalRequested: "approval_request",
    ContextCompacted: "context_compacted",
    Custom: "custom",
    StepCompleted: "step_completed",
    StepRestarted: "step_restarted",
    RunFinished: "run_finished",
}


def event_to_pb(sequence_number: int, create_time_ns: int, event: RunEvent) -> pb.RunEvent:
    """Return an event with its number and its time, exact to the nanosecond."""
    message = _payload_to_pb(event)
    message.sequence_number = sequence_number
    message.create_time.seconds, message.create_time.nanos = divmod(create_time_ns, NANOS)
    return message


def _payload_to_pb(event: RunEvent) -> pb.RunEvent:  # noqa: C901, PLR0911, PLR0912 - one arm per event
    match event:
        case TextDelta(message_id=id_, content_index=index, text=text):
            return pb.RunEvent(text_delta=pb.TextDelta(message_id=id_, content_index=index, text=text))
        case ReasoningDelta():
            return pb.RunEvent(reasoning_delta=_reasoning_delta(event))
        case ToolCallDelta():
            return pb.RunEvent(tool_call_delta=_tool_call_delta(event))
        case RunStarted(run=run):
            return pb.RunEvent(run_started=pb.RunStarted(run=run_to_pb(run)))
        case StepStarted(step_id=id_, index=index, model=model):
            return pb.RunEvent(step_started=pb.StepStarted(step_id=id_, index=index, model=model))
        case MessageStarted(message_id=id_, step_id=step_id, role=role):
            started = pb.MessageStarted(message_id=id_, step_id=step_id, role=ROLES.to_pb[role])
            return pb.RunEvent(message_started=started)
        case MessageCompleted(message=message, usage=spent):
            completed = pb.MessageCompleted(message=message_to_pb(message), usage=usage_to_pb(spent) if spent else None)
            return pb.RunEvent(message_completed=completed)
        case ToolExecutionStarted(tool_call_id=id_):
            return pb.RunEvent(tool_execution_started=pb.ToolExecutionStarted(tool_call_id=id_))
        case ToolOutputDelta(tool_call_id=id_, stream=stream, text=text):
            delta = pb.ToolOutputDelta(tool_call_id=id_, stream=OUTPUT_STREAMS.to_pb[stream], text=text)
            return pb.RunEvent(tool_output_delta=delta)
        case ToolReturned(tool_return=returned):
            return pb.RunEvent(tool_return=tool_return_to_pb(returned))
        case ChildRunStarted(tool_call_id=id_, run_id=run_id, agent_id=agent_id):
            return pb.RunEvent(child_run_started=pb.ChildRunStarted(tool_call_id=id_, run_id=run_id, agent_id=agent_id))
        case ApprovalRequested(actions=actions):
            return pb.RunEvent(approval_request=pb.ApprovalRequest(actions=[action_to_pb(action) for action in actions]))
        case ContextCompacted():
            return pb.RunEvent(context_compacted=_compacted_to_pb(event))
        case Custom(name=name, json=json):
            return pb.RunEvent(custom=pb.Custom(name=name, json=json))
        case StepCompleted(step_id=id_, usage=usage, timing=timing):
            ended = pb.StepCompleted(step_id=id_, usage=usage_to_pb(usage), timing=timing_to_pb(timing))
            return pb.RunEvent(step_completed=ended)
        case StepRestarted(step_id=id_, attempt=attempt, void_message_ids=ids):
            return pb.RunEvent(step_restarted=pb.StepRestarted(step_id=id_, attempt=attempt, void_message_ids=ids))
        case RunFinished(run=run):
            return pb.RunEvent(run_finished=pb.RunFinished(run=run_to_pb(run)))
        case _:
            assert_never(event)


def _reasoning_delta(delta: ReasoningDelta) -> pb.ReasoningDelta:
    told = pb.ReasoningDelta(message_id=delta.message_id, text=delta.text, signature=delta.signature)
    match delta.hidden:
        case RedactedReasoningPart(data=data):
            told.redacted_reasoning = data
        case OmittedReasoningPart():
            told.omitted_reasoning = True
        case None:
            pass
    return told


def _reasoning_of(delta: pb.ReasoningDelta) -> ReasoningDelta:
    hidden: RedactedReasoningPart | OmittedReasoningPart | None = None
    if delta.HasField("redacted_reasoning"):
        hidden = RedactedReasoningPart(delta.redacted_reasoning)
    elif delta.HasField("omitted_reasoning"):
        hidden = OmittedReasoningPart()
    return ReasoningDelta(MessageId(delta.message_id), delta.text, delta.signature, hidden)


def _tool_call_delta(delta: ToolCallDelta) -> pb.ToolCallDelta:
    return pb.ToolCallDelta(
        message_id=delta.message_id,
        call_index=delta.call_index,
        tool_call_id=delta.tool_call_id,
        name=delta.name,
        arguments=delta.arguments,
    )


def _compacted_to_pb(event: ContextCompacted) -> pb.ContextCompacted:
    return pb.ContextCompacted(
        summary=message_to_pb(event.summary),
        kept_from=event.kept_from or "",
        dropped_messages=event.dropped_messages,
        tokens_before=event.tokens_before,
        tokens_after=event.tokens_after,
        by_model=event.by_model,
    )


def _compacted_from_pb(event: pb.ContextCompacted) -> ContextCompacted:
    return ContextCompacted(
        summary=message_from_pb(event.summary),
        kept_from=MessageId(event.kept_from) if event.kept_from else None,
        dropped_messages=event.dropped_messages,
        tokens_before=event.tokens_before,
        tokens_after=event.tokens_after,
        by_model=event.by_model,
    )


def event_from_pb(message: pb.RunEvent) -> NumberedEvent:
    """Return an event that the server wrote. A heartbeat is none: ValueError."""
    time_ns = message.create_time.seconds * NANOS + message.create_time.nanos
    return NumberedEvent(message.sequence_number, time_ns, _payload_from_pb(message))


def _payload_from_pb(message: pb.RunEvent) -> RunEvent:  # noqa: C901, PLR0911, PLR0912 - one arm per event
    match message.WhichOneof("payload"):
        case "text_delta":
            text = message.text_delta
            return TextDelta(MessageId(text.message_id), text.content_index, text.text)
        case "reasoning_delta":
            return _reasoning_of(message.reasoning_delta)
        case "tool_call_delta":
            call = message.tool_call_delta
            return ToolCallDelta(MessageId(call.message_id), call.call_index, call.tool_call_id, call.name, call.arguments)
        case "run_started":
            return RunStarted(run_from_pb(message.run_started.run))
        case "step_started":
            step = message.step_started
            return StepStarted(StepId(step.step_id), step.index, step.model)
        case "message_started":
            started = message.message_started
            return MessageStarted(MessageId(started.message_id), StepId(started.step_id), ROLES.from_pb[started.role])
        case "message_completed":
            completed = message.message_completed
            spent = usage_from_pb(completed.usage) if completed.HasField("usage") else None
            return MessageCompleted(message_from_pb(completed.message), spent)
        case "tool_execution_started":
            return ToolExecutionStarted(message.tool_execution_started.tool_call_id)
        case "tool_output_delta":
            output = message.tool_output_delta
            return ToolOutputDelta(output.tool_call_id, OUTPUT_STREAMS.from_pb[output.stream], output.text)
        case "tool_return":
            return ToolReturned(tool_return_from_pb(message.tool_return))
        case "child_run_started":
            child = message.child_run_started
            return ChildRunStarted(child.tool_call_id, RunId(child.run_id), AgentId(child.agent_id))
        case "approval_request":
            return ApprovalRequested(tuple(action_from_pb(action) for action in message.approval_request.actions))
        case "context_compacted":
            return _compacted_from_pb(message.context_compacted)
        case "custom":
            return Custom(message.custom.name, message.custom.json)
        case "step_completed":
            done = message.step_completed
            return StepCompleted(StepId(done.step_id), usage_from_pb(done.usage), timing_from_pb(done.timing))
        case "step_restarted":
            again = message.step_restarted
            void = tuple(MessageId(id_) for id_ in again.void_message_ids)
            return StepRestarted(StepId(again.step_id), again.attempt, void)
        case "run_finished":
            return RunFinished(run_from_pb(message.run_finished.run))
        case "heartbeat" | None:
            raise ValueError("the frame holds no stored event")
        case other:
            assert_never(other)
