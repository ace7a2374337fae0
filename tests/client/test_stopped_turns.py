"""Turns that are cancelled or closed while a function of the caller's is at work, in both twins."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import pytest

from letta_grpc.client import AsyncClient, AsyncTurn, Client, StreamClosed
from letta_grpc.v1 import messages_pb2, runs_pb2

# Two calls in the first step, and one in the next.
SCRIPT = json.dumps(
    [
        [{"tool_call": {"name": "work", "arguments": {}}}, {"tool_call": {"name": "more", "arguments": {}}}],
        [{"tool_call": {"name": "more", "arguments": {}}}],
        [{"text": "done"}],
    ]
)


INTERRUPTED, CANCELLED = runs_pb2.RUN_STATE_INTERRUPTED, runs_pb2.RUN_STATE_CANCELLED
PATIENCE_SECONDS = 20


class Job:
    """A function that works until it is let go, and one that counts how often it was run."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.enough = threading.Event()
        self.more_done = 0

    @property
    def functions(self) -> list[Callable[[], str]]:
        def work() -> str:
            """Work."""
            self.begun.set()
            self.enough.wait(PATIENCE_SECONDS)
            return "worked"

        def more() -> str:
            """Work more."""
            self.more_done += 1
            return "worked"

        return [work, more]


Stop = Callable[[AsyncClient, AsyncTurn], Awaitable[object]]


async def stopped(server: str, job: Job, stop: Stop) -> tuple[runs_pb2.Run | StreamClosed, AsyncTurn, Sequence[runs_pb2.Run]]:
    """Stop a turn while its first function works; return its end, and the runs there are then."""

    async def end() -> runs_pb2.Run | StreamClosed:
        try:
            return await turn.final()
        except StreamClosed as error:
            return error

    async with AsyncClient(server) as client, AsyncClient(server) as other, asyncio.timeout(PATIENCE_SECONDS):
        agent = await other.agents.create(model="scripted/script", include_base_tools=False)
        turn = client.turn(agent.id, SCRIPT, tools=job.functions)
        async with asyncio.TaskGroup() as tasks:
            ending = tasks.create_task(end())
            await asyncio.to_thread(job.begun.wait)
            await stop(client, turn)
            job.enough.set()
        return ending.result(), turn, [run async for run in other.runs.list(agent_id=agent.id)]


@pytest.mark.parametrize(
    "close", [lambda _, turn: turn.disconnect(), lambda client, _: client.close()], ids=["the turn", "its client"]
)
async def test_a_turn_that_is_closed_while_a_function_works_runs_and_starts_nothing_more(server: str, close: Stop) -> None:
    job = Job()
    end, _, runs = await stopped(server, job, close)
    assert isinstance(end, StreamClosed)
    assert job.more_done == 0
    assert [run.state for run in runs] == [INTERRUPTED]


async def test_a_turn_that_is_cancelled_while_a_function_works_ends_cancelled(server: str) -> None:
    job = Job()
    end, turn, runs = await stopped(server, job, lambda _, turn: turn.cancel())
    assert isinstance(end, runs_pb2.Run)
    assert (end.state, end.resumes_run_id) == (CANCELLED, runs[0].id)
    assert job.more_done == 0
    assert not turn.pending_actions
    assert {one.status for one in turn.so_far.tool_returns.values()} == {messages_pb2.TOOL_RETURN_STATUS_ERROR}
    assert [run.state for run in runs] == [INTERRUPTED, CANCELLED]


async def test_a_turn_that_is_cancelled_while_its_run_works_ends_as_the_run_does(server: str) -> None:
    script = json.dumps([[{"text": "so "}, {"wait_for_cancel": True}]])
    async with AsyncClient(server) as client, asyncio.timeout(PATIENCE_SECONDS):
        agent = await client.agents.create(model="scripted/script")
        async with client.turn(agent.id, script) as turn:
            await turn.cancel()
            assert (await turn.final()).state == CANCELLED


async def test_a_turn_that_waits_for_a_decision_is_what_it_was_when_it_is_closed(server: str) -> None:
    async with AsyncClient(server) as client:
        name = "archival_memory_insert"
        agent = await client.agents.create(model="scripted/script", tools=[name], tool_approvals={name: True})
        script = json.dumps([[{"tool_call": {"name": name, "arguments": {"text": "milk"}}}]])
        async with client.turn(agent.id, script) as turn:
            run = await turn.final()
        assert await turn.final() == run
        assert len(turn.pending_actions) == 1


@pytest.mark.parametrize(("how", "ends"), [("cancel", [CANCELLED]), ("disconnect", [])])
def test_the_blocking_twin_is_stopped_from_another_thread(server: str, how: str, ends: list[int]) -> None:
    job, seen = Job(), list[int]()
    with Client(server) as client:
        agent = client.agents.create(model="scripted/script", include_base_tools=False)
        turn = client.turn(agent.id, SCRIPT, tools=job.functions)

        def read() -> None:
            with suppress(StreamClosed):
                seen.append(turn.final().state)

        reader = threading.Thread(target=read)
        reader.start()
        job.begun.wait(PATIENCE_SECONDS)
        getattr(turn, how)()
        job.enough.set()
        reader.join(PATIENCE_SECONDS)
    assert seen == ends
    assert job.more_done == 0
