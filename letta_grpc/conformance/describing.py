"""The cases as JSON: what a program is given, what the server does, and what must come out."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import assert_never

from letta_grpc.conformance.cases import (
    HEARTBEAT_SECONDS,
    Beats,
    Call,
    Case,
    Deed,
    Event,
    Printed,
    Refusal,
    Seen,
    Send,
    UntilCancelled,
)

Json = Mapping[str, object]


def text_of(cases: Sequence[Case]) -> str:
    """Return the cases as a JSON document that people can read: a line for each call and each expectation."""
    return "[\n" + ",\n".join(_block(case) for case in described(cases)) + "\n]\n"


def _block(case: Json) -> str:
    return " {\n" + ",\n".join(f'  "{key}": {_value(value)}' for key, value in case.items()) + "\n }"


def _value(value: object) -> str:
    if not isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return "[\n" + ",\n".join(f"   {json.dumps(line, ensure_ascii=False)}" for line in value) + "\n  ]"


def described(cases: Sequence[Case]) -> list[Json]:
    """Return the cases, each with `task`, the line that a program gets, and with what it must print."""
    return [_case(case) for case in cases]


def _case(case: Case) -> Json:
    return {
        "name": case.name,
        "about": case.about,
        "task": _task(case),
        "server": [_call(call) for call in case.calls] + [{"answering": True} | _call(call) for call in case.answering],
        **({"for_ever": True} if case.for_ever else {}),
        "printed": printed(case.printed),
        "seen": seen(case.seen),
    }


def _task(case: Case) -> Json:
    task: dict[str, object] = {"case": case.name, "do": case.action, "heartbeat_seconds": HEARTBEAT_SECONDS}
    if case.action == "attach":
        task |= {"run_id": f"{case.name}/attached", "after": case.after}
    return task | ({"omit_deltas": True} if case.omit_deltas else {})


def _call(call: Call) -> dict[str, object]:
    match call.end:
        case Refusal() as refusal:
            end = " / ".join(word for word in (refusal.code.name, refusal.reason) if word)
        case word:
            end = word
    return {
        **({} if call.accepts else {"accepts": False}),
        "sends": [line for deed in call.deeds for line in _lines(deed)],
        "ends": end,
    }


def _lines(deed: Deed) -> Iterator[str]:
    match deed:
        case Send():
            yield ", ".join(_words(event) for event in deed.events)
        case Beats():
            yield f"{deed.count} times heartbeat {deed.number}"
        case UntilCancelled():
            yield "waits for CancelRun"
        case _:
            assert_never(deed)


def _words(event: Event) -> str:
    kind = event.WhichOneof("payload") or "unknown"
    return f"{kind} {event.sequence_number}" if kind == "heartbeat" else f"{event.sequence_number} {kind}"


def printed(expected: Printed) -> Json:
    """Return what a program prints."""
    error = expected.error and asdict(expected.error)
    return {
        "events": list(expected.events),
        "text": expected.text,
        "state": expected.state,
        "error": error,
        "pending": list(expected.pending),
    }


def seen(expected: Seen) -> Json:
    """Return what the server says of itself."""
    return {
        "starts": expected.starts,
        "attached_after": list(expected.attached_after),
        "cancels": expected.cancels,
        "answers": list(expected.answers),
    }
