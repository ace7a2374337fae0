"""The promises over a disk that fails now and then, under a server that lives."""

import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.promises.checker import verify
from tests.promises.plans import plan_of
from tests.promises.scenario import play
from tests.requirements.registry import requirement
from tests.support.failing_disk import failing_disk
from tests.support.servers import mortal_process


@requirement("ordered", "unique", "complete", "same", "durable", "resumable", "ends", "one_effect")
@pytest.mark.skipif(sys.platform != "linux", reason="reads and writes are caught as Linux has them")
@pytest.mark.parametrize("seed", [5, 6])
async def test_no_promise_is_broken_by_reads_and_writes_that_fail(seed: int, tmp_path: Path) -> None:
    database = tmp_path / "letta.db"
    disk = failing_disk(tmp_path, database, free=400, every=300, burst=15, times=10)
    # A run whose commit failed is taken over once its lease is over.
    async with mortal_process(tmp_path, LETTA_GRPC_LEASE_SECONDS="1", **disk) as server:
        history = await play(server, replace(plan_of(seed), strikes=()))
    log = (tmp_path / "server.log").read_text()
    assert log.count("a commit failed") > 3, f"seed {seed}: too little happened"
    # So there are more attempts than servers.
    history.lives = max(run.attempt for run in history.runs.values())
    broken = verify(history)
    with closing(sqlite3.connect(database)) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert not broken, f"seed {seed}:\n" + "\n".join(broken[:20])
