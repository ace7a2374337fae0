"""A server that goes away, or is full, while a run is followed: the person who waits is told."""

import asyncio

import pytest

from tests.support.scripted_server import RUN_ID, Refusal, ScriptedRuns, Turn, log_of, serving
from tests.support.server_process import letta_grpc

LOG = log_of(["hi"])


@pytest.mark.parametrize(
    ("milliseconds", "told"),
    [(1000, "letta-grpc: the server is out of reach, or has no room now; trying again in 1 s\n"), (1, "")],
)
@pytest.mark.parametrize("reason", ["SERVER_DRAINING", "TOO_MANY_STREAMS"])
async def test_whoever_follows_a_run_is_told_of_a_longer_wait(reason: str, milliseconds: int, told: str) -> None:
    away = Refusal(reason=reason, retry_milliseconds=milliseconds)
    runs = ScriptedRuns([Turn(batches=[LOG[:2]], end=away), Turn(batches=[LOG[2:]])])
    async with serving(runs) as target:
        followed = await asyncio.to_thread(letta_grpc, "runs", "follow", RUN_ID, "--json", "--target", target)
    assert (len(followed.stdout.splitlines()), followed.stderr, followed.returncode) == (len(LOG), told, 0)
