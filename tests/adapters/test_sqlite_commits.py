"""How the writer commits: in groups, within bounds, and all or nothing."""

import asyncio
import shutil
import sqlite3
from asyncio import Future
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, Table, func, select

from letta_grpc.adapters.sql.journal.group import JOURNAL_BYTES, SEGMENT_BYTES, Group
from letta_grpc.adapters.sql.schema import journal, segments
from letta_grpc.adapters.sql.sqlite import checkpoints
from letta_grpc.adapters.sql.sqlite.checkpoints import Checkpointer
from letta_grpc.adapters.sql.sqlite.connections import Sync, connect_checkpointer
from letta_grpc.domain.errors import ConversationBusy, LeaseLost, RunNotFound, StoreUnavailable
from letta_grpc.domain.events import MessageCompleted
from letta_grpc.domain.messages import Role, SpokenInput, TextPart
from letta_grpc.domain.runs import RunSpec
from letta_grpc.ports.journal import Claim
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.journals.scenes import claim_with, deltas, frames_of, new_start, running
from letta_grpc.testing.stores.world import held
from tests.requirements.registry import requirement
from tests.support.sql_worlds import Opened
from tests.support.sqlite_worlds import opened

MIB = 2**20


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def file(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Opened]:
    async with opened(tmp_path / "letta.db", clock) as file:
        yield file


async def count(file: Opened, table: Table) -> int:
    return await file.database.read(lambda c: c.execute(select(func.count()).select_from(table)).scalar_one())


async def test_what_many_runs_append_together_is_one_row_and_one_commit(file: Opened) -> None:
    claims = [await running(file.world) for _ in range(50)]
    before = await count(file, journal)
    await asyncio.gather(*(file.world.journal.append(held(claim), deltas(2)) for claim in claims for _ in range(10)))
    assert await count(file, journal) == before + 1
    for claim in claims:
        assert len(await frames_of(file.world.log, claim.run.id)) == 21


@requirement("complaint_19_queries")
async def test_deltas_touch_no_table_but_the_journal(file: Opened) -> None:
    claim = await running(file.world)
    changes = await _changes(file)
    for _ in range(10):
        await file.world.journal.append(held(claim), deltas(3))
    assert await _changes(file) == changes + 10


async def test_a_refused_job_leaves_the_others_of_its_group_alone(file: Opened) -> None:
    claim = await running(file.world)
    conversation = await file.world.conversations.get(None, claim.run.conversation_id)
    async with asyncio.TaskGroup() as tasks:
        stored = file.world.journal.append(held(claim), deltas(1))
        refused = tasks.create_task(_told(ConversationBusy, file.world.start(conversation, "now")))
        message = file.world.new_answer(claim, "hi")
        also_stored = file.world.journal.append(held(claim), [MessageCompleted(message)])
    await stored
    await also_stored
    assert refused.result()
    assert (await file.world.history.of_run(claim.run.id))[1:] == (message,)


async def test_memory_keeps_no_more_of_a_long_run_than_a_segment(file: Opened) -> None:
    claim = await running(file.world)
    for _ in range(200):
        await file.world.journal.append(held(claim), deltas(5, "x" * 2_000))
        live = file.database._live.find_open(claim.run.id)  # noqa: SLF001 - memory is what this is about
        assert live is not None
        assert live.size <= 2 * SEGMENT_BYTES
    assert len(await frames_of(file.world.log, claim.run.id)) == 1_001


async def test_a_reader_far_behind_reads_segments_while_the_run_goes_on(file: Opened) -> None:
    claim = await running(file.world)
    seen: list[bytes] = []
    for _ in range(100):
        await file.world.journal.append(held(claim), deltas(20, "x" * 200))
        page = await file.world.log.read(claim.run.id, len(seen), 3_000)
        seen += [bytes(1)] * (page.last - page.first + 1)
    assert await count(file, segments) > 3
    whole = await frames_of(file.world.log, claim.run.id)
    assert len(whole) == 2_001
    assert await frames_of(file.world.log, claim.run.id, len(seen), 3_000) == whole[len(seen) :]


async def test_the_journal_is_bounded_although_one_run_stays_silent(file: Opened, tmp_path: Path) -> None:
    silent, loud = await running(file.world), [await running(file.world) for _ in range(4)]
    await file.world.journal.append(held(silent), deltas(1, "long ago"))
    before = await frames_of(file.world.log, silent.run.id)
    for _ in range(300):
        await asyncio.gather(*(file.world.journal.append(held(claim), deltas(1, "x" * 9_000)) for claim in loud))
    size = await file.database.read(lambda c: c.exec_driver_sql("SELECT sum(length(data)) FROM journal").scalar_one())
    assert size < JOURNAL_BYTES + MIB
    assert await frames_of(file.world.log, silent.run.id) == before
    await file.world.journal.append(held(silent), deltas(1, "again"))
    assert len(await frames_of(file.world.log, silent.run.id)) == len(before) + 1
    assert (tmp_path / "letta.db-wal").stat().st_size < 40 * MIB


