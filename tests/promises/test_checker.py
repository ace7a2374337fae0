"""The checker, handed histories that each break one promise."""

from collections.abc import Callable, Sequence
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from letta_grpc.v1 import blocks_pb2, events_pb2, messages_pb2, runs_pb2
from letta_grpc.v1.run_service_pb2 import StreamOptions, StreamRunResponse
from tests.promises.checker import CHECKS, verify
from tests.support.histories import Cancel, History, Start, Stream, event_bodies

RUN = "run-1"
CALL = messages_pb2.ToolCall(id="call-1", name="memory_insert", arguments='{"label": "own", "text": "noted"}')
RETURN = messages_pb2.ToolReturn(tool_call_id="call-1", status=messages_pb2.TOOL_RETURN_STATUS_SUCCESS, text="OK")
ASKED = messages_pb2.Message(id="message-1", role=messages_pb2.ROLE_USER, run_id=RUN)
SAID = messages_pb2.Message(
    id="message-2",
    role=messages_pb2.ROLE_ASSISTANT,
    content=[messages_pb2.ContentPart(text="Hello")],
    tool_calls=[CALL],
    run_id=RUN,
    step_id="step-1",
)
DONE = messages_pb2.Message(id="message-3", role=messages_pb2.ROLE_TOOL, tool_returns=[RETURN], run_id=RUN, step_id="step-1")
ENDED = runs_pb2.Run(id=RUN, state=runs_pb2.RUN_STATE_COMPLETED)
STEP = events_pb2.StepStarted(step_id="step-1")

PAYLOADS: Sequence[dict[str, Any]] = (
    {"run_started": events_pb2.RunStarted()},
    {"step_started": STEP},
    {"message_started": events_pb2.MessageStarted(message_id="message-0")},
    {"text_delta": events_pb2.TextDelta(message_id="message-0", text="Lost")},
    {"step_restarted": events_pb2.StepRestarted(step_id="step-1", attempt=2, void_message_ids=["message-0"])},
    {"step_started": STEP},
    {"message_started": events_pb2.MessageStarted(message_id="message-2")},
    {"text_delta": events_pb2.TextDelta(message_id="message-2", text="Hello")},
    {"message_completed": events_pb2.MessageCompleted(message=SAID)},
    {"tool_execution_started": events_pb2.ToolExecutionStarted(tool_call_id="call-1")},
    {"tool_return": RETURN},
    {"message_completed": events_pb2.MessageCompleted(message=DONE)},
    {"run_finished": events_pb2.RunFinished(run=ENDED)},
)
LAST = len(PAYLOADS)


def event(number: int, **payload: Any) -> bytes:  # noqa: ANN401 - any of the kinds
    return events_pb2.RunEvent(sequence_number=number, **payload).SerializeToString()


LOG = tuple(event(number, **payload) for number, payload in enumerate(PAYLOADS, start=1))


def beat(number: int) -> bytes:
    return event(number, heartbeat=events_pb2.Heartbeat())


def stream(*responses: Sequence[bytes], after: int = 0, **more: Any) -> Stream:  # noqa: ANN401 - whatever a Stream has
    return Stream(reader="reader", run_id=RUN, after=after, responses=[tuple(one) for one in responses], life=1, **more)


def kept_promises() -> History:
    """A run that was taken over once, called a tool, and had four readers."""
    return History(
        streams=[
            stream(LOG[:3], LOG[3:], code=grpc.StatusCode.OK),
            stream([*LOG[4:6], beat(6)], [beat(6)], after=4, code=grpc.StatusCode.UNAVAILABLE),
            stream(
                [LOG[0], LOG[4]],
                [beat(6)],
                [LOG[12]],
                options=StreamOptions(event_kinds=[events_pb2.EVENT_KIND_RUN_FINISHED]),
                code=grpc.StatusCode.OK,
            ),
            stream(after=LAST, code=grpc.StatusCode.OK),
            stream(after=LAST + 1, code=grpc.StatusCode.OUT_OF_RANGE, reason="CURSOR_AHEAD"),
        ],
        starts=[Start(request_id="a", payload="x", run_id=RUN), Start(request_id="a", payload="x", run_id=RUN)],
        cancels=[Cancel(run=runs_pb2.Run(id=RUN, state=runs_pb2.RUN_STATE_RUNNING, last_sequence_number=10))],
        logs={RUN: LOG},
        runs={RUN: ENDED},
        conversations={"default": [ASKED, SAID, DONE]},
        blocks={"block-1": blocks_pb2.Block(id="block-1", value="noted")},
        lives=2,
    )


