"""The promises, held against everything that many callers saw of servers that take each other's place."""

import os
import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.promises.checker import verify
from tests.promises.plans import Plan, plan_of
from tests.promises.scenario import play
from tests.requirements.registry import requirement
from tests.support.fleets import Blow, fleet
from tests.support.postgres import PostgresServer

# LETTA_TEST_SEEDS=100 tries so many more.
SEEDS = [1, 2, *range(1000, 1000 + int(os.environ.get("LETTA_TEST_SEEDS", "0")))]


def plan_with_blows(seed: int) -> tuple[Plan, list[Blow]]:
    """A plan of a few callers, and every blow in some order, each when so much has happened since the last."""
    plan = plan_of(seed, agents=3, writers=4, jobs=4, readers=8, visits=5)
    dice = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    blows = list(Blow)
    dice.shuffle(blows)
    strikes = [dice.randrange(20, 300)]
    for _ in blows[1:]:
        strikes.append(strikes[-1] + dice.randrange(20, 400))
    return replace(plan, strikes=tuple(strikes)), blows


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
    "failover",
    "lost_database",
    "fenced_server",
)
@pytest.mark.parametrize("seed", SEEDS)
async def test_no_promise_is_broken_by_servers_that_take_each_others_place(
    seed: int, tmp_path: Path, postgres: PostgresServer, postgres_url: str
) -> None:
    plan, blows = plan_with_blows(seed)
    async with fleet(tmp_path, postgres, postgres_url, size=2 + seed % 2, blows=blows) as servers:
        history = await play(servers, plan)
    broken = verify(history)
    assert not broken, f"seed {seed}, {blows}:\n" + "\n".join(broken[:20])
    assert history.lives > 1, f"seed {seed}: too little happened"
