"""What was under way when the server was killed: a call of another agent, and background work that was due."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from letta_grpc.v1 import agent_service_pb2, agents_pb2, events_pb2, messages_pb2, runs_pb2
from letta_grpc.v1 import run_service_pb2 as pb
from tests.promises.calling import ask
from tests.promises.test_crashes import cancel, die, end_of, events_of, start
from tests.requirements.registry import requirement
from tests.support.servers import MortalServer, mortal_house, mortal_process

pytestmark = pytest.mark.timeout(90)

REJECT = runs_pb2.CONFLICT_POLICY_REJECT
# Long enough to be killed in, twice.
SLOW = json.dumps([[{"repeat": 30, "text": "word ", "delay_ms": 50}]])
FOR_EVER = json.dumps([[{"text": "thinking"}, {"wait_for_cancel": True}]])


@pytest.fixture(params=[mortal_process, mortal_house], ids=["killed process", "in process"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MortalServer]:
    async with asyncio.timeout(60), request.param(tmp_path) as running:
        yield running


async def agent(server: MortalServer, *tools: str, sleeptime: agents_pb2.Sleeptime | None = None) -> str:
    wanted = agent_service_pb2.CreateAgentRequest(
        agent=agents_pb2.Agent(model="scripted/script", tools=tools, sleeptime=sleeptime)
    )
    return (await ask(server, "AgentService/CreateAgent", wanted, agent_service_pb2.CreateAgentResponse.FromString)).agent.id


async def runs_of(server: MortalServer, agent_id: str) -> list[runs_pb2.Run]:
    listed = await ask(server, "RunService/ListRuns", pb.ListRunsRequest(agent_id=agent_id), pb.ListRunsResponse.FromString)
    return list(listed.runs)


async def begin(server: MortalServer, message: str) -> tuple[str, runs_pb2.Run, str]:
    """Start a run that waits for another agent; return that agent, the run, and the child run."""
    target = await agent(server)
    caller = await agent(server, "send_message_to_agent_and_wait")
    call = {"tool_call": {"name": "send_message_to_agent_and_wait", "arguments": {"agent": target, "message": message}}}
    run = await start(server, caller, json.dumps([[call], [{"text": "done"}]]), REJECT)
    events = await events_of(server, run.id, until="child_run_started")
    return target, run, child_of(events)


def child_of(events: list[events_pb2.RunEvent]) -> str:
    (child,) = [event.child_run_started.run_id for event in events if event.HasField("child_run_started")]
    return child


@requirement("child_once")
async def test_a_caller_that_was_killed_waits_for_the_run_that_it_had_started(server: MortalServer) -> None:
    target, run, child_id = await begin(server, SLOW)
    await die(server)
    assert (await end_of(server, run.id)).state == runs_pb2.RUN_STATE_COMPLETED
    events = await events_of(server, run.id)
    assert child_of(events) == child_id
    (returned,) = [event.tool_return for event in events if event.HasField("tool_return")]
    assert returned.status == messages_pb2.TOOL_RETURN_STATUS_SUCCESS
    assert returned.text == "word " * 30
    (only,) = await runs_of(server, target)
    assert (only.id, only.state) == (child_id, runs_pb2.RUN_STATE_COMPLETED)


@requirement("child_once", "child_cancel")
async def test_a_cancel_that_was_answered_reaches_the_child_in_the_next_life_too(server: MortalServer) -> None:
    target, run, child_id = await begin(server, FOR_EVER)
    await cancel(server, run.id)
    await die(server)
    assert (await end_of(server, run.id)).state == runs_pb2.RUN_STATE_CANCELLED
    assert (await end_of(server, child_id)).state == runs_pb2.RUN_STATE_CANCELLED
    assert len(await runs_of(server, target)) == 1


@requirement("sleeptime_lost_nothing")
async def test_background_work_is_started_once_however_often_the_server_is_killed(server: MortalServer) -> None:
    helper = await agent(server)
    one = await agent(server, sleeptime=agents_pb2.Sleeptime(agent_ids=[helper], every_turns=1))
    run = await start(server, one, '[[{"text": "hello"}]]', REJECT)
    await end_of(server, run.id)
    for _ in range(2):
        await die(server)
        while not await runs_of(server, helper):  # noqa: ASYNC110 - nobody is told of such a start
            await asyncio.sleep(0.01)
    (only,) = await runs_of(server, helper)
    assert only.metadata["sleeptime_of"] == one
