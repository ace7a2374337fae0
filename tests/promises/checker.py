"""The promises, each as a function from a history to what breaks it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import groupby, pairwise

import grpc

from letta_grpc.v1 import events_pb2, messages_pb2, runs_pb2
from tests.support.histories import History, Stream, is_heartbeat, parsed, passes

FINAL = frozenset({runs_pb2.RUN_STATE_COMPLETED, runs_pb2.RUN_STATE_FAILED, runs_pb2.RUN_STATE_CANCELLED})
# How a stream may end: by itself, with its connection, with the drain of its server, or with an error that says what is wrong.
_CLEAR_ERRORS = frozenset({"CURSOR_AHEAD", "EVENTS_EXPIRED"})
_CUTS = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})


def verify(history: History) -> list[str]:
    """Everything that breaks a promise, each with the promise's name."""
    return [f"{name}: {text}" for name, check in CHECKS.items() for text in check(history)]


def ordered(history: History) -> Iterator[str]:
    for stream in history.streams:
        for before, number in pairwise(stream.numbers):
            if number < before:
                yield f"{number} after {before}: {stream}"


def unique(history: History) -> Iterator[str]:
    for stream in history.streams:
        twice = [number for number, count in Counter(stream.numbers).items() if count > 1]
        if twice:
            yield f"{twice} more than once: {stream}"


def complete(history: History) -> Iterator[str]:
    for stream in history.streams:
        numbers = stream.numbers
        if numbers and (missing := set(_expected(history, stream, max(numbers))) - set(numbers)):
            yield f"without {sorted(missing)[:5]}: {stream}"


def _expected(history: History, stream: Stream, last: int) -> list[int]:
    """What the stream is to bring up to a number."""
    if not stream.is_filtered:
        return list(range(stream.after + 1, last + 1))
    events = history.events(stream.run_id)
    return [
        event.sequence_number
        for event in events
        if stream.after < event.sequence_number <= last and passes(stream.options, event)
    ]


def same(history: History) -> Iterator[str]:
    known: dict[tuple[str, int], bytes] = {}
    for run_id, bodies in history.logs.items():
        known |= {(run_id, number): body for number, body in enumerate(bodies, start=1)}
    for stream in history.streams:
        for body in stream.bodies:
            number = parsed(body).sequence_number
            if known.setdefault((stream.run_id, number), body) != body:
                yield f"other bytes for {number}: {stream}"


def durable(history: History) -> Iterator[str]:
    for stream in history.streams:
        stored = len(history.logs.get(stream.run_id, ()))
        if lost := [number for number in stream.numbers if number > stored]:
            yield f"{lost[:5]} were seen and are no more: {stream}"
    for start in history.starts:
        if start.run_id and start.run_id not in history.runs:
            yield f"run {start.run_id} was accepted and is no more"


def resumable(history: History) -> Iterator[str]:
    for stream in history.streams:
        numbers = stream.numbers
        if numbers and numbers[0] != (expected := _expected(history, stream, max(*numbers, stream.after + 1))[0]):
            yield f"begins with {numbers[0]}, not {expected}: {stream}"
        if stream.code in {None, grpc.StatusCode.OK, *_CUTS}:
            continue
        if numbers or stream.reason not in _CLEAR_ERRORS:
            yield f"ended for {stream.reason or stream.code}: {stream}"
        elif stream.reason == "CURSOR_AHEAD" and stream.after <= len(history.logs.get(stream.run_id, ())):
            # Readers attach behind what somebody was shown, or far beyond everything.
            yield f"{stream.after} is said to be ahead: {stream}"


def progress(history: History) -> Iterator[str]:
    for stream in history.streams:
        delivered: list[int] = []
        for response in stream.responses:
            beats = [place for place, body in enumerate(response) if is_heartbeat(body)]
            if not response or beats not in ([], [len(response) - 1]):
                yield f"a response with a heartbeat that is not its last, or with nothing: {stream}"
            for body in response:
                number = parsed(body).sequence_number
                if not is_heartbeat(body):
                    delivered.append(number)
                elif missing := set(_expected(history, stream, number)) - set(delivered):
                    yield f"heartbeat {number} without {sorted(missing)[:5]}: {stream}"
                elif number < max(delivered, default=stream.after):
                    yield f"heartbeat {number} behind what was delivered: {stream}"


