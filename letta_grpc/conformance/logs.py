"""The runs that the cases are about. Ids of runs are put in when they are played."""

from collections.abc import Sequence

from letta_grpc.v1 import errors_pb2, events_pb2, messages_pb2, runs_pb2

Event = events_pb2.RunEvent

# A field that no contract of ours has, of a kind that carries bytes.
_UNKNOWN_FIELD = 900


def numbered(payloads: Sequence[Event]) -> list[Event]:
    """Number a log from 1."""
    for number, event in enumerate(payloads, start=1):
        event.sequence_number = number
    return list(payloads)


def started() -> Event:
    """The run left the queue."""
    return Event(run_started=events_pb2.RunStarted(run=runs_pb2.Run(state=runs_pb2.RUN_STATE_RUNNING, attempt=1)))


def step(index: int = 0) -> Event:
    """A step begins."""
    return Event(step_started=events_pb2.StepStarted(step_id=f"step-{index + 1}", index=index, model="scripted/conformance"))


def opened(message_id: str, role: "messages_pb2.Role.ValueType" = messages_pb2.ROLE_ASSISTANT) -> Event:
    """A message begins."""
    return Event(message_started=events_pb2.MessageStarted(message_id=message_id, step_id="step-1", role=role))


def delta(message_id: str, text: str) -> Event:
    """More text."""
    return Event(text_delta=events_pb2.TextDelta(message_id=message_id, text=text))


def completed(message_id: str, text: str) -> Event:
    """A message was stored."""
    content = [messages_pb2.ContentPart(text=text)]
    message = messages_pb2.Message(id=message_id, role=messages_pb2.ROLE_ASSISTANT, content=content, step_id="step-1")
    return Event(message_completed=events_pb2.MessageCompleted(message=message))


def finished(
    state: "runs_pb2.RunState.ValueType" = runs_pb2.RUN_STATE_COMPLETED,
    stop_reason: "runs_pb2.StopReason.ValueType" = runs_pb2.STOP_REASON_END_TURN,
    error: errors_pb2.RunError | None = None,
    pending: Sequence[runs_pb2.PendingAction] = (),
) -> Event:
    """The run ended."""
    run = runs_pb2.Run(state=state, stop_reason=stop_reason, attempt=1, error=error, pending_actions=pending)
    return Event(run_finished=events_pb2.RunFinished(run=run))


def said(words: Sequence[str], end: Event | None = None) -> list[Event]:
    """Return the log of a run of one step that says these words."""
    return numbered(
        [
            started(),
            step(),
            opened("message-1"),
            *(delta("message-1", word) for word in words),
            completed("message-1", "".join(words)),
            Event(step_completed=events_pb2.StepCompleted(step_id="step-1")),
            end or finished(),
        ]
    )


def restarted() -> list[Event]:
    """Return the log of a run whose only step another server began again."""
    void = events_pb2.StepRestarted(step_id="step-1", attempt=2, void_message_ids=["message-1"])
    return numbered(
        [
            started(),
            step(),
            opened("message-1"),
            delta("message-1", "Good mor"),
            Event(step_restarted=void),
            step(),
            opened("message-2"),
            delta("message-2", "Good "),
            delta("message-2", "evening"),
            completed("message-2", "Good evening"),
            Event(step_completed=events_pb2.StepCompleted(step_id="step-1")),
            finished(),
        ]
    )


def interrupted(*actions: runs_pb2.PendingAction) -> list[Event]:
    """Return the log of a run that waits for answers."""
    calls = [messages_pb2.ToolCall(id=one.tool_call_id, name=one.name, arguments=one.arguments) for one in actions]
    asking = messages_pb2.Message(id="message-1", role=messages_pb2.ROLE_APPROVAL, tool_calls=calls, step_id="step-1")
    client_alone = all(one.kind == runs_pb2.ACTION_KIND_CLIENT_TOOL for one in actions)
    why = runs_pb2.STOP_REASON_REQUIRES_CLIENT_TOOL if client_alone else runs_pb2.STOP_REASON_REQUIRES_APPROVAL
    return numbered(
        [
            started(),
            step(),
            opened("message-1", messages_pb2.ROLE_APPROVAL),
            *(
                Event(
                    tool_call_delta=events_pb2.ToolCallDelta(
                        message_id="message-1", call_index=index, tool_call_id=one.id, name=one.name, arguments=one.arguments
                    )
                )
                for index, one in enumerate(calls)
            ),
            Event(message_completed=events_pb2.MessageCompleted(message=asking)),
            Event(step_completed=events_pb2.StepCompleted(step_id="step-1")),
            Event(approval_request=events_pb2.ApprovalRequest(actions=actions)),
            finished(runs_pb2.RUN_STATE_INTERRUPTED, why, pending=actions),
        ]
    )


def unknown() -> Event:
    """Return an event of a kind that no client knows yet."""
    return Event.FromString(Event().SerializeToString() + _unknown_bytes())


def with_unknown_field(event: Event) -> Event:
    """Return an event as a newer server may send it: the payload has a field that nobody here knows."""
    grown = Event()
    grown.CopyFrom(event)
    name = grown.WhichOneof("payload")
    if name is not None:
        payload = getattr(grown, name)
        payload.MergeFromString(_unknown_bytes())
    return grown


def _unknown_bytes() -> bytes:
    tag, length_delimited = _UNKNOWN_FIELD << 3, 2
    value = b"from the future"
    return bytes([(tag | length_delimited) & 0x7F | 0x80, tag >> 7, len(value)]) + value
