"""A server that loses PostgreSQL comes back by itself, and lets nobody see what another server contradicts."""

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import psutil

from letta_grpc.client import AsyncClient, RetryPolicy, ServerUnavailable
from letta_grpc.v1 import events_pb2, runs_pb2
from tests.requirements.registry import requirement
from tests.support.fleets import Blow, fleet
from tests.support.postgres import PostgresServer
from tests.support.sessions import count_sessions, end_sessions

QUICK = RetryPolicy(initial_seconds=0.02, maximum_seconds=0.2, stream_attempts=500, call_attempts=50)
SLOWLY = json.dumps([[{"text": "word ", "repeat": 20_000, "delay_ms": 5}]])
ONCE = RetryPolicy(stream_attempts=1, call_attempts=1)
LOSSES = 5
SOME = 20


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


@requirement("fenced_server", "failover")
async def test_a_server_that_wakes_up_where_another_has_its_place_shows_nothing_that_is_not_so(
    tmp_path: Path, postgres: PostgresServer, postgres_url: str
) -> None:
    async with asyncio.timeout(50), fleet(tmp_path, postgres, postgres_url) as servers:
        first = await servers.serving()
        async with AsyncClient(first.address, retry=ONCE) as stale:
            agent = await stale.agents.create(model="scripted/script")
            run = await stale.runs.create(agent.id, SLOWLY)
            seen: list[events_pb2.RunEvent] = []
            later: list[events_pb2.RunEvent] = []
            async with asyncio.TaskGroup() as group:
                following = group.create_task(until_cut(stale, run.id, 0, seen.append))
                async for event in stale.attach(run.id):
                    if event.sequence_number == SOME:
                        break
                first.process.send_signal(signal.SIGSTOP)
                await asyncio.to_thread(end_sessions, postgres_url)
                second = await servers.serving(after=1)
                async with AsyncClient(second.address) as fresh:
                    known = await far_behind_a_restart(fresh, run.id)
                    # It is asked while it sleeps, and wakes up with what it had in mind.
                    asking = group.create_task(until_cut(stale, run.id, known, later.append))
                    first.process.send_signal(signal.SIGCONT)
                    await asyncio.wait([following, asking])
                    await fresh.runs.cancel(run.id)
                    stored = [event async for event in fresh.attach(run.id)]
    assert seen == stored[: len(seen)]
    assert later == stored[known : known + len(later)]
    assert [event.sequence_number for event in stored] == list(range(1, len(stored) + 1))
    assert [event.step_restarted.attempt for event in stored if event.HasField("step_restarted")] == [2]
    assert stored[-1].run_finished.run.attempt == 2


@requirement("failover", "standby")
async def test_a_client_that_knows_both_servers_reads_on_and_starts_again_at_the_other(
    tmp_path: Path, postgres: PostgresServer, postgres_url: str
) -> None:
    request_id = str(uuid4())
    async with (
        asyncio.timeout(50),
        fleet(tmp_path, postgres, postgres_url) as servers,
        AsyncClient(servers.target, retry=QUICK) as client,
    ):
        agent = await client.agents.create(model="scripted/script")
        run = await client.runs.create(agent.id, SLOWLY, request_id=request_id)
        seen: list[events_pb2.RunEvent] = []
        async for event in client.attach(run.id):
            seen.append(event)
            if event.sequence_number == SOME:
                servers.strike()
                await servers.revive()
            if event.HasField("step_restarted"):
                assert (await client.runs.create(agent.id, SLOWLY, request_id=request_id)).id == run.id
                await client.runs.cancel(run.id)
        assert seen == [event async for event in client.runs.list_events(run.id)]
    assert [event.sequence_number for event in seen] == list(range(1, len(seen) + 1))


async def until_cut(client: AsyncClient, run_id: str, after: int, see: Callable[[events_pb2.RunEvent], None]) -> None:
    """Follow a run until its server says that it does not go on here; any other error is none that it may give."""
    try:
        async for event in client.attach(run_id, after=after):
            see(event)
    except ServerUnavailable:
        return
    raise AssertionError("the stream has ended well")


async def far_behind_a_restart(client: AsyncClient, run_id: str) -> int:
    """A number that only the server has given out that took the run over."""
    restarted = 0
    async for event in client.attach(run_id):
        restarted = event.sequence_number if event.HasField("step_restarted") else restarted
        if restarted and event.sequence_number > restarted + SOME:
            return event.sequence_number
    raise AssertionError("the run has ended")
