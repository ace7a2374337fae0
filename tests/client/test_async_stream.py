from collections.abc import Sequence

import grpc
import pytest

from letta_grpc.client import (
    AsyncClient,
    AsyncRunStream,
    ConversationBusy,
    EventsExpired,
    RetryPolicy,
    RunFailed,
    ServerUnavailable,
    StreamBroken,
    StreamClosed,
)
from letta_grpc.v1 import events_pb2, run_service_pb2, runs_pb2
from tests.requirements.registry import requirement
from tests.support.scripted_server import AGENT_ID, RUN_ID, Refusal, ScriptedRuns, Turn, heartbeat, log_of, serving

LOG = log_of(["Hel", "lo"])
NUMBERS = list(range(1, len(LOG) + 1))
BROKEN = Refusal()


class Naps:
    """Sleeps in no time, and remembers for how long."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


def patient_client(target: str, naps: Naps | None = None, **policy: int) -> AsyncClient:
    retry = RetryPolicy(draw=lambda: 1.0, initial_seconds=1, maximum_seconds=4, **policy)
    return AsyncClient(target, retry=retry, sleep=naps or Naps())


async def numbers_of(stream: AsyncRunStream) -> list[int]:
    return [event.sequence_number async for event in stream]


async def read_through(turns: Sequence[Turn], naps: Naps | None = None) -> tuple[ScriptedRuns, list[int]]:
    runs = ScriptedRuns(turns)
    async with serving(runs) as target, patient_client(target, naps) as client:
        numbers = await numbers_of(client.stream(AGENT_ID, "hi"))
    return runs, numbers


def attached_after(runs: ScriptedRuns) -> list[int]:
    return [one.after_sequence_number for one in runs.requests if isinstance(one, run_service_pb2.AttachRunRequest)]


async def test_a_stream_yields_every_event_of_the_run_and_then_ends() -> None:
    runs, numbers = await read_through([Turn(batches=[LOG])])
    assert numbers == NUMBERS
    assert len(runs.requests) == 1


async def test_a_run_id_is_known_before_the_first_event() -> None:
    runs = ScriptedRuns([Turn(silent=True)])
    async with serving(runs) as target, AsyncClient(target) as client, client.stream(AGENT_ID, "hi") as stream:
        assert stream.run_id == RUN_ID
        assert stream.last_sequence_number == 0


@pytest.mark.parametrize(
    "end",
    [
        BROKEN,
        Refusal(code=grpc.StatusCode.INTERNAL, message="RST_STREAM"),
        Refusal(code=grpc.StatusCode.CANCELLED),
        Refusal(code=grpc.StatusCode.ABORTED, reason="STREAM_RECYCLED", retry_milliseconds=0),
        Refusal(reason="SERVER_DRAINING", retry_milliseconds=500),
    ],
    ids=lambda end: end.reason or end.code.name,
)
async def test_a_cut_stream_goes_on_from_the_next_event(end: Refusal) -> None:
    runs, numbers = await read_through([Turn(batches=[LOG[:4]], end=end), Turn(batches=[LOG[4:]])])
    assert numbers == NUMBERS
    assert attached_after(runs) == [4]


async def test_ok_before_the_run_has_finished_is_a_cut() -> None:
    runs, numbers = await read_through([Turn(batches=[LOG[:3]]), Turn(batches=[LOG[3:]])])
    assert numbers == NUMBERS
    assert attached_after(runs) == [3]


async def test_a_gap_is_a_cut_and_what_came_before_it_counts() -> None:
    runs, numbers = await read_through([Turn(batches=[[*LOG[:2], LOG[4]]]), Turn(batches=[LOG[2:]])])
    assert numbers == NUMBERS
    assert attached_after(runs) == [2]


async def test_a_heartbeat_that_claims_more_than_came_is_a_cut() -> None:
    runs, numbers = await read_through([Turn(batches=[LOG[:2], [heartbeat(5)]], silent=True), Turn(batches=[LOG[2:]])])
    assert numbers == NUMBERS
    assert attached_after(runs) == [2]


async def test_an_event_that_comes_twice_is_yielded_once() -> None:
    _, numbers = await read_through([Turn(batches=[LOG[:4]], end=BROKEN), Turn(batches=[LOG[1:3], LOG[2:]])])
    assert numbers == NUMBERS


async def test_heartbeats_are_not_yielded() -> None:
    _, numbers = await read_through([Turn(batches=[[heartbeat(0)], LOG[:2], [heartbeat(2)], LOG[2:]])])
    assert numbers == NUMBERS


async def test_silence_for_three_heartbeats_is_a_cut() -> None:
    options = run_service_pb2.StreamOptions()
    options.heartbeat_interval.FromMilliseconds(20)
    runs = ScriptedRuns([Turn(batches=[LOG[:3]], silent=True), Turn(batches=[LOG[3:]])])
    async with serving(runs) as target, patient_client(target) as client:
        assert await numbers_of(client.stream(AGENT_ID, "hi", options=options)) == NUMBERS
        await runs.reader_gone.wait()


async def test_a_start_that_breaks_before_the_run_is_known_is_repeated_with_its_request_id() -> None:
    runs, numbers = await read_through([Turn(accepts=False, end=BROKEN), Turn(batches=[LOG])])
    first, second = runs.requests
    assert isinstance(first, run_service_pb2.StreamRunRequest)
    assert first.request_id
    assert first == second
    assert numbers == NUMBERS


async def test_a_filtered_stream_may_jump_and_resumes_after_what_a_heartbeat_said() -> None:
    options = run_service_pb2.StreamOptions(omit_deltas=True)
    runs = ScriptedRuns([Turn(batches=[LOG[:2], [heartbeat(4)]], end=BROKEN), Turn(batches=[LOG[5:]])])
    async with serving(runs) as target, patient_client(target) as client:
        assert await numbers_of(client.stream(AGENT_ID, "hi", options=options)) == [1, 2, 6, 7, 8]
    assert attached_after(runs) == [4]


async def test_an_event_of_an_unknown_kind_is_yielded() -> None:
    unknown = events_pb2.RunEvent(sequence_number=2)
    _, numbers = await read_through([Turn(batches=[LOG[:1], [unknown], LOG[2:]])])
    assert numbers == NUMBERS


@requirement("tutorial_interruption")
async def test_waits_double_up_to_a_ceiling_and_begin_again_after_progress() -> None:
    naps = Naps()
    lost = Turn(end=BROKEN)
    await read_through(
        [Turn(batches=[LOG[:2]], end=BROKEN), lost, lost, lost, Turn(batches=[LOG[2:4]], end=BROKEN), Turn(batches=[LOG[4:]])],
        naps,
    )
    assert naps.taken == [1, 2, 4, 4, 1]


async def test_a_wait_is_never_shorter_than_the_server_asks() -> None:
    naps = Naps()
    await read_through([Turn(end=Refusal(reason="SERVER_DRAINING", retry_milliseconds=2500)), Turn(batches=[LOG])], naps)
    assert naps.taken == [2.5]


@requirement("tutorial_interruption")
async def test_a_stream_without_progress_gives_up_and_goes_on_when_it_is_asked_again() -> None:
    runs = ScriptedRuns([Turn(batches=[LOG[:2]], end=BROKEN), Turn(end=BROKEN), Turn(end=BROKEN), Turn(batches=[LOG[2:]])])
    async with serving(runs) as target, patient_client(target, stream_attempts=3) as client:
        stream = client.stream(AGENT_ID, "hi")
        with pytest.raises(ServerUnavailable):
            await numbers_of(stream)
        assert stream.last_sequence_number == 2
        assert await numbers_of(stream) == NUMBERS[2:]


async def test_whoever_waits_for_a_run_to_be_attached_to_waits_no_longer_than_for_a_start() -> None:
    runs = ScriptedRuns([Turn(end=BROKEN, accepts=False)] * 6)
    async with serving(runs) as target, patient_client(target, call_attempts=3) as client:
        with pytest.raises(ServerUnavailable):
            await client.attach(RUN_ID).started()
        with pytest.raises(ServerUnavailable):
            async with client.attach(RUN_ID):
                pytest.fail("nobody has accepted it")
    assert attached_after(runs) == [0] * 6


async def test_a_reader_of_a_run_that_is_attached_to_is_as_patient_as_any() -> None:
    runs = ScriptedRuns([Turn(end=BROKEN, accepts=False)] * 4 + [Turn(batches=[LOG])])
    async with serving(runs) as target, patient_client(target, call_attempts=3) as client:
        assert await numbers_of(client.attach(RUN_ID)) == NUMBERS


async def test_an_error_that_no_new_try_helps_is_raised_at_once() -> None:
    gone = Refusal(
        code=grpc.StatusCode.OUT_OF_RANGE,
        message="gone",
        reason="EVENTS_EXPIRED",
        metadata={"run_id": RUN_ID, "oldest": "0", "last": "9"},
    )
    runs = ScriptedRuns([Turn(accepts=False, end=gone)])
    async with serving(runs) as target, patient_client(target) as client:
        with pytest.raises(EventsExpired) as raised:
            await client.attach(RUN_ID, after=3).final()
    assert raised.value.last == 9
    assert len(runs.requests) == 1


async def test_a_refused_start_is_raised_on_entry() -> None:
    busy = Refusal(
        code=grpc.StatusCode.ABORTED,
        message="busy",
        reason="CONVERSATION_BUSY",
        metadata={"active_run_id": "run-1"},
        retry_milliseconds=1000,
    )
    async with serving(ScriptedRuns([Turn(accepts=False, end=busy)])) as target, patient_client(target) as client:
        with pytest.raises(ConversationBusy) as raised:
            async with client.stream(AGENT_ID, "hi"):
                pass
    assert raised.value.active_run_id == "run-1"
    assert raised.value.retry_delay == 1


async def test_a_reading_that_is_refused_is_raised_before_the_first_event_is_asked_for() -> None:
    gone = Refusal(code=grpc.StatusCode.OUT_OF_RANGE, reason="EVENTS_EXPIRED")
    runs = ScriptedRuns([Turn(accepts=False, end=gone), Turn(accepts=False, end=gone)])
    async with serving(runs) as target, patient_client(target) as client:
        with pytest.raises(EventsExpired):
            await client.attach(RUN_ID).started()
        with pytest.raises(EventsExpired):
            async with client.attach(RUN_ID):
                raise AssertionError("it was refused")


async def test_a_reading_is_accepted_before_the_first_event_comes() -> None:
    runs = ScriptedRuns([Turn(accepts=False, end=BROKEN), Turn(silent=True)])
    async with serving(runs) as target, patient_client(target) as client:
        stream = client.attach(RUN_ID, after=3)
        assert await stream.started() == RUN_ID
        assert attached_after(runs) == [3, 3]
        await stream.disconnect()


async def test_a_reading_whose_acceptance_was_lost_on_the_way_is_known_by_what_comes() -> None:
    finished = runs_pb2.Run(id=RUN_ID, state=runs_pb2.RUN_STATE_COMPLETED, last_sequence_number=len(LOG))
    runs = ScriptedRuns([Turn(accepts=False, batches=[LOG]), Turn(accepts=False)], run=finished)
    async with serving(runs) as target, patient_client(target) as client:
        stream = client.attach(RUN_ID)
        assert await stream.started() == RUN_ID
        assert await numbers_of(stream) == NUMBERS
        assert await client.attach(RUN_ID, after=len(LOG)).started() == RUN_ID


async def test_a_cancel_of_a_run_that_there_is_does_not_wait_for_its_reading() -> None:
    runs = ScriptedRuns()
    async with serving(runs) as target, patient_client(target) as client:
        assert (await client.attach(RUN_ID).cancel()).id == RUN_ID
    assert len(runs.requests) == 1


async def test_attaching_behind_the_last_event_of_a_finished_run_is_empty() -> None:
    run = runs_pb2.Run(id=RUN_ID, state=runs_pb2.RUN_STATE_COMPLETED, last_sequence_number=8)
    async with serving(ScriptedRuns([Turn()], run=run)) as target, patient_client(target) as client:
        stream = client.attach(RUN_ID, after=8)
        assert await numbers_of(stream) == []
        assert await stream.final() == run


async def test_text_is_what_the_completed_messages_say() -> None:
    async with serving(ScriptedRuns([Turn(batches=[LOG])])) as target, AsyncClient(target) as client:
        assert await client.stream(AGENT_ID, "hi").text() == "Hello"


@requirement("tutorial_generator")
async def test_text_deltas_come_one_by_one() -> None:
    async with serving(ScriptedRuns([Turn(batches=[LOG])])) as target, AsyncClient(target) as client:
        assert [text async for text in client.stream(AGENT_ID, "hi").text_deltas()] == ["Hel", "lo"]


async def test_a_failed_run_is_returned_by_final_and_raised_by_text() -> None:
    log = log_of(["oh"], state=runs_pb2.RUN_STATE_FAILED, error="MODEL_OVERLOADED")
    async with serving(ScriptedRuns([Turn(batches=[log]), Turn(batches=[log])])) as target, AsyncClient(target) as client:
        assert (await client.stream(AGENT_ID, "hi").final()).state == runs_pb2.RUN_STATE_FAILED
        with pytest.raises(RunFailed) as raised:
            await client.stream(AGENT_ID, "hi").text()
    assert raised.value.reason == "MODEL_OVERLOADED"


async def test_cancel_asks_the_server_and_the_stream_goes_on_to_its_end() -> None:
    runs = ScriptedRuns([Turn(batches=[LOG])])
    async with serving(runs) as target, AsyncClient(target) as client, client.stream(AGENT_ID, "hi") as stream:
        assert (await stream.cancel()).id == RUN_ID
        assert await numbers_of(stream) == NUMBERS
    assert run_service_pb2.CancelRunRequest(run_id=RUN_ID) in runs.requests


async def test_disconnect_ends_the_following_and_cancels_nothing() -> None:
    runs = ScriptedRuns([Turn(batches=[LOG[:2]], silent=True)])
    async with serving(runs) as target, AsyncClient(target) as client:
        stream = client.stream(AGENT_ID, "hi")
        await anext(stream)
        await stream.disconnect()
        await runs.reader_gone.wait()
        with pytest.raises(StreamClosed):
            await stream.final()
    assert not any(isinstance(one, run_service_pb2.CancelRunRequest) for one in runs.requests)


async def test_a_gap_that_stays_is_raised() -> None:
    runs = ScriptedRuns([Turn(batches=[LOG[:1], LOG[3:]])] + [Turn(batches=[LOG[3:]])] * 3)
    async with serving(runs) as target, patient_client(target, stream_attempts=4) as client:
        with pytest.raises(StreamBroken, match="jumped from event 1 to 4"):
            await client.stream(AGENT_ID, "hi").final()


async def test_every_call_carries_the_api_key() -> None:
    runs = ScriptedRuns([Turn(batches=[LOG[:2]], end=BROKEN), Turn(batches=[LOG[2:]])])
    async with serving(runs) as target, AsyncClient(target, api_key="secret", sleep=Naps()) as client:
        stream = client.stream(AGENT_ID, "hi")
        await stream.final()
        await stream.cancel()
    assert [one["authorization"] for one in runs.metadata] == ["Bearer secret"] * 3