def ends(history: History) -> Iterator[str]:
    for run_id, run in history.runs.items():
        kinds = [event.WhichOneof("payload") for event in history.events(run_id)]
        if kinds.count("run_finished") != 1 or kinds[-1] != "run_finished":
            yield f"{kinds.count('run_finished')} ends in the {len(kinds)} events of {run_id}, the last is {kinds[-1:]}"
        elif run.state not in FINAL or run.state != parsed(history.logs[run_id][-1]).run_finished.run.state:
            yield f"{run_id} is {runs_pb2.RunState.Name(run.state)}, and its log says otherwise"
    for stream in history.streams:
        kinds = [parsed(body).WhichOneof("payload") for body in stream.bodies]
        if "run_finished" in kinds[:-1]:
            yield f"something after the end: {stream}"
        at_the_end = kinds[-1:] == ["run_finished"] or stream.after == len(history.logs.get(stream.run_id, ()))
        if stream.code is grpc.StatusCode.OK and not at_the_end:
            yield f"OK before the end: {stream}"


def idempotent_start(history: History) -> Iterator[str]:
    given: dict[tuple[str, str], set[str]] = defaultdict(set)
    for start in history.starts:
        if start.run_id:
            given[start.request_id, start.payload].add(start.run_id)
        elif start.refusal == "CONVERSATION_BUSY" and start.blamed_run_id not in history.runs:
            yield f"{start.request_id} was refused for a run that nobody has started: {start.blamed_run_id!r}"
    for (request_id, _), run_ids in given.items():
        if len(run_ids) > 1:
            yield f"{request_id} started {sorted(run_ids)}"
    twice = [run_id for run_id, count in Counter(one for ids in given.values() for one in ids).items() if count > 1]
    if twice:
        yield f"{twice} answer several requests"


def one_at_a_time(history: History) -> Iterator[str]:
    for conversation_id, messages in history.conversations.items():
        order = [run_id for run_id, _ in groupby(messages, key=lambda message: message.run_id)]
        if len(order) != len(set(order)):
            yield f"runs of {conversation_id} are mixed: {order}"


def durable_cancel(history: History) -> Iterator[str]:
    for cancel in history.cancels:
        run = cancel.run
        if run.state in FINAL:
            continue
        for event in history.events(run.id):
            if event.sequence_number > run.last_sequence_number and event.HasField("tool_execution_started"):
                yield f"{run.id} was cancelled at {run.last_sequence_number} and starts a tool at {event.sequence_number}"


def takeover(history: History) -> Iterator[str]:
    kept = {message.id for message in history.messages}
    for run_id, events in history.all_events.items():
        begun: set[str] = set()
        completed: set[str] = set()
        voided: set[str] = set()
        attempt = 1
        for event in events:
            match event.WhichOneof("payload"):
                case "step_started":
                    begun = set()
                case "message_started":
                    begun.add(event.message_started.message_id)
                case "message_completed":
                    completed.add(event.message_completed.message.id)
                case "step_restarted":
                    restarted = event.step_restarted
                    if set(restarted.void_message_ids) != begun - completed:
                        yield f"{run_id} voids {restarted.void_message_ids} where {begun - completed} are unfinished"
                    if not attempt < restarted.attempt <= history.lives:
                        yield f"{run_id} goes from attempt {attempt} to {restarted.attempt} in {history.lives} lives"
                    attempt = restarted.attempt
                    voided |= begun - completed
                case _:
                    pass
        if back := voided & (completed | kept):
            yield f"{run_id}: {back} are void, and completed all the same"


