"""Whatever goes wrong with a stream of several runs, each run's events come exactly once, in order."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from letta_grpc.client import AsyncClient, RetryPolicy, run_start
from letta_grpc.v1 import events_pb2, run_service_pb2
from tests.support.scripted_lanes import lane_log, run_id_of
from tests.support.scripted_server import Context, Refusal, ScriptedRuns, serving

LOGS = [lane_log(0, "a"), lane_log(1, "b", "c", "d"), lane_log(2, "e", "f")]
STARTS = [run_start(f"agent-{lane}", "hi") for lane in range(len(LOGS))]
# Of a lane's next event: send it, send the one before once more, leave it out, or break the connection.
TROUBLES = st.lists(st.sampled_from(["send", "send", "send", "again", "skip", "cut"]), max_size=40)


class Troubled(ScriptedRuns):
    """Sends each lane's log from where it is asked to, with troubles; when they are spent, all goes well."""

    def __init__(self, troubles: Sequence[str], order: Sequence[int]) -> None:
        super().__init__()
        self._troubles = iter(troubles)
        self._order = order

    async def StreamRuns(  # noqa: N802 - the service's name
        self, request: run_service_pb2.StreamRunsRequest, context: Context
    ) -> AsyncIterator[run_service_pb2.StreamRunsResponse]:
        await context.send_initial_metadata((("letta-run-id", ",".join(map(run_id_of, range(len(request.starts))))),))
        rests = {lane: self._events(lane, 0) for lane in range(len(LOGS))}
        for lane in [*self._order, *sorted(rests) * 20]:
            for event in next(rests[lane], ()):
                yield run_service_pb2.StreamRunsResponse(run_id=run_id_of(lane), start_index=lane, events=[event])
                if event.HasField("heartbeat"):
                    await context.abort_with_status(Refusal().status())

    async def Converse(  # noqa: N802 - the service's name
        self, request_iterator: AsyncIterator[run_service_pb2.ConverseRequest], context: Context
    ) -> AsyncIterator[run_service_pb2.ConverseResponse]:
        async for request in request_iterator:
            lane = int(request.tag)
            yield run_service_pb2.ConverseResponse(run_id=run_id_of(lane), tag=request.tag)
            for events in self._events(lane, request.attach.after_sequence_number):
                for event in events:
                    yield run_service_pb2.ConverseResponse(run_id=run_id_of(lane), tag=request.tag, events=[event])
                    if event.HasField("heartbeat"):
                        await context.abort_with_status(Refusal().status())

    def _events(self, lane: int, after: int) -> Iterator[list[events_pb2.RunEvent]]:
        """Yield what is sent in place of each event; behind a heartbeat the connection breaks."""
        log = LOGS[lane]
        for number in range(after, len(log)):
            match next(self._troubles, "send"):
                case "again":
                    yield [log[max(0, number - 1)], log[number]]
                case "skip" if number < len(log) - 1:
                    pass
                case "skip" | "cut":
                    yield [events_pb2.RunEvent(heartbeat=events_pb2.Heartbeat())]
                case _:
                    yield [log[number]]


async def no_sleep(_: float) -> None:
    """Sleep in no time."""


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(troubles=TROUBLES, order=st.lists(st.integers(0, len(LOGS) - 1), max_size=30))
async def test_any_troubles_yield_each_run_whole(troubles: Sequence[str], order: Sequence[int]) -> None:
    seen = defaultdict(list)
    retry = RetryPolicy(stream_attempts=50)
    async with serving(Troubled(troubles, order)) as target, AsyncClient(target, retry=retry, sleep=no_sleep) as client:
        async for lane, event in client.stream_many(STARTS):
            seen[int(lane.tag)].append(event)
    assert [seen[lane] for lane in range(len(LOGS))] == LOGS
