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
from tests.support.servers import MortalServer, mortal_house, mortal_process

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
    plan = plan_of(seed)
    async with opening(tmp_path) as server:
        history = await play(server, plan)
    broken = verify(history)
    assert not broken, f"seed {seed}:\n" + "\n".join(broken[:20])
    assert history.lives > 1, f"seed {seed}: too little happened"