def one_return(history: History) -> Iterator[str]:
    for conversation_id, messages in history.conversations.items():
        called = Counter(call.id for message in messages for call in message.tool_calls)
        returned = Counter(one.tool_call_id for message in messages for one in message.tool_returns)
        if called != returned or set(called.values()) - {1}:
            yield f"calls and returns in {conversation_id} differ by {(called - returned) + (returned - called)}"
    for run_id, events in history.all_events.items():
        told = Counter(event.tool_return.tool_call_id for event in events if event.HasField("tool_return"))
        asked = Counter(call.id for message in _completed(events) for call in message.tool_calls)
        if told != asked:
            yield f"calls and returns in the events of {run_id} differ by {(told - asked) + (asked - told)}"


def _completed(events: list[events_pb2.RunEvent]) -> list[messages_pb2.Message]:
    return [event.message_completed.message for event in events if event.HasField("message_completed")]


def same_ids(history: History) -> Iterator[str]:
    kept = {message.id: message for message in history.messages if message.step_id}
    told = {message.id: message for events in history.all_events.values() for message in _completed(events)}
    for message_id in kept.keys() ^ told.keys():
        yield f"{message_id} is {'in history' if message_id in kept else 'completed'} alone"
    for message_id in kept.keys() & told.keys():
        if kept[message_id] != told[message_id]:
            yield f"{message_id} is another in history"
    for run_id, events in history.all_events.items():
        yield from (f"{text}, in {run_id}" for text in _deltas_that_do_not_add_up(events, told))


def _deltas_that_do_not_add_up(events: list[events_pb2.RunEvent], told: dict[str, messages_pb2.Message]) -> Iterator[str]:
    void = {one for event in events for one in event.step_restarted.void_message_ids}
    texts: dict[str, str] = defaultdict(str)
    arguments: dict[tuple[str, str], str] = defaultdict(str)
    for event in events:
        match event.WhichOneof("payload"):
            case "text_delta":
                texts[event.text_delta.message_id] += event.text_delta.text
            case "reasoning_delta":
                texts[event.reasoning_delta.message_id] += event.reasoning_delta.text
            case "tool_call_delta":
                delta = event.tool_call_delta
                arguments[delta.message_id, delta.tool_call_id] += delta.arguments
            case _:
                pass
    for message_id, text in texts.items():
        if message_id not in void and (message_id not in told or text != _said(told[message_id])):
            yield f"the deltas of {message_id} are not what it says"
    for (message_id, call_id), text in arguments.items():
        # A run that was cut keeps what was said, and drops the calls that it will not make.
        calls = {call.id: call.arguments for call in told[message_id].tool_calls} if message_id in told else {}
        if calls and calls.get(call_id) != text:
            yield f"the deltas of {call_id} are not its arguments"


def _said(message: messages_pb2.Message) -> str:
    return "".join(part.text or part.reasoning for part in message.content)


def one_effect(history: History) -> Iterator[str]:
    lines = Counter(line for block in history.blocks.values() for line in block.value.splitlines())
    returns = {one.tool_call_id: one for message in history.messages for one in message.tool_returns}
    for message in history.messages:
        for call in message.tool_calls:
            text = _inserted(call)
            succeeded = call.id in returns and returns[call.id].status == messages_pb2.TOOL_RETURN_STATUS_SUCCESS
            if text and lines[text] != succeeded:
                yield f"{text!r} is there {lines[text]} times, and its call {'succeeded' if succeeded else 'failed'}"


def _inserted(call: messages_pb2.ToolCall) -> str:
    marker = '"text": "'
    if call.name != "memory_insert" or marker not in call.arguments:
        return ""
    return call.arguments.partition(marker)[2].partition('"')[0]


CHECKS: dict[str, Callable[[History], Iterator[str]]] = {
    check.__name__: check
    for check in (
        ordered,
        unique,
        complete,
        same,
        durable,
        resumable,
        progress,
        ends,
        idempotent_start,
        one_at_a_time,
        durable_cancel,
        takeover,
        one_return,
        same_ids,
        one_effect,
    )
}