async def test_the_log_of_a_file_that_is_opened_by_a_link_is_bounded(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "disk" / "letta.db")
    async with opened(tmp_path / "link.db", clock) as file:
        claim = await running(file.world)
        for _ in range(400):
            await file.world.journal.append(held(claim), deltas(1, "x" * 200_000))
        assert (tmp_path / "disk" / "letta.db-wal").stat().st_size < 40 * MIB


async def test_the_log_is_copied_as_often_as_it_has_grown_by_its_limit(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: list[str] = []

    def traced(path: Path, sync: Sync) -> sqlite3.Connection:
        driver = connect_checkpointer(path, sync)
        driver.set_trace_callback(copies.append)
        return driver

    monkeypatch.setattr(checkpoints, "connect_checkpointer", traced)
    async with opened(tmp_path / "letta.db", clock) as file:
        claim = await running(file.world)
        for _ in range(400):
            await file.world.journal.append(held(claim), deltas(1, "x" * 16_000))
    # Each delta is written to the journal and later to a segment: 13 MB of log, three times its limit.
    assert 1 <= len(copies) <= 3


async def test_writes_go_on_while_nobody_can_say_how_long_the_log_is(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, elsewhere, seen = tmp_path / "folder", tmp_path / "elsewhere", list[int]()
    look = Checkpointer._log_bytes  # noqa: SLF001 - nothing else tells that it looked

    def noted(checkpointer: Checkpointer) -> int:
        seen.append(look(checkpointer))
        return seen[-1]

    monkeypatch.setattr(Checkpointer, "_log_bytes", noted)
    folder.mkdir()
    async with asyncio.timeout(10), opened(folder / "letta.db", clock) as file:
        claim = await running(file.world)
        folder.rename(elsewhere)
        folder.write_text("no folder")
        for _ in range(64):
            await file.world.journal.append(held(claim), deltas(1))
        assert 0 in seen, "a log of known length is longer"
        folder.unlink()
        elsewhere.rename(folder)
        assert len(await frames_of(file.world.log, claim.run.id)) == 65


async def test_a_failed_commit_is_told_to_all_and_shown_to_nobody(file: Opened, clock: FakeClock) -> None:
    claim, bystander = await running(file.world), await running(file.world)
    await file.world.journal.append(held(claim), deltas(3))
    before = await frames_of(file.world.log, claim.run.id)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        reader = tasks.create_task(_told(StoreUnavailable, file.world.log.wait(claim.run.id, len(before))))
        await asyncio.sleep(0)
        await _fill(file)
        failed = [file.world.journal.append(held(claim), deltas(9, "x" * 9_000)) for _ in range(9)]
        for future in failed:
            with pytest.raises(StoreUnavailable):
                await future
    assert reader.result()
    assert await frames_of(file.world.log, claim.run.id) == before
    await _make_room(file)
    with pytest.raises(StoreUnavailable):
        await file.world.journal.append(held(claim), deltas(1))
    await file.world.journal.append(held(bystander), deltas(1))
    (taken,) = await file.database.leases.take_over(clock.now())
    assert (taken.run.id, taken.run.attempt, taken.last_sequence_number) == (claim.run.id, 2, len(before))
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(file.world.log.wait(claim.run.id, len(before)))
        await file.world.journal.append(held(taken), deltas(1))
    assert waiting.done()
    after = await frames_of(file.world.log, claim.run.id)
    assert (after[:-1], len(after)) == (before, len(before) + 1)


async def test_runs_that_one_commit_failed_cost_one_look_at_the_journal_when_they_are_taken_over(
    file: Opened, clock: FakeClock
) -> None:
    claims = await _failed_together(file, 5)
    read: list[str] = []
    await file.database.write(lambda c: _driver(c).set_trace_callback(read.append))
    taken = await file.database.leases.take_over(clock.now())
    assert sorted(claim.run.id for claim in taken) == sorted(claim.run.id for claim in claims)
    assert sum("FROM journal" in statement for statement in read) == 1


async def test_runs_that_cannot_be_read_again_are_taken_over_later_with_all_that_they_had(
    file: Opened, clock: FakeClock
) -> None:
    claims = await _failed_together(file, 2)
    await file.database.write(lambda c: _driver(c).set_authorizer(_no_journal))
    with pytest.raises(StoreUnavailable):
        await file.database.leases.take_over(clock.now())
    await file.database.write(lambda c: _driver(c).set_authorizer(None))
    # Enough that rows which nobody needs are dropped.
    loud = await running(file.world)
    for _ in range(100):
        await file.world.journal.append(held(loud), deltas(1, "x" * 9_000))
    taken = await file.database.leases.take_over(clock.now())
    assert [claim.last_sequence_number for claim in taken] == [4] * len(claims)


async def test_what_a_failed_statement_was_to_store_is_not_logged(file: Opened, caplog: pytest.LogCaptureFixture) -> None:
    await _fill(file)
    with pytest.raises(StoreUnavailable):
        await file.world.agent(secrets={"KEY": "hunter2"}, description="x" * 100_000)
    assert "INSERT INTO agents" in caplog.text
    assert "hunter2" not in caplog.text


async def test_an_attempt_that_the_store_failed_is_none_that_the_run_has_killed(file: Opened, clock: FakeClock) -> None:
    claim = await running(file.world)
    for _ in range(3):
        await _fill(file)
        with pytest.raises(StoreUnavailable):
            await file.world.journal.append(held(claim), deltas(9, "x" * 90_000))
        await _make_room(file)
        (claim,) = await file.database.leases.take_over(clock.now())
        assert claim.idle_attempts == 0


@dataclass
class OnTheWriter:
    """A statement that the writer runs outside of any transaction."""

    statement: str
    future: "Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def run(self, group: Group) -> None:
        group.state.connection.core.exec_driver_sql(self.statement)


async def test_a_renewal_tells_whether_writes_are_taken_also_where_there_is_nothing_to_renew(
    file: Opened, clock: FakeClock
) -> None:
    writer = file.database._writer  # noqa: SLF001 - no store of ours makes a database refuse writes
    writer.submit(OnTheWriter("PRAGMA query_only = 1"))
    with pytest.raises(StoreUnavailable):
        await file.database.leases.renew((), clock.now())
    writer.submit(OnTheWriter("PRAGMA query_only = 0"))
    changes = await _changes(file)
    assert await file.database.leases.renew((), clock.now()) == ()
    assert await _changes(file) == changes + 1


async def test_a_start_in_a_failed_commit_has_not_happened(file: Opened) -> None:
    agent = await file.world.agent()
    conversation = await file.world.default(agent)
    await _fill(file)
    with pytest.raises(StoreUnavailable):
        await file.world.start(conversation, "x" * 100_000)
    await _make_room(file)
    assert (await file.world.start(conversation, "hello")).lease is not None


async def test_work_that_began_with_a_start_in_a_failed_commit_stores_nothing(file: Opened) -> None:
    agent = await file.world.agent()
    begun: list[Claim] = []
    appended: list[Future[None]] = []

    def begin(claim: Claim) -> None:
        begun.append(claim)
        appended.append(file.world.journal.append(held(claim), deltas(1)))

    await _fill(file)
    long = RunSpec(messages=(SpokenInput(role=Role.USER, content=(TextPart("x" * 100_000),)),))
    with pytest.raises(StoreUnavailable):
        await claim_with(file.world, replace(new_start(file.world), agent_id=agent.id, spec=long), begin)
    with pytest.raises(LeaseLost):
        await appended[0]
    await _make_room(file)
    with pytest.raises(RunNotFound):
        await file.world.runs.get(begun[0].run.id)
    assert (await file.world.start(await file.world.default(agent), "hello")).lease is not None


async def _changes(file: Opened) -> int:
    """How many rows the writer has written so far."""
    return await file.database.write(lambda c: c.exec_driver_sql("SELECT total_changes()").scalar_one())


async def _told(error: type[Exception], call: Awaitable[object]) -> bool:
    with pytest.raises(error):
        await call
    return True


async def _fill(file: Opened) -> None:
    """Leave the file no room to grow, as on a full disk."""
    await _set_page_limit(file, 1)


async def _make_room(file: Opened) -> None:
    await _set_page_limit(file, 2**30)


async def _failed_together(file: Opened, count: int) -> list[Claim]:
    """Return runs of four events each that one commit failed; the next one can go well."""
    claims = [await running(file.world) for _ in range(count)]
    for claim in claims:
        await file.world.journal.append(held(claim), deltas(3))
    await _fill(file)
    for future in [file.world.journal.append(held(claim), deltas(9, "x" * 9_000)) for claim in claims]:
        with pytest.raises(StoreUnavailable):
            await future
    await _make_room(file)
    return claims


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.dbapi_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _no_journal(action: int, table: str | None, *_: str | None) -> int:
    return sqlite3.SQLITE_DENY if (action, table) == (sqlite3.SQLITE_READ, "journal") else sqlite3.SQLITE_OK


async def _set_page_limit(file: Opened, pages: int) -> None:
    await file.database.write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages}").scalar_one())


async def test_rows_that_a_silent_run_needs_outlive_those_of_loud_ones(file: Opened, tmp_path: Path, clock: FakeClock) -> None:
    silent, loud = await running(file.world), await running(file.world)
    await file.world.journal.append(held(silent), deltas(3, "long ago"))
    for _ in range(100):
        await file.world.journal.append(held(loud), deltas(1, "x" * 9_000))
    before = [await frames_of(file.world.log, claim.run.id) for claim in (silent, loud)]
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for name in ("letta.db", "letta.db-wal"):
        await asyncio.to_thread(shutil.copy, tmp_path / name, crashed)
    async with opened(crashed / "letta.db", clock) as found:
        assert [await frames_of(found.world.log, claim.run.id) for claim in (silent, loud)] == before
