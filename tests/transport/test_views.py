import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from letta_grpc.domain.events import ReasoningDelta, RunEvent, RunFinished, RunStarted, StepRestarted, StepStarted, TextDelta
from letta_grpc.domain.ids import MessageId, StepId
from letta_grpc.ports.log import LogPage
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.transport.convert.codec import ProtoEventCodec
from letta_grpc.transport.convert.requests import View
from letta_grpc.transport.methods import Response
from letta_grpc.transport.views import follow_seconds, plain, shaped
from letta_grpc.v1 import events_pb2, run_service_pb2
from tests.support.values import run as plain_run

CODEC = ProtoEventCodec()
MESSAGE, STEP = MessageId("message-1"), StepId("step-1")
LOG: Sequence[RunEvent] = (
    RunStarted(plain_run()),
    StepStarted(STEP, 0, "a/b"),
    TextDelta(MESSAGE, 0, "ab"),
    ReasoningDelta(MESSAGE, "cd"),
    TextDelta(MESSAGE, 0, "ef"),
    StepRestarted(STEP, 2, ()),
    TextDelta(MESSAGE, 0, "g"),
    RunFinished(plain_run()),
)
FRAMES = [CODEC.encode(number, 0, event) for number, event in enumerate(LOG, start=1)]


def page(first: int, last: int) -> LogPage:
    return LogPage(first, last, b"".join(FRAMES[first - 1 : last]), ended=last == len(FRAMES))


def silence(last: int) -> LogPage:
    return LogPage(last + 1, last, b"", ended=False)


async def each(pages: Sequence[LogPage]) -> AsyncGenerator[LogPage, None]:
    for one in pages:
        yield one


def told(response: Response) -> list[int | str]:
    """The numbers of a response's events; a heartbeat is written with a heart."""
    events = run_service_pb2.StreamRunResponse.FromString(response.body).events
    numbers: list[int | str] = [
        f"♥{event.sequence_number}" if event.WhichOneof("payload") == "heartbeat" else event.sequence_number
        for event in events
    ]
    assert response.events == sum(isinstance(number, int) for number in numbers)
    return numbers


async def seen(view: View, *pages: LogPage, clock: FakeClock | None = None) -> list[list[int | str]]:
    return [told(response) async for response in shaped(each(pages), view, clock or FakeClock())]


def test_a_view_without_options_sends_pages_as_they_are() -> None:
    responses = [plain(part, FakeClock()) for part in (page(1, 3), silence(3), page(4, 8))]
    assert responses[0] == Response(page(1, 3).frames, 3)
    assert [told(response) for response in responses] == [[1, 2, 3], ["♥3"], [4, 5, 6, 7, 8]]


def test_a_view_without_options_looks_into_no_event() -> None:
    broken = LogPage(1, 2, b"\x1a\x03???\x1a\x01?", ended=True)
    assert plain(broken, FakeClock()) == Response(broken.frames, 2)


def test_a_heartbeat_bears_its_time_and_no_number_of_its_own() -> None:
    clock = FakeClock()
    (event,) = run_service_pb2.StreamRunResponse.FromString(plain(silence(0), clock).body).events
    assert (event.sequence_number, event.HasField("heartbeat")) == (0, True)
    assert event.create_time.ToNanoseconds() == clock.time_ns()


async def test_a_filter_lets_its_kinds_pass_and_what_always_passes() -> None:
    view = View(kinds=frozenset({events_pb2.EVENT_KIND_REASONING_DELTA}))
    assert await seen(view, page(1, 8)) == [[1], [4], [6], [8]]


async def test_deltas_can_be_left_out() -> None:
    assert await seen(View(omit_deltas=True), page(1, 4), page(5, 8)) == [[1], [2], [6], [8]]


async def test_a_kind_that_was_left_out_as_a_delta_does_not_pass_by_the_filter() -> None:
    view = View(omit_deltas=True, kinds=frozenset({events_pb2.EVENT_KIND_TEXT_DELTA}))
    assert await seen(view, page(1, 8)) == [[1], [6], [8]]


