"""A server that loses PostgreSQL comes back by itself, and lets nobody see what another server contradicts."""

import asyncio
import json
from pathlib import Path

import psutil

from letta_grpc.client import AsyncClient, RetryPolicy
from letta_grpc.v1 import events_pb2, runs_pb2
from tests.requirements.registry import requirement
from tests.support.fleets import Blow, fleet
from tests.support.postgres import PostgresServer
from tests.support.sessions import count_sessions

QUICK = RetryPolicy(initial_seconds=0.02, maximum_seconds=0.2, stream_attempts=500, call_attempts=50)
SLOWLY = json.dumps([[{"text": "word ", "repeat": 20_000, "delay_ms": 5}]])
LOSSES = 5


@requirement("lost_database", "told_database")
async def test_a_server_that_loses_its_database_again_and_again_goes_on_as_if_it_had_not(
    tmp_path: Path, postgres: PostgresServer, postgres_url: str
) -> None:
    url = postgres_url.replace("letta@", "letta:s3cret@")
    async with (
        asyncio.timeout(50),
        fleet(tmp_path, postgres, url, size=1, blows=[Blow.RESTART, *[Blow.DISCONNECT] * (LOSSES - 1)]) as servers,
        AsyncClient(servers.target, retry=QUICK) as client,
    ):
        (server,) = servers.members
        agent = await client.agents.create(model="scripted/script")
        run = await client.runs.create(agent.id, SLOWLY)
        seen: list[events_pb2.RunEvent] = []
        sizes: list[tuple[int, int, int]] = []
        async for event in client.attach(run.id):
            seen.append(event)
            # A word of each attempt shows that this one works.
            if event.HasField("text_delta") and servers.life == len(sizes) + 1 == event_attempt(seen):
                process = psutil.Process(server.process.pid)
                sizes.append((process.num_threads(), process.num_fds(), await asyncio.to_thread(count_sessions, url)))
                if servers.life > LOSSES:
                    await client.runs.cancel(run.id)
                    continue
                servers.strike()
                await servers.revive()
        stored = [event async for event in client.runs.list_events(run.id)]
    assert seen == stored
    assert [event.sequence_number for event in stored] == list(range(1, len(stored) + 1))
    assert stored[-1].run_finished.run.state == runs_pb2.RUN_STATE_CANCELLED
    assert stored[-1].run_finished.run.attempt == LOSSES + 1
    # What it holds for its database would be a thread and a file for each connection. Others come and go.
    assert all(last - second < 3 * (LOSSES - 1) for second, last in zip(sizes[1], sizes[-1], strict=True)), sizes
    assert [sessions for _, _, sessions in sizes] == [sizes[0][2]] * (LOSSES + 1)
    assert server.log.count("the connection to the database was lost") == LOSSES
    assert "s3cret" not in server.log


def event_attempt(events: list[events_pb2.RunEvent]) -> int:
    """The attempt that the newest event is of."""
    return max((event.step_restarted.attempt for event in events if event.HasField("step_restarted")), default=1)
