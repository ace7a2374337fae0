import asyncio
import math

import pytest

from letta_grpc.client import AsyncClient, Client
from tests.support.scripted_server import AGENT_ID, RUN_ID, ScriptedRuns, Turn, log_of, serving

UNLIMITED = [math.inf, None, 1e300]


@pytest.mark.parametrize("seconds", UNLIMITED)
async def test_an_infinite_time_is_no_limit(seconds: float | None) -> None:
    runs = ScriptedRuns([Turn(batches=[log_of(["hi"])])])
    async with serving(runs) as target, AsyncClient(target, timeout_seconds=seconds) as client:
        assert (await client.runs.get(RUN_ID)).id == RUN_ID
        assert await client.stream(AGENT_ID, "hi").text() == "hi"


@pytest.mark.parametrize("seconds", UNLIMITED)
async def test_the_blocking_twin_takes_an_infinite_time_too(seconds: float | None) -> None:
    def use(target: str) -> tuple[str, str]:
        with Client(target, timeout_seconds=seconds) as client:
            return client.runs.get(RUN_ID).id, client.stream(AGENT_ID, "hi").text()

    async with serving(ScriptedRuns([Turn(batches=[log_of(["hi"])])])) as target:
        assert await asyncio.to_thread(use, target) == (RUN_ID, "hi")


@pytest.mark.parametrize("kind", [AsyncClient, Client])
@pytest.mark.parametrize("seconds", [math.nan, -1, -math.inf, 0])
def test_a_time_that_is_none_is_refused(kind: type[AsyncClient | Client], seconds: float) -> None:
    with pytest.raises(ValueError, match=f"timeout_seconds is {seconds}"):
        kind("127.0.0.1:1", timeout_seconds=seconds)
