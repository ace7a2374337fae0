"""Callers are told that their runs have ended: once it is so, again until they take it, and by whichever server lives."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from letta_grpc.domain.callbacks import LONGEST_PAUSE, Callback, CallbackOutcome
from letta_grpc.domain.errors import InvalidRequest, ModelTimeout, StoreUnavailable
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.messages import ApprovalInput, Approve, ToolCall
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import ConflictPolicy, Run, RunSpec, RunState
from letta_grpc.domain.signing import signed_headers
from letta_grpc.engine.callbacks import AT_ONCE, Callbacks, body_of
from letta_grpc.engine.starts import StartRequest
from letta_grpc.ports.callbacks import CallbackStore, DueCallback
from letta_grpc.ports.stores import RunFilter
from letta_grpc.testing.clocks import FakeClock
from tests.support.callbacks import REFUSED, SECONDS, Receivers, statuses
from tests.support.engine import DirectedTools, Engine, call, engine, say
from tests.support.values import spec

URL = "https://example.com/told"


async def settled(house: Engine, run_id: RunId, attempts: int = 1) -> Callback:
    """What is kept of a callback, once so many attempts are."""
    async with asyncio.timeout(SECONDS):
        while True:
            callback = (await house.runs.get(run_id)).callback
            if callback and callback.attempts >= attempts:
                return callback
            await asyncio.sleep(0)


async def only_run(house: Engine) -> Run:
    (run,) = (await house.runs.list(PageRequest(), RunFilter())).items
    return run


def guarded() -> DirectedTools:
    async def echo(call: ToolCall) -> str:
        return call.arguments

    return DirectedTools({"risky": echo}, guarded={"risky"})


async def test_a_caller_is_told_of_the_end_and_of_what_it_was() -> None:
    receivers = Receivers()
    async with engine(receivers=receivers) as house:
        await house.play(say("Hi."), callback_url=URL, metadata={"ticket": "7", "letta-grpc.input": "x"})
        told = await receivers.next()
        run = await only_run(house)
        assert told == {
            "run_id": run.id,
            "agent_id": run.agent_id,
            "conversation_id": run.conversation_id,
            "status": "completed",
            "state": "completed",
            "stop_reason": "end_turn",
            "completed_at": run.end_time.isoformat() if run.end_time else "",
            "error": None,
            "metadata": {"ticket": "7"},
        }
        callback = await settled(house, run.id)
        assert (callback.url, callback.attempts, callback.status_code, callback.error) == (URL, 1, 204, None)
        await house.play(say("Nobody is told."))
    assert len(receivers.told) == 1


async def test_a_caller_is_told_within_the_trace_of_the_start() -> None:
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    receivers = Receivers()
    async with engine(receivers=receivers) as house:
        for traceparent in (trace, None):
            house.model.turns.append(say("Hi."))
            request = StartRequest(
                agent_id=house.agent.id,
                conversation_id=None,
                request_id=None,
                spec=spec(callback_url=URL),
                traceparent=traceparent,
            )
            await house.events((await house.runs.start(request)).id)
            await receivers.next()
    assert [dict(headers) for _, headers in receivers.sent] == [{"traceparent": trace}, {}]


async def test_a_failed_run_is_told_with_its_reason() -> None:
    receivers = Receivers()
    async with engine(receivers=receivers) as house:
        await house.play([ModelTimeout()], callback_url=URL)
        told = await receivers.next()
    assert (told["status"], told["error"]["reason"]) == ("failed", "MODEL_TIMEOUT")


async def test_cancelled_runs_are_told_also_those_that_never_began() -> None:
    receivers, forever = Receivers(), asyncio.Event()
    async with engine(receivers=receivers) as house:
        house.model.turns += [[forever]]
        first = await house.start(callback_url=URL)
        second = await house.start(callback_url=URL, conflict_policy=ConflictPolicy.ENQUEUE)
        await house.runs.cancel(second.id)
        assert (await receivers.next())["run_id"] == second.id
        await house.runs.cancel(first.id)
        assert (await receivers.next())["run_id"] == first.id
    assert statuses(receivers.told) == ["cancelled", "cancelled"]


async def test_a_run_that_waits_for_answers_is_told_and_so_is_an_answer_that_leaves_some_open() -> None:
    receivers = Receivers()
    async with engine(receivers=receivers, tools=guarded()) as house:
        events = await house.play(call("risky", "risky"), callback_url=URL)
        assert events
        asked = await receivers.next()
        assert (asked["status"], asked["state"], asked["stop_reason"]) == ("completed", "interrupted", "requires_approval")
        decision = Approve(tool_call_id="risky-0")
        answer = await house.begin(RunSpec(messages=(ApprovalInput(decisions=(decision,)),), callback_url=URL))
        told = await receivers.next()
        assert (told["run_id"], told["state"]) == (answer.id, RunState.INTERRUPTED.value)


async def test_who_does_not_take_it_is_told_again_later_and_not_for_ever() -> None:
    failing: list[CallbackOutcome | Exception] = [CallbackOutcome(error="refused"), *[CallbackOutcome(status_code=503)] * 9]
    receivers = Receivers(failing)
    async with engine(receivers=receivers) as house:
        await house.play(say("Hi."), callback_url=URL)
        run = await only_run(house)
        assert (await settled(house, run.id)).error == "refused"
        for attempts, seconds in enumerate((5, 30, 120, 600, 3600), 1):
            assert len(receivers.told) == attempts
            await house.clock.run_for(seconds + 20)
            assert (await settled(house, run.id, attempts + 1)).status_code == 503
        await house.clock.run_for(10_000)
    assert len(receivers.told) == 6


class PutBack(FakeClock):
    """A clock that can be put back, as those of machines are. Whoever sleeps does not notice."""

    back = timedelta()

    def now(self) -> datetime:
        return super().now() - self.back


async def test_a_clock_that_is_put_back_makes_it_come_no_later_than_any_pause() -> None:
    receivers, clock = Receivers([CallbackOutcome(status_code=503)]), PutBack()
    async with engine(receivers=receivers, clock=clock) as house:
        await house.play(say("Hi."), callback_url=URL)
        await settled(house, (await only_run(house)).id)
        clock.back = timedelta(days=1)
        await clock.run_for((LONGEST_PAUSE + timedelta(minutes=1)).total_seconds())
    assert len(receivers.told) == 2


async def test_it_is_tried_again_when_its_time_has_come_and_not_when_housekeeping_comes_by() -> None:
    receivers = Receivers([CallbackOutcome(status_code=503)] * 4)
    async with engine(receivers=receivers) as house:
        for _ in range(2):
            await house.play(say("Hi."), callback_url=URL)
            await receivers.next()
            await house.clock.run_for(1)
        told = []
        for _ in range(5):
            await house.clock.run_for(1)
            told.append(len(receivers.told))
    assert told == [2, 2, 3, 4, 4]


async def test_each_attempt_is_signed_anew_under_the_same_id() -> None:
    receivers = Receivers([CallbackOutcome(status_code=503)])
    async with engine(receivers=receivers, signing_keys=(b"old", b"new")) as house:
        await house.play(say("Hi."), callback_url=URL)
        run = await only_run(house)
        await receivers.next()
        before = house.clock.now()
        await house.clock.run_for(20)
        await receivers.next()
    (body, first), (again, second) = receivers.sent
    assert body == again
    assert [sent["webhook-id"] for sent in (first, second)] == [run.id, run.id]
    assert first["webhook-timestamp"] == str(int(before.timestamp()))
    assert int(second["webhook-timestamp"]) >= int(first["webhook-timestamp"]) + 5
    for sent in (first, second):
        time = datetime.fromtimestamp(int(sent["webhook-timestamp"]), UTC)
        assert sent == signed_headers((b"old", b"new"), run.id, time, body)


@pytest.mark.parametrize("status", [200, 301, 400, 404, 410])
async def test_who_took_it_or_never_will_is_not_told_again(status: int) -> None:
    receivers = Receivers([CallbackOutcome(status_code=status)])
    async with engine(receivers=receivers) as house:
        await house.play(say("Hi."), callback_url=URL)
        run = await only_run(house)
        assert (await settled(house, run.id)).status_code == status
        await house.clock.run_for(10_000)
    assert len(receivers.told) == 1


async def test_the_next_server_tells_who_was_not_told() -> None:
    receivers = Receivers(answering=asyncio.Event())
    async with engine(receivers=receivers) as house:
        await house.play(say("Hi."), callback_url=URL)
        await receivers.next()
    later = Receivers()
    async with engine(database=house.database, clock=house.clock, agent=house.agent, receivers=later):
        await house.clock.run_for(timedelta(minutes=2).total_seconds())
        assert (await later.next())["status"] == "completed"


async def test_a_slow_receiver_keeps_no_other_waiting() -> None:
    receivers = Receivers(answering=asyncio.Event())
    async with engine(receivers=receivers) as house:
        for _ in range(3):
            await house.play(say("Hi."), callback_url=URL)
            await receivers.next()
    assert len({body["run_id"] for _, body in receivers.told}) == 3


async def test_so_many_are_told_at_once_and_the_others_when_one_has_answered() -> None:
    answering = asyncio.Event()
    receivers = Receivers(answering=answering)
    async with engine(receivers=receivers) as house:
        for _ in range(AT_ONCE + 3):
            await house.play(say("Hi."), callback_url=URL)
        for _ in range(AT_ONCE):
            await receivers.next()
        await house.clock.run_for(20)
        assert len(receivers.told) == AT_ONCE
        answering.set()
        for _ in range(3):
            await receivers.next()
    assert len({body["run_id"] for _, body in receivers.told}) == AT_ONCE + 3


class Failing:
    """A store that fails once at each of its two jobs."""

    def __init__(self, store: CallbackStore, fault: type[Exception]) -> None:
        self._store = store
        self._fault = fault
        self._failures = {"take", "put"}

    async def take(self, now: datetime, until: datetime, limit: int) -> tuple[DueCallback, ...]:
        self._fail("take")
        return await self._store.take(now, until, limit)

    async def next_time(self) -> datetime | None:
        return await self._store.next_time()

    async def put(self, run_id: RunId, callback: Callback, next_time: datetime | None) -> None:
        self._fail("put")
        await self._store.put(run_id, callback, next_time)

    def _fail(self, job: str) -> None:
        if job in self._failures:
            self._failures.remove(job)
            raise self._fault


# The second is what nobody expects: it must not take the runs with it.
@pytest.mark.parametrize("fault", [StoreUnavailable, ZeroDivisionError])
async def test_a_store_that_fails_makes_it_come_later_or_twice(fault: type[Exception]) -> None:
    async with engine(receivers=Receivers(answering=asyncio.Event())) as house:
        await house.play(say("Hi."), callback_url=URL)
        run = await only_run(house)
    receivers = Receivers()
    callbacks = Callbacks(store=Failing(house.database.callbacks, fault), sender=receivers, clock=house.clock)
    async with asyncio.TaskGroup() as group:
        work = group.create_task(callbacks.work())
        for told in (0, 1, 2):
            await house.clock.run_for(120)
            callbacks.wake()
            for _ in range(told and 1):
                await receivers.next()
            assert len(receivers.told) == told
        assert (await settled(house, run.id)).status_code == 204
        work.cancel()


async def test_a_sender_that_breaks_takes_nothing_with_it() -> None:
    receivers = Receivers([RuntimeError("broken")])
    async with engine(receivers=receivers) as house:
        await house.play(say("Hi."), callback_url=URL)
        await receivers.next()
        await house.play(say("Hi again."), callback_url=URL)
        assert (await receivers.next())["status"] == "completed"


async def test_an_address_that_is_not_allowed_starts_nothing() -> None:
    async with engine() as house:
        with pytest.raises(InvalidRequest) as refused:
            await house.begin(spec("Hi.", callback_url=REFUSED))
        assert refused.value.fields == {"run.callback_url": "is not allowed here"}
        assert (await house.runs.list(PageRequest(), RunFilter())).items == ()


async def test_a_run_that_has_not_ended_has_no_end_to_tell() -> None:
    async with engine() as house:
        house.model.turns += [[asyncio.Event()]]
        body = body_of(await house.start())
    assert '"completed_at": null' in body
