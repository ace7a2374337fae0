"""The promises, held against everything that many callers saw of a server that dies under them."""

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.promises.checker import verify
from tests.promises.plans import plan_of
from tests.promises.scenario import play
from tests.requirements.registry import requirement
from tests.support.postgres import PostgresServer
from tests.support.servers import MortalServer, mortal_house, mortal_postgres, mortal_process

# LETTA_TEST_SEEDS=100 tries so many more.
SEEDS = [1, 2, *range(1000, 1000 + int(os.environ.get("LETTA_TEST_SEEDS", "0")))]
Opening = Callable[[Path], AbstractAsyncContextManager[MortalServer]]


@requirement(
    "ordered",
    "unique",
    "complete",
    "same",
    "durable",
    "resumable",
    "progress",
    "ends",
    "idempotent_start",
    "one_at_a_time",
    "durable_cancel",
    "takeover",
    "one_return",
    "same_ids",
    "one_effect",
    "complaint_10_one_end",
    "complaint_12_ids",
)
@pytest.mark.parametrize("opening", [mortal_process, mortal_house], ids=["killed process", "in process"])
@pytest.mark.parametrize("seed", SEEDS)
async def test_no_promise_is_broken_however_calls_fall_and_whenever_the_server_dies(
    opening: Opening, seed: int, tmp_path: Path
) -> None:
    await check(opening(tmp_path), seed)


@requirement("durable", "resumable", "takeover", "one_effect")
@pytest.mark.parametrize("mortal", ["server", "database"])
@pytest.mark.parametrize("seed", SEEDS[1:])
async def test_no_promise_is_broken_on_postgres_either_nor_when_it_is_what_dies(
    mortal: str, seed: int, tmp_path: Path, postgres: PostgresServer, postgres_url: str
) -> None:
    if mortal == "server":
        await check(mortal_process(tmp_path, database=postgres_url), seed)
    else:
        await check(mortal_postgres(tmp_path, postgres, postgres_url), seed)


async def check(opening: AbstractAsyncContextManager[MortalServer], seed: int) -> None:
    plan = plan_of(seed)
    async with opening as server:
        history = await play(server, plan)
    broken = verify(history)
    assert not broken, f"seed {seed}:\n" + "\n".join(broken[:20])
    assert history.lives > 1, f"seed {seed}: too little happened"
