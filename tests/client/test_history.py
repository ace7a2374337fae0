"""Any schedule of cuts yields the run's events exactly once, in order."""

from collections.abc import Sequence

import grpc
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from letta_grpc.client import AsyncClient, RetryPolicy
from letta_grpc.v1 import events_pb2, run_service_pb2
from tests.support.scripted_server import AGENT_ID, Refusal, ScriptedRuns, Turn, heartbeat, log_of, serving

LOG = log_of(["a", "b", "c", "d", "e", "f", "g"])


class Trouble:
    """One call that goes wrong: so many events are served, then this happens."""

    def __init__(self, served: int, kind: str) -> None:
        self.served = served
        self.kind = kind

    def __repr__(self) -> str:
        return f"{self.kind} after {self.served}"

    def turn(self, after: int) -> Turn:
        rest = LOG[after:]
        events = rest[: self.served]
        claimed = heartbeat(after + self.served + 1)
        turns = {
            "refused before it is accepted": Turn(accepts=False, end=Refusal()),
            "recycled": Turn(batches=[events], end=Refusal(code=grpc.StatusCode.ABORTED, reason="STREAM_RECYCLED")),
            "reset": Turn(batches=[[event] for event in events], end=Refusal(code=grpc.StatusCode.INTERNAL)),
            "cancelled": Turn(batches=[events], end=Refusal(code=grpc.StatusCode.CANCELLED)),
            "ok too early": Turn(batches=[events]),
            "gap": Turn(batches=[[*events, *rest[self.served + 1 :]]]),
            "false heartbeat": Turn(batches=[events, [claimed]], silent=True),
            "doubled": Turn(batches=[LOG[max(0, after - 2) : after + self.served], events], end=Refusal()),
        }
        assert set(turns) == set(KINDS)
        return turns[self.kind]


KINDS = (
    "refused before it is accepted",
    "recycled",
    "reset",
    "cancelled",
    "ok too early",
    "gap",
    "false heartbeat",
    "doubled",
)
# Less than the whole log, so that every trouble is one.
troubles = st.builds(Trouble, st.integers(min_value=0, max_value=4), st.sampled_from(KINDS))


class TroubledRuns(ScriptedRuns):
    """Serves the log, with trouble on the way."""

    def __init__(self, schedule: Sequence[Trouble]) -> None:
        super().__init__()
        self.schedule = list(schedule)

    def next_turn(self, request: Message) -> Turn:
        after = request.after_sequence_number if isinstance(request, run_service_pb2.AttachRunRequest) else 0
        if self.schedule:
            return self.schedule.pop(0).turn(after)
        return Turn(batches=[[event] for event in LOG[after:]])


async def without_waiting(_: float) -> None:
    pass


async def follow(runs: ScriptedRuns) -> list[events_pb2.RunEvent]:
    patience = RetryPolicy(stream_attempts=100, call_attempts=100)
    async with serving(runs) as target, AsyncClient(target, retry=patience, sleep=without_waiting) as client:
        return [event async for event in client.stream(AGENT_ID, "hi")]


# No deadline: the machine's load is no property of the client.
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schedule=st.lists(troubles, max_size=8))
async def test_any_schedule_of_trouble_yields_the_same_events_exactly_once(schedule: list[Trouble]) -> None:
    assert await follow(TroubledRuns(schedule)) == LOG
