"""Calls that wait survive the server that was asked for them."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from letta_grpc.domain.errors import ApprovalExpired, ApprovalPending
from letta_grpc.domain.messages import Role, SpokenInput, TextPart
from letta_grpc.domain.runs import ConflictPolicy, RunState
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.journals.asking import DEADLINE, approve, ask, deny, newest_run, pending_of, send, waiting
from letta_grpc.testing.journals.scenes import events_of
from letta_grpc.testing.stores.world import held
from letta_grpc.transport.convert.codec import ProtoEventCodec
from tests.support.sqlite_worlds import opened

_OTHER = SpokenInput(role=Role.USER, content=(TextPart("Never mind."),))


async def test_a_batch_stays_open_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "letta.db"
    async with opened(path, FakeClock()) as file:
        asked = await waiting(file.world, "a", "b")
        partial = await send(file.world, asked, approve("a", "{}"))
    async with opened(path, FakeClock()) as file:
        assert await file.database.leases.take_over(FakeClock().now()) == ()
        assert await pending_of(file.world, partial.run.id) == ["b"]
        assert len(await events_of(file.world.log, ProtoEventCodec(), partial.run.id)) == 3
        with pytest.raises(ApprovalPending):
            await send(file.world, asked, _OTHER)
        claim = await send(file.world, asked, deny("b"))
        assert claim.batch is not None
        assert [call.arguments for call in claim.batch.calls()] == ["{}", '{"to": "ada"}']
        assert (await send(file.world, asked, approve("a", "{}"))).run.id == partial.run.id


async def test_calls_expire_also_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "letta.db"
    async with opened(path, FakeClock()) as file:
        asked = await waiting(file.world, "a")
    async with opened(path, FakeClock()) as file:
        assert await file.database.leases.expire_calls(DEADLINE) == (asked.conversation_id,)
        denial = await newest_run(file.world, asked)
    async with opened(path, FakeClock()) as file:
        assert (await file.world.runs.get(denial.id)).state is RunState.CANCELLED
        assert len(await events_of(file.world.log, ProtoEventCodec(), denial.id)) == denial.last_sequence_number
        with pytest.raises(ApprovalExpired):
            await send(file.world, asked, approve("a"))


async def test_the_next_server_goes_on_with_an_answer_and_has_its_calls(tmp_path: Path) -> None:
    path = tmp_path / "letta.db"
    async with opened(path, FakeClock()) as file:
        asked = await waiting(file.world, "a", "b", system="Be brief.")
        await send(file.world, asked, approve("a"))
        claim = await send(file.world, asked, deny("b", "no"))
    async with opened(path, FakeClock()) as file:
        (taken,) = await file.database.leases.take_over(FakeClock().now())
        assert (taken.run.id, held(taken).attempt) == (claim.run.id, 2)
        assert (taken.batch, taken.spec.system) == (claim.batch, "Be brief.")


async def test_a_batch_that_cannot_be_read_costs_nobody_else_a_commit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "letta.db"
    async with opened(path, FakeClock()) as file:
        asked = [await waiting(file.world, "a"), await waiting(file.world, "b")]
    # They expire in the order of their conversations' ids.
    first, second = sorted(asked, key=lambda run: run.conversation_id)
    with closing(sqlite3.connect(path)) as driver, driver:
        driver.execute("UPDATE runs SET pending_actions = '[' WHERE id = ?", [second.id])
    async with opened(path, FakeClock()) as file:
        with pytest.raises(ValueError, match="end of data"):
            await file.database.leases.expire_calls(DEADLINE)
        assert len(await pending_of(file.world, first.id)) == 1
    assert "a commit failed" not in caplog.text


async def test_a_start_whose_cancel_fails_at_the_calls_before_it_is_still_queued(tmp_path: Path) -> None:
    path = tmp_path / "letta.db"
    async with opened(path, FakeClock()) as file:
        claim = await file.world.start(await file.world.default(await file.world.agent()), "Send it.")
        queued = (await send(file.world, claim.run, _OTHER, conflict_policy=ConflictPolicy.INTERRUPT)).run
        asked = await ask(file.world, claim, "a")
    with closing(sqlite3.connect(path)) as driver, driver:
        driver.execute("UPDATE runs SET pending_actions = '[' WHERE id = ?", [asked.id])
    async with opened(path, FakeClock()) as file:
        with pytest.raises(ValueError, match="end of data"):
            await file.database.journal.request_cancel(queued.id)
        assert (await file.world.runs.get(queued.id)).state is RunState.QUEUED
        assert await events_of(file.world.log, ProtoEventCodec(), queued.id) == []


async def test_hundreds_of_batches_expire_together(tmp_path: Path) -> None:
    async with opened(tmp_path / "letta.db", FakeClock()) as file:
        asked = [await waiting(file.world, "a", "b") for _ in range(120)]
        expired = await file.database.leases.expire_calls(DEADLINE)
        assert set(expired) == {run.conversation_id for run in asked}
        assert await file.database.leases.expire_calls(DEADLINE) == ()
        for run in asked:
            assert await pending_of(file.world, run.id) == []
