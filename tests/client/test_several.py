"""Several runs on one stream: whatever the connection does, each run's events come once and in order."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from letta_grpc.client import (
    AsyncClient,
    AsyncRunStreams,
    Client,
    ConversationBusy,
    EventsExpired,
    InvalidRequest,
    RetryPolicy,
    ServerUnavailable,
    StreamClosed,
    run_start,
)
from letta_grpc.client.on_asyncio import DialogueCall
from letta_grpc.v1 import errors_pb2, run_service_pb2, runs_pb2
from tests.support.scripted_lanes import TAKE, Say, Scene, ScriptedLanes, lane_log, run_id_of
from tests.support.scripted_server import Refusal, heartbeat, serving

FIRST, SECOND = lane_log(0), lane_log(1, "c", "d", "e")
STARTS = [run_start("agent-0", "hi"), run_start("agent-1", "ho")]
IDS = "run-0,run-1"
BROKEN = Refusal()
BUSY = errors_pb2.Refusal(code=10, reason="CONVERSATION_BUSY", message="busy", metadata={"active_run_id": "run-9"})
GONE = errors_pb2.Refusal(code=11, reason="EVENTS_EXPIRED", message="gone", metadata={"oldest": "5", "last": "9"})
PASSING = errors_pb2.Refusal(code=14, reason="STORE_UNAVAILABLE", message="the disk is full")


async def no_sleep(_: float) -> None:
    """Sleep in no time."""


def quick(target: str, attempts: int = 12) -> AsyncClient:
    return AsyncClient(target, retry=RetryPolicy(stream_attempts=attempts), sleep=no_sleep)


async def numbers_of(stream: AsyncRunStreams) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    async with asyncio.timeout(10):
        async for lane, event in stream:
            found[lane.run_id].append(event.sequence_number)
    return found


async def read(scenes: Sequence[Scene]) -> tuple[ScriptedLanes, AsyncRunStreams, dict[str, list[int]]]:
    server = ScriptedLanes(*scenes)
    async with serving(server) as target, quick(target) as client:
        stream = client.stream_many(STARTS)
        numbers = await numbers_of(stream)
    assert not server.scenes
    return server, stream, numbers


def whole(*lanes: int) -> dict[str, list[int]]:
    return {run_id_of(lane): list(range(1, len((FIRST, SECOND)[lane]) + 1)) for lane in lanes}


def positions(server: ScriptedLanes, call: int) -> dict[str, int | None]:
    """By tag, behind which number a Converse call was asked to go on; None for a start."""
    asked = [one for one in server.asked[call] if isinstance(one, run_service_pb2.ConverseRequest)]
    return {one.tag: one.attach.after_sequence_number if one.HasField("attach") else None for one in asked}


async def test_each_event_comes_with_its_run() -> None:
    _, stream, numbers = await read([Scene([Say(0, FIRST[:3]), Say(1, SECOND), Say(0, FIRST[3:])], ahead=IDS)])
    assert numbers == whole(0, 1)
    assert [lane.text for lane in stream.lanes] == ["ab", "cde"]
    assert [lane.run and lane.run.state for lane in stream.lanes] == [runs_pb2.RUN_STATE_COMPLETED] * 2


async def test_a_cut_attaches_to_each_open_run_behind_its_own_last_event() -> None:
    server, _, numbers = await read(
        [
            Scene([Say(0, FIRST[:3]), Say(1, SECOND[:5])], ahead=IDS, end=BROKEN),
            Scene([TAKE, Say(0, FIRST[3:]), TAKE, Say(1), Say(1, SECOND[5:7])], end=BROKEN),
            Scene([TAKE, Say(1, SECOND[6:])]),
        ]
    )
    assert numbers == whole(0, 1)
    assert positions(server, 1) == {"0": 3, "1": 5}
    assert positions(server, 2) == {"1": 7}


async def test_a_start_that_was_not_accepted_is_repeated_with_its_request_id() -> None:
    server, _, numbers = await read(
        [Scene(end=BROKEN), Scene([Say(0, FIRST[:2])], end=BROKEN), Scene([TAKE, TAKE, Say(0, FIRST[2:]), Say(1, SECOND)])]
    )
    assert numbers == whole(0, 1)
    assert server.asked[0] == server.asked[1]
    again = next(one for one in server.asked[2] if isinstance(one, run_service_pb2.ConverseRequest) and one.tag == "1")
    assert (again.start.request_id, again.start.agent_id) == (STARTS[1].request_id, "agent-1")
    assert positions(server, 2)["0"] == 2


async def test_a_refused_start_is_told_by_its_lane_and_harms_no_other() -> None:
    server = ScriptedLanes(Scene([Say(1, refusal=BUSY), Say(0, FIRST)], ahead="run-0,"))
    async with serving(server) as target, quick(target) as client, client.stream_many(STARTS) as stream:
        first, second = stream.lanes
        assert (first.run_id, second.run_id) == ("run-0", "")
        assert isinstance(second.error, ConversationBusy)
        assert second.error.active_run_id == "run-9"
        assert await numbers_of(stream) == whole(0)
        assert await stream.final() == [first, second]


async def test_a_run_whose_events_are_gone_after_a_cut_is_followed_no_further() -> None:
    _, stream, numbers = await read(
        [
            Scene([Say(0, FIRST[:3]), Say(1, SECOND[:2])], ahead=IDS, end=BROKEN),
            Scene([TAKE, TAKE, Say(0, refusal=GONE), Say(1, SECOND[2:])]),
        ]
    )
    assert numbers == whole(1) | {"run-0": [1, 2, 3]}
    assert isinstance(stream.lanes[0].error, EventsExpired)


async def test_a_passing_trouble_of_an_accepted_run_is_a_cut() -> None:
    server, _, numbers = await read(
        [Scene([Say(0, FIRST), Say(1, SECOND[:4]), Say(1, refusal=PASSING)], ahead=IDS), Scene([TAKE, Say(1, SECOND[4:])])]
    )
    assert numbers == whole(0, 1)
    assert positions(server, 1) == {"1": 4}


async def test_ok_before_a_run_has_finished_is_a_cut() -> None:
    server = ScriptedLanes(Scene([Say(0, FIRST), Say(1, SECOND[:3])], ahead=IDS), Scene([TAKE, Say(1, SECOND[3:])]))
    async with serving(server) as target, quick(target) as client:
        assert await numbers_of(client.stream_many(STARTS)) == whole(0, 1)


async def test_a_gap_and_a_claim_of_more_than_came_are_cuts() -> None:
    server, _, numbers = await read(
        [
            Scene([Say(0, [FIRST[0], FIRST[2]])], ahead=IDS, silent=True),
            Scene([TAKE, TAKE, Say(0, FIRST[1:]), Say(1, [heartbeat(3)])], silent=True),
            Scene([TAKE, Say(1, SECOND)]),
        ]
    )
    assert numbers == whole(0, 1)
    assert positions(server, 1) == {"0": 1, "1": 0}


async def test_silence_is_a_cut() -> None:
    options = run_service_pb2.StreamOptions()
    options.heartbeat_interval.FromMilliseconds(20)
    server = ScriptedLanes(
        Scene([Say(0, FIRST), Say(1, SECOND[:1])], ahead=IDS, silent=True), Scene([TAKE, Say(1, SECOND[1:])])
    )
    async with serving(server) as target, quick(target) as client:
        assert await numbers_of(client.stream_many(STARTS, options=options)) == whole(0, 1)


async def test_a_read_that_is_cancelled_loses_nothing() -> None:
    first = Scene([Say(0, FIRST), Say(1, SECOND[:2])], ahead=IDS, silent=True)
    async with serving(ScriptedLanes(first, Scene([TAKE, Say(1, SECOND[2:])]))) as target, quick(target) as client:
        seen: dict[str, list[int]] = defaultdict(list)
        stream = client.stream_many(STARTS)
        while sum(len(numbers) for numbers in seen.values()) < len(FIRST) + 2:
            lane, event = await anext(stream)
            seen[lane.run_id].append(event.sequence_number)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 0.1)
        for run_id, numbers in (await numbers_of(stream)).items():
            seen[run_id] += numbers
    assert seen == whole(0, 1)


async def test_being_accepted_again_and_again_is_no_progress() -> None:
    accepted = Scene([TAKE, Say(1)], end=BROKEN)
    server = ScriptedLanes(Scene([Say(0, FIRST), Say(1, SECOND[:2])], ahead=IDS, end=BROKEN), *[accepted] * 9)
    async with serving(server) as target, quick(target, attempts=3) as client:
        with pytest.raises(ServerUnavailable):
            await numbers_of(client.stream_many(STARTS))
    assert len(server.asked) == 3


async def test_nothing_is_silence_before_a_run_is_followed() -> None:
    options = run_service_pb2.StreamOptions()
    options.heartbeat_interval.FromMilliseconds(10)
    accepting = asyncio.Event()
    server = ScriptedLanes(Scene([TAKE, accepting, Say(0), Say(0, FIRST)], silent=True))
    async with serving(server) as target, quick(target) as client, client.converse(options=options) as talk:
        # Longer than what would be silence.
        asyncio.get_running_loop().call_later(0.1, accepting.set)
        await talk.start("agent-0", "hi")
        assert await numbers_of(talk) == whole(0)
    assert len(server.asked) == 1


async def test_it_gives_up_and_goes_on_when_it_is_asked_again() -> None:
    scenes = [
        Scene([Say(0, FIRST)], ahead=IDS, end=BROKEN),
        Scene(end=BROKEN),
        Scene(end=BROKEN),
        Scene([TAKE, Say(1, SECOND)]),
    ]
    async with serving(ScriptedLanes(*scenes)) as target, quick(target, attempts=3) as client:
        stream = client.stream_many(STARTS)
        with pytest.raises(ServerUnavailable):
            await numbers_of(stream)
        assert await numbers_of(stream) == whole(1)


async def test_a_request_that_breaks_a_rule_raises() -> None:
    bad = Refusal(code=grpc.StatusCode.INVALID_ARGUMENT, reason="INVALID_REQUEST", fields={"starts": "too many"})
    async with serving(ScriptedLanes(Scene(end=bad))) as target, quick(target) as client:
        with pytest.raises(InvalidRequest) as caught:
            await client.stream_many(STARTS).started()
    assert caught.value.fields == {"starts": "too many"}


async def test_a_closed_stream_yields_no_more_and_says_so_when_it_is_asked_for_the_end() -> None:
    async with serving(ScriptedLanes(Scene([Say(0, FIRST[:2])], ahead=IDS, silent=True))) as target, quick(target) as client:
        stream = client.stream_many(STARTS)
        seen = []
        async for lane, event in stream:
            seen.append((lane.run_id, event.sequence_number, lane.last_sequence_number))
            if len(seen) == 2:
                await stream.disconnect()
        assert seen == [("run-0", 1, 1), ("run-0", 2, 2)]
        with pytest.raises(StreamClosed):
            await stream.final()


async def test_a_disconnect_as_the_stream_takes_its_leave_is_an_end_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = [Scene([Say(0, FIRST[:3]), Say(1, SECOND)], ahead=IDS, end=BROKEN), Scene([TAKE, Say(0, FIRST[3:])], silent=True)]
    async with serving(ScriptedLanes(*scenes)) as target, quick(target) as client:
        stream = client.stream_many(STARTS)
        done_writing = DialogueCall.done_writing

        async def left_meanwhile(call: DialogueCall[run_service_pb2.ConverseResponse]) -> None:
            await done_writing(call)
            await stream.disconnect()

        monkeypatch.setattr(DialogueCall, "done_writing", left_meanwhile)
        assert await numbers_of(stream) == whole(0, 1)


async def test_turns_go_over_one_dialogue_and_a_cut_loses_none() -> None:
    scenes = [
        Scene([TAKE, Say(0), Say(0, FIRST), TAKE, Say(1), Say(1, SECOND[:4])], end=BROKEN),
        Scene([TAKE, Say(1, SECOND[4:])], silent=True),
    ]
    server = ScriptedLanes(*scenes)
    async with serving(server) as target, quick(target) as client, client.converse() as talk:
        first = await talk.start("agent-0", "hi")
        assert await numbers_of(talk) == whole(0)
        assert (first.text, talk.lanes) == ("ab", [first])
        second = await talk.start("agent-1", "ho")
        assert await numbers_of(talk) == whole(1)
        assert (second.text, talk.lanes) == ("cde", [second])
    assert positions(server, 1) == {"1": 4}


async def test_a_start_inside_the_loop_loses_nothing_of_the_others() -> None:
    server = ScriptedLanes(Scene([TAKE, Say(0), Say(0, FIRST[:2]), TAKE, Say(0, FIRST[2:]), Say(1, SECOND)], silent=True))
    async with serving(server) as target, quick(target) as client, client.converse() as talk:
        await talk.start("agent-0", "hi")
        seen = defaultdict(list)
        async with asyncio.timeout(10):
            async for lane, event in talk:
                seen[lane.run_id].append(event.sequence_number)
                if event.sequence_number == 1 and lane.tag == "0":
                    await talk.start("agent-1", "ho")
        assert seen == whole(0, 1)


async def test_one_may_start_while_another_reads() -> None:
    server = ScriptedLanes(
        Scene([TAKE, Say(0), Say(0, FIRST[:2]), TAKE, Say(1), Say(1, SECOND), Say(0, FIRST[2:])], silent=True)
    )
    async with serving(server) as target, quick(target) as client, client.converse() as talk, asyncio.timeout(10):
        await talk.start("agent-0", "hi")
        reading = asyncio.Event()

        async def read_all() -> dict[str, list[int]]:
            seen = defaultdict(list)
            async for lane, event in talk:
                seen[lane.run_id].append(event.sequence_number)
                reading.set()
            return seen

        async with asyncio.TaskGroup() as group:
            seen = group.create_task(read_all())
            await reading.wait()
            lane = await talk.start("agent-1", "ho")
        assert lane.run_id == "run-1"
        assert seen.result() == whole(0, 1)


async def test_a_refused_turn_raises_and_ends_neither_the_dialogue_nor_what_runs_on_it() -> None:
    server = ScriptedLanes(Scene([TAKE, Say(0), TAKE, Say(1, refusal=BUSY), Say(0, FIRST)], silent=True))
    async with serving(server) as target, quick(target) as client, client.converse() as talk:
        await talk.start("agent-0", "hi")
        with pytest.raises(ConversationBusy):
            await talk.start("agent-0", "ho")
        assert await numbers_of(talk) == whole(0)


async def test_a_start_that_was_given_up_is_not_made_with_the_next_one() -> None:
    server = ScriptedLanes(Scene(end=BROKEN), Scene([TAKE, Say(1), Say(1, FIRST)], silent=True))
    retry = RetryPolicy(call_attempts=1)
    async with serving(server) as target, AsyncClient(target, retry=retry) as client, client.converse() as talk:
        with pytest.raises(ServerUnavailable):
            await talk.start("agent-0", "hi")
        assert talk.lanes == []
        await talk.start("agent-1", "ho")
    assert list(positions(server, 1)) == ["1"]


async def test_a_start_that_was_cancelled_is_not_repeated_after_a_cut() -> None:
    server = ScriptedLanes(Scene([TAKE], silent=True), Scene([TAKE, Say(1), Say(1, FIRST)], silent=True))
    async with serving(server) as target, quick(target) as client, client.converse() as talk:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await talk.start("agent-0", "hi")
        await talk.start("agent-1", "ho")
    assert list(positions(server, 1)) == ["1"]


async def test_an_end_without_a_last_event_is_verified() -> None:
    ended = runs_pb2.Run(id="run-0", state=runs_pb2.RUN_STATE_COMPLETED, last_sequence_number=7)
    server = ScriptedLanes(Scene([TAKE, Say(0)]), run=ended)
    async with serving(server) as target, quick(target) as client, client.converse() as talk:
        lane = await talk.attach("run-0", after=7)
        assert await numbers_of(talk) == {}
        assert lane.run == ended


async def test_a_closed_client_closes_its_dialogues() -> None:
    async with serving(ScriptedLanes(Scene([TAKE, Say(0)], silent=True))) as target:
        client = quick(target)
        talk = client.converse()
        await talk.start("agent-0", "hi")
        await client.close()
        assert await numbers_of(talk) == {}
        with pytest.raises(StreamClosed):
            await talk.start("agent-0", "hi")


async def test_threads_may_start_on_one_dialogue_at_once() -> None:
    count = 16
    accepted = [Say(lane, lane_log(lane)) for lane in range(count)]
    server = ScriptedLanes(Scene([*[TAKE] * count, *accepted], silent=True))

    def talk_through(target: str) -> set[str]:
        with Client(target) as client, client.converse() as talk, ThreadPoolExecutor(count) as threads:
            lanes = list(threads.map(lambda number: talk.start(f"agent-{number}", "hi"), range(count)))
            talk.final()
            return {lane.text for lane in lanes}

    async with serving(server) as target:
        assert await asyncio.to_thread(talk_through, target) == {"ab"}
    assert len(server.asked) == 1


async def test_the_blocking_twins_do_the_same() -> None:
    scenes = [
        Scene([Say(0, FIRST[:3]), Say(1, SECOND[:5])], ahead=IDS, end=BROKEN),
        Scene([TAKE, Say(0, FIRST[3:]), TAKE, Say(1, SECOND[5:])]),
        Scene([TAKE, Say(0), Say(0, FIRST[:4])], end=BROKEN),
        Scene([TAKE, Say(0, FIRST[4:]), TAKE, Say(1), Say(1, SECOND)], silent=True),
    ]
    server = ScriptedLanes(*scenes)

    def talk_through(target: str) -> tuple[dict[str, list[int]], list[int], str]:
        with Client(target, sleep=lambda _: None) as client:
            seen = defaultdict(list)
            for lane, event in client.stream_many(STARTS):
                seen[lane.run_id].append(event.sequence_number)
            with client.converse() as talk:
                talk.start("agent-0", "hi")
                numbers = [event.sequence_number for _, event in talk]
                lane = talk.start("agent-1", "ho")
                talk.final()
            return seen, numbers, lane.text

    async with serving(server) as target:
        seen, numbers, text = await asyncio.to_thread(talk_through, target)
    assert seen == whole(0, 1)
    assert numbers == whole(0)["run-0"]
    assert text == "cde"
    assert positions(server, 1) == {"0": 3, "1": 5}
    assert positions(server, 3)["0"] == 4