async def test_a_heartbeat_behind_a_filter_counts_what_did_not_pass() -> None:
    view = View(kinds=frozenset({events_pb2.EVENT_KIND_STEP_STARTED}))
    assert await seen(view, page(1, 5), silence(5)) == [[1], [2], ["♥5"]]


async def test_a_log_that_talks_all_the_time_does_not_make_a_filtered_stream_silent() -> None:
    clock, view = FakeClock(), View(omit_deltas=True, heartbeat_seconds=10)

    async def chatter() -> AsyncIterator[LogPage]:
        yield page(1, 2)
        for number in (3, 4, 5):
            clock.advance(3)
            yield page(number, number)

    assert follow_seconds(view) == 5
    assert [told(response) async for response in shaped(chatter(), view, clock)] == [[1], [2], ["♥4"]]


async def test_small_deltas_wait_for_each_other_and_stay_as_they_are() -> None:
    responses = [one async for one in shaped(each([page(n, n) for n in range(1, 9)]), View(min_chunk_chars=4), FakeClock())]
    assert [told(response) for response in responses] == [[1], [2], [3, 4], [5], [6], [7], [8]]
    assert b"".join(response.body for response in responses) == b"".join(FRAMES)


async def test_what_is_held_back_goes_out_before_a_heartbeat() -> None:
    assert await seen(View(min_chunk_chars=100), page(1, 4), silence(4), page(5, 8)) == [
        [1],
        [2],
        [3, 4, "♥4"],
        [5],
        [6],
        [7],
        [8],
    ]


async def test_no_heartbeat_is_sent_where_none_is_wanted() -> None:
    view = View(min_chunk_chars=100, heartbeat_seconds=None)
    assert follow_seconds(view) is None
    assert await seen(view, page(1, 3), page(4, 8)) == [[1], [2], [3, 4, 5], [6], [7], [8]]


async def test_many_tiny_deltas_do_not_make_a_response_too_large() -> None:
    frames = [CODEC.encode(number, 0, TextDelta(MESSAGE, 0, "x")) for number in range(1, 30_001)]
    pages = [LogPage(at + 1, at + 1000, b"".join(frames[at : at + 1000]), ended=False) for at in range(0, 30_000, 1000)]
    view = View(min_chunk_chars=65_536)
    responses = [response async for response in shaped(each([*pages, silence(30_000)]), view, FakeClock())]
    assert max(len(response.body) for response in responses) < 512 * 1024
    assert b"".join(response.body for response in responses).startswith(b"".join(frames))


@pytest.mark.timeout(10)
async def test_a_slow_reader_gets_deltas_at_its_own_pace_and_heartbeats_meanwhile() -> None:
    # Each delta of two characters is half a token by estimate, rounded up to one: a second each.
    clock, times = FakeClock(), []
    begin = clock.time_ns()

    async def read() -> None:
        async for response in shaped(each([page(1, 8)]), View(max_tokens_per_second=1), clock):
            times.append(((clock.time_ns() - begin) / 1e9, told(response)))  # noqa: PERF401 - each at its time

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        await clock.run_for(10)
    assert times == [(0, [1]), (0, [2]), (0, [3]), (1, [4]), (2, [5]), (2, [6]), (3, [7]), (3, [8])]


@pytest.mark.timeout(10)
async def test_a_pace_that_takes_long_is_bridged_by_heartbeats_that_promise_only_what_went_out() -> None:
    clock, seen_so_far = FakeClock(), []
    frames = b"".join(CODEC.encode(number, 0, TextDelta(MESSAGE, 0, "x" * 100)) for number in (1, 2))

    async def read() -> None:
        view = View(max_tokens_per_second=1, heartbeat_seconds=10)
        async for response in shaped(each([LogPage(1, 2, frames, ended=False)]), view, clock):
            seen_so_far.append(told(response))  # noqa: PERF401 - as far as it comes

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        await clock.run_for(30)
    assert seen_so_far == [[1], ["♥1"], ["♥1"], [2]]


