"""The runs that are played: where each is in its case, and what its program did."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from google.protobuf.json_format import MessageToDict

from letta_grpc.conformance.cases import Call, Case, Event
from letta_grpc.v1 import events_pb2, run_service_pb2, runs_pb2

Start = run_service_pb2.StreamRunRequest | run_service_pb2.CreateRunRequest

# The case that agents play which CreateAgent makes.
ORDINARY = "whole"


@dataclass(slots=True)
class Playing:
    """One run: where it is in its case, and what its program did."""

    run_id: str
    case: Case
    calls: Sequence[Call]
    log: Sequence[Event]
    next_call: int = 0
    delivered: int = 0
    starts: int = 0
    attached_after: list[int] = field(default_factory=list[int])
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    cancels: int = 0
    answers: list[Mapping[str, object]] = field(default_factory=list[Mapping[str, object]])
    # How many streams are open, and whether none is.
    open_streams: int = 0
    quiet: asyncio.Event = field(default_factory=asyncio.Event)
    # The run whose calls this one answers.
    resumes: "Playing | None" = None

    def take_call(self) -> Call | None:
        """Return what the next streaming call does; None for a call too many."""
        number, self.next_call = self.next_call, self.next_call + 1
        if number < len(self.calls):
            return self.calls[number]
        return self.calls[-1] if self.case.for_ever else None

    def run(self) -> runs_pb2.Run:
        """Return the run as GetRun tells it: ended once its last event was sent."""
        ended = self.case.ended_before or (self.log and self.delivered >= self.log[-1].sequence_number)
        run = runs_pb2.Run(state=runs_pb2.RUN_STATE_RUNNING)
        if ended:
            run.CopyFrom(self.log[-1].run_finished.run)
        run.last_sequence_number = self.log[-1].sequence_number if ended else self.delivered
        return self.named(run)

    def named(self, run: runs_pb2.Run) -> runs_pb2.Run:
        """Put in what differs from program to program."""
        run.id, run.agent_id, run.conversation_id = self.run_id, self.case.name, "default"
        return run

    def bound(self, event: Event) -> Event:
        """Return an event with this run in it."""
        match event.WhichOneof("payload"):
            case "run_started" | "run_finished" as name:
                named = events_pb2.RunEvent()
                named.CopyFrom(event)
                self.named(getattr(named, name).run)
                return named
            case _:
                return event

    def seen(self) -> Mapping[str, object]:
        """Return what the program did, the runs that it began before counted in."""
        before = self.resumes
        return {
            "starts": self.starts + (before.starts if before else 0),
            "attached_after": [*(before.attached_after if before else ()), *self.attached_after],
            "cancels": self.cancels + (before.cancels if before else 0),
            "answers": self.answers,
        }


class Stage:
    """All runs that are played, and the latest of each case."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.cases = {case.name: case for case in cases}
        self._runs: dict[str, Playing] = {}
        self._latest: dict[str, Playing] = {}

    def run_of(self, request: Start) -> Playing:
        """Return the run of a start: the same for the same request id."""
        name = request.agent_id if request.agent_id in self.cases else ORDINARY
        before = self._latest.get(name)
        playing = self.run(f"{name}/{request.request_id or uuid.uuid4()}")
        if not playing.starts and (answers := _answers(request.run)):
            playing.calls, playing.log = playing.case.answering, playing.case.answering_log
            playing.answers, playing.resumes = answers, before
        playing.starts += 1
        return playing

    def run(self, run_id: str) -> Playing:
        """Return a run; one that nobody started begins now."""
        if run_id not in self._runs:
            name = run_id.partition("/")[0]
            case = self.cases.get(name, self.cases[ORDINARY])
            playing = Playing(run_id, case, case.calls, case.log)
            self._runs[run_id] = self._latest[case.name] = playing
        return self._runs[run_id]

    def latest(self, name: str) -> Playing | None:
        """Return the run of a case that began last."""
        return self._latest.get(name)


def _answers(run: runs_pb2.RunSpec) -> list[Mapping[str, object]]:
    kinds = {"approval", "tool_returns"}
    return [MessageToDict(one) for one in run.messages if one.WhichOneof("kind") in kinds]