def _log(*bodies: bytes) -> dict[str, tuple[bytes, ...]]:
    return {RUN: bodies}


def _said(**changes: Any) -> messages_pb2.Message:  # noqa: ANN401 - whatever a Message has
    message = messages_pb2.Message()
    message.CopyFrom(SAID)
    for name, value in changes.items():
        message.ClearField(name)  # type: ignore[arg-type]  # the caller's spelling, checked by protobuf
        message.MergeFrom(messages_pb2.Message(**{name: value}))
    return message


BREAKS: Sequence[tuple[str, str, Callable[[History], object]]] = (
    ("ordered", "a number goes back", lambda h: h.streams.append(stream([LOG[1], LOG[0], LOG[2]]))),
    ("unique", "a number comes twice", lambda h: h.streams.append(stream(LOG[:3], LOG[2:]))),
    ("complete", "a number is left out", lambda h: h.streams.append(stream(LOG[:3], LOG[4:]))),
    (
        "complete",
        "a filter lets too little pass",
        lambda h: h.streams.append(
            stream([LOG[0], LOG[12]], options=StreamOptions(event_kinds=[events_pb2.EVENT_KIND_RUN_FINISHED]))
        ),
    ),
    ("same", "a reader is told something else", lambda h: h.streams.append(stream([event(1, step_started=STEP)]))),
    (
        "same",
        "the same in other bytes",
        lambda h: h.streams.append(stream([event(1, run_started=events_pb2.RunStarted(), create_time=Timestamp())])),
    ),
    ("durable", "what was seen is gone", lambda h: h.streams.append(stream([*LOG, event(14, step_started=STEP)]))),
    ("durable", "an accepted run is gone", lambda h: h.starts.append(Start(request_id="b", payload="x", run_id="run-2"))),
    ("resumable", "a stream begins too late", lambda h: h.streams.append(stream(LOG[4:], after=3))),
    ("resumable", "a stream begins too early", lambda h: h.streams.append(stream(LOG[2:], after=3))),
    (
        "resumable",
        "a stream ends for no clear reason",
        lambda h: h.streams.append(stream(code=grpc.StatusCode.INTERNAL, reason="INTERNAL")),
    ),
    (
        "resumable",
        "a number that was shown is ahead",
        lambda h: h.streams.append(stream(after=3, code=grpc.StatusCode.OUT_OF_RANGE, reason="CURSOR_AHEAD")),
    ),
    ("progress", "a heartbeat runs ahead", lambda h: h.streams.append(stream(LOG[:2], [beat(3)]))),
    ("progress", "a heartbeat is not last", lambda h: h.streams.append(stream([*LOG[:2], beat(2), LOG[2]]))),
    ("progress", "a heartbeat goes back", lambda h: h.streams.append(stream(LOG[:3], [beat(2)]))),
    ("progress", "a response is empty", lambda h: h.streams.append(stream([]))),
    ("ends", "a run has no end", lambda h: h.logs.update(_log(*LOG[:-1]))),
    (
        "ends",
        "a run has two ends",
        lambda h: h.logs.update(_log(*LOG, event(14, **PAYLOADS[-1]))),
    ),
    ("ends", "a run goes on after its end", lambda h: h.logs.update(_log(*LOG, event(14, step_started=STEP)))),
    ("ends", "OK comes before the end", lambda h: h.streams.append(stream(LOG[:5], code=grpc.StatusCode.OK))),
    (
        "ends",
        "the run and its log differ",
        lambda h: h.runs.update({RUN: runs_pb2.Run(id=RUN, state=runs_pb2.RUN_STATE_FAILED)}),
    ),
    (
        "idempotent_start",
        "a repetition starts another run",
        lambda h: h.starts.append(Start(request_id="a", payload="x", run_id="run-2")),
    ),
    (
        "idempotent_start",
        "two requests get one run",
        lambda h: h.starts.append(Start(request_id="b", payload="x", run_id=RUN)),
    ),
    (
        "idempotent_start",
        "a refusal blames nobody",
        lambda h: h.starts.append(Start(request_id="b", payload="x", refusal="CONVERSATION_BUSY")),
    ),
    (
        "one_at_a_time",
        "another run comes between",
        lambda h: h.conversations["default"].insert(1, messages_pb2.Message(id="message-9", run_id="run-2")),
    ),
    (
        "durable_cancel",
        "a tool starts after the cancel",
        lambda h: h.cancels.append(Cancel(run=_at(h.cancels[0].run, 9))),
    ),
    ("takeover", "a void message is completed", lambda h: h.conversations["default"].append(_said(id="message-0"))),
    ("takeover", "too little is voided", lambda h: h.logs.update(_log(*LOG[:4], _restarted(2), *LOG[5:]))),
    ("takeover", "completed messages are voided", lambda h: h.logs.update(_log(*LOG[:9], _restarted(2, "message-2")))),
    ("takeover", "nobody died", lambda h: setattr(h, "lives", 1)),
    ("one_return", "a return is missing in history", lambda h: h.conversations["default"].pop()),
    ("one_return", "a return comes twice", lambda h: h.logs.update(_log(*LOG[:11], LOG[10], *LOG[11:]))),
    ("same_ids", "a completed message is not kept", lambda h: h.conversations.update({"default": [ASKED, SAID]})),
    (
        "same_ids",
        "history says something else",
        lambda h: h.conversations.update({"default": [ASKED, _said(model="another"), DONE]}),
    ),
    ("same_ids", "deltas do not add up", lambda h: h.logs.update(_log(*LOG[:7], LOG[7], *LOG[7:]))),
    ("same_ids", "a message that was begun is nowhere", lambda h: h.logs.update(_log(*LOG[:4], *LOG[5:]))),
    ("one_effect", "the effect is missing", lambda h: h.blocks.clear()),
    ("one_effect", "the effect is there twice", lambda h: setattr(h.blocks["block-1"], "value", "noted\nnoted")),
)


