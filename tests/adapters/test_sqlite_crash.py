"""What a server has acknowledged survives its death."""

import asyncio
import sys
from pathlib import Path
from random import Random

import pytest

from letta_grpc.domain.events import MessageCompleted
from letta_grpc.domain.ids import RunId
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.journals.scenes import deltas, events_of, frames_of
from letta_grpc.testing.stores.world import held
from letta_grpc.transport.convert.codec import ProtoEventCodec
from tests.support.sqlite_worlds import opened

Acknowledged = dict[RunId, tuple[int, int]]


async def write_and_die(path: Path, acknowledgements: int) -> Acknowledged:
    """Let a process write until it has acknowledged so much, kill it, and return what it had said by then."""
    writer = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.support.crashing_writer", path, stdout=-1)
    assert writer.stdout is not None
    lines: list[bytes] = []
    try:
        async with asyncio.timeout(30):
            while len(lines) < acknowledgements:
                lines.append(await writer.stdout.readline())
    finally:
        writer.kill()
        await writer.wait()
    # What it wrote into the pipe before it died was acknowledged too; a line may have been cut.
    lines += [line for line in (await writer.stdout.read()).splitlines(keepends=True) if line.endswith(b"\n")]
    acknowledged = (line.decode().split() for line in lines)
    return {RunId(run_id): (int(last), int(messages)) for run_id, last, messages in acknowledged}


@pytest.mark.parametrize("seed", range(3))
async def test_what_was_acknowledged_is_there_after_a_kill_without_a_gap(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "letta.db"
    acknowledged = await write_and_die(path, Random(seed).randint(1, 600))  # noqa: S311 - where to kill is no secret
    async with opened(path, FakeClock()) as file:
        for run_id, (last, messages) in acknowledged.items():
            assert len(await events_of(file.world.log, ProtoEventCodec(), run_id)) >= last
            assert len(await file.world.history.of_run(run_id)) >= 1 + messages
        # Their leases have time left, but their owner is gone.
        claims = {claim.run.id: claim for claim in await file.database.leases.take_over(FakeClock().now())}
        assert acknowledged.keys() <= claims.keys()
        for run_id, claim in claims.items():
            before = await frames_of(file.world.log, run_id)
            assert (claim.run.attempt, claim.last_sequence_number) == (2, len(before))
            await file.world.journal.append(held(claim), deltas(2))
            assert (await frames_of(file.world.log, run_id))[: len(before)] == before
            await file.world.finish(claim)
            assert len(await events_of(file.world.log, ProtoEventCodec(), run_id)) == len(before) + 3


async def test_events_and_messages_of_one_append_survive_together_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "letta.db"
    acknowledged = await write_and_die(path, 100)
    async with opened(path, FakeClock()) as file:
        for run_id in acknowledged:
            events = await events_of(file.world.log, ProtoEventCodec(), run_id)
            completed = [n.event.message.id for n in events if isinstance(n.event, MessageCompleted)]
            stored = [message.id for message in await file.world.history.of_run(run_id)]
            assert stored[1:] == completed
