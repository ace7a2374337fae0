"""What comes between the end of a run, as it is stored, and the moment in which its task hears of that."""

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable, Sequence

import pytest

from letta_grpc.domain.agents import Agent, Sleeptime
from letta_grpc.domain.events import RunEvent, RunFinished
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import Run, RunState
from letta_grpc.engine.agents import NewAgent
from letta_grpc.ports.journal import Change, Lease
from letta_grpc.ports.stores import RunFilter
from tests.support.engine import Engine, engine, say


def told_late(house: Engine, monkeypatch: pytest.MonkeyPatch) -> "Future[None]":
    """Return what a run's task waits for behind its last append, which is stored by then."""
    told: Future[None] = asyncio.get_running_loop().create_future()
    append = house.database.journal.append

    def late(lease: Lease, events: Sequence[RunEvent], changes: Sequence[Change] = ()) -> "Future[None]":
        stored = append(lease, events, changes)
        return told if any(isinstance(event, RunFinished) for event in events) else stored

    monkeypatch.setattr(house.database.journal, "append", late)
    return told


async def with_helper(house: Engine) -> Agent:
    """The house's agent gets one that is told of each of its turns; that one is returned."""
    helper = await house.agents.create(NewAgent(model="test/model", name="helper"))
    sleeptime = Sleeptime(agent_ids=(helper.id,), every_turns=1)
    await house.database.agents.update(house.agent.id, {"sleeptime": sleeptime}, house.clock.now())
    house.model.turns += [say("hi"), say("noted")]
    return helper


async def cancelled(house: Engine, run: Run) -> None:
    """Somebody cancels it, who does not know that it has ended."""
    assert (await house.runs.cancel(run.id)).state is RunState.COMPLETED


async def renewed(house: Engine, _run: Run) -> None:
    """It is the housekeeper's turn."""
    await house.clock.until_sleepers()
    await house.clock.run_for(11)


@pytest.mark.parametrize("trouble", [cancelled, renewed])
async def test_the_work_that_is_due_after_a_turn_is_begun_whatever_comes_behind_its_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, trouble: Callable[[Engine, Run], Awaitable[None]]
) -> None:
    async with engine() as house:
        helper, told = await with_helper(house), told_late(house, monkeypatch)
        run = await house.start()
        await house.events(run.id)
        assert house.supervisor.active == 1
        await trouble(house, run)
        # A task is cancelled when the loop has gone round.
        await asyncio.sleep(0)
        told.set_result(None)
        async with asyncio.timeout(5):
            while not await runs_of(house, helper):  # noqa: ASYNC110 - nobody is told of such a start
                await asyncio.sleep(0)
    assert "taken over" not in caplog.text


async def runs_of(house: Engine, agent: Agent) -> Sequence[Run]:
    return (await house.runs.list(PageRequest(), RunFilter(agent_id=agent.id))).items


async def test_a_server_that_stops_behind_the_end_of_a_run_leaves_what_is_due_to_the_next_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with engine() as house:
        helper, told = await with_helper(house), told_late(house, monkeypatch)
        run = await house.start()
        await house.events(run.id)
        asyncio.get_running_loop().call_later(0.05, told.set_result, None)
    assert await runs_of(house, helper) == ()
    assert not [record.message for record in caplog.records if record.levelname == "ERROR"]
    async with engine(database=house.database, clock=house.clock, model=house.model, agent=house.agent) as house:
        async with asyncio.timeout(5):
            while not await runs_of(house, helper):  # noqa: ASYNC110 - see above
                await asyncio.sleep(0)