class HastyClock(FakeClock):
    """Wakes its sleepers a little early, as the timers of some event loops do."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds * 0.9 if seconds > 0.01 else seconds)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("heartbeat_seconds", [None, 10])
async def test_a_clock_that_wakes_early_makes_no_heartbeats(heartbeat_seconds: float | None) -> None:
    clock, seen_so_far = HastyClock(), []
    frames = b"".join(CODEC.encode(number, 0, TextDelta(MESSAGE, 0, "x" * 20)) for number in (1, 2, 3))

    async def read() -> None:
        view = View(max_tokens_per_second=1, heartbeat_seconds=heartbeat_seconds)
        async for response in shaped(each([LogPage(1, 3, frames, ended=True)]), view, clock):
            seen_so_far.append(told(response))  # noqa: PERF401 - as far as it comes

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        await clock.run_for(30)
    assert seen_so_far == [[1], [2], [3]]


class SetBackClock(FakeClock):
    """Is put back by an hour, as a machine's may be, and goes on from there."""

    _offset_ns = 0

    def put_back(self) -> None:
        self._offset_ns = -3600 * 10**9

    def time_ns(self) -> int:
        return super().time_ns() + self._offset_ns


@pytest.mark.timeout(10)
@pytest.mark.parametrize("view", [View(max_tokens_per_second=1), View(max_tokens_per_second=1, heartbeat_seconds=10)])
async def test_a_slow_reader_does_not_wait_for_a_clock_that_was_put_back(view: View) -> None:
    clock, seen_so_far = SetBackClock(), []
    frames = b"".join(CODEC.encode(number, 0, TextDelta(MESSAGE, 0, "x" * 20)) for number in (1, 2, 3))

    async def read() -> None:
        async for response in shaped(each([LogPage(1, 3, frames, ended=True)]), view, clock):
            seen_so_far.append(told(response))  # noqa: PERF401 - as far as it comes

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read())
        await clock.run_for(1)
        clock.put_back()
        await clock.run_for(30)
        reading.cancel()
    assert seen_so_far == [[1], [2], [3]]


async def test_a_clock_that_was_put_back_makes_no_filtered_stream_silent() -> None:
    clock, view = SetBackClock(), View(kinds=frozenset(), heartbeat_seconds=10)

    async def pages() -> AsyncGenerator[LogPage, None]:
        yield page(1, 1)
        clock.put_back()
        yield page(2, 2)
        yield page(3, 3)

    assert [told(response) async for response in shaped(pages(), view, clock)] == [[1], ["♥2"]]


VIEWS = st.builds(
    View,
    kinds=st.none() | st.frozensets(st.sampled_from([number for number in events_pb2.EventKind.values() if number])),
    omit_deltas=st.booleans(),
    min_chunk_chars=st.integers(0, 8),
)


@settings(max_examples=100, deadline=None)
@given(VIEWS, st.sets(st.integers(1, len(LOG) - 1)), st.sets(st.integers(1, len(LOG))))
def test_any_view_of_any_pages_keeps_order_and_promises(view: View, cuts: set[int], silences: set[int]) -> None:
    edges = [0, *sorted(cuts), len(LOG)]
    pages: list[LogPage] = []
    for before, last in pairwise(edges):
        pages += [page(before + 1, last)] + ([silence(last)] if last in silences else [])
    whole = asyncio.run(seen(view, page(1, len(LOG))))
    numbers = [number for response in asyncio.run(seen(view, *pages)) for number in response]
    delivered = [number for number in numbers if isinstance(number, int)]
    assert (
        delivered == [number for response in whole for number in response if isinstance(number, int)] == sorted(set(delivered))
    )
    assert delivered[-1] == len(LOG)
    for index, number in enumerate(numbers):
        if isinstance(number, str):
            promised = [one for one in delivered if one <= int(number[1:])]
            assert promised == [one for one in numbers[:index] if isinstance(one, int)]