def _restarted(attempt: int, *void: str) -> bytes:
    return event(5, step_restarted=events_pb2.StepRestarted(step_id="step-1", attempt=attempt, void_message_ids=void))


def _at(run: runs_pb2.Run, number: int) -> runs_pb2.Run:
    changed = runs_pb2.Run(last_sequence_number=number)
    return runs_pb2.Run.FromString(run.SerializeToString() + changed.SerializeToString())


def test_a_history_that_keeps_every_promise_passes() -> None:
    assert verify(kept_promises()) == []


@pytest.mark.parametrize(
    ("promise", "break_it"), [pytest.param(promise, break_it, id=f"{promise}: {what}") for promise, what, break_it in BREAKS]
)
def test_a_history_that_breaks_a_promise_is_found_out(promise: str, break_it: Callable[[History], object]) -> None:
    history = kept_promises()
    break_it(history)
    assert list(CHECKS[promise](history)), f"nothing is said about {promise}"


def test_every_check_is_seen_to_fail() -> None:
    assert {promise for promise, _, _ in BREAKS} == set(CHECKS)


def test_events_are_cut_out_of_a_response_as_they_are() -> None:
    events = [events_pb2.RunEvent.FromString(body) for body in LOG]
    assert event_bodies(StreamRunResponse(run_id=RUN, agent_id="agent-1", events=events).SerializeToString()) == LOG
