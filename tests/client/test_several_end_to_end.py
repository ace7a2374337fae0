"""Several runs on one stream, pictures and functions, against the server as its users start it."""

import asyncio
import json
from collections import defaultdict

import pytest

from letta_grpc.client import (
    AgentNotFound,
    AsyncClient,
    Client,
    ConversationBusy,
    InvalidRequest,
    RetryPolicy,
    approve,
    image,
    run_start,
    user,
)
from letta_grpc.testing.images import PNG
from letta_grpc.v1 import messages_pb2, runs_pb2
from tests.support.relay import relayed

QUICK = RetryPolicy(initial_seconds=0.02, maximum_seconds=0.2, stream_attempts=500, call_attempts=50)
MISSING = "agent-00000000-0000-4000-8000-000000000000"
SLOWLY = json.dumps([[{"repeat": 30, "text": "word ", "delay_ms": 10}]])
FOR_EVER = json.dumps([[{"text": "first"}, {"wait_for_cancel": True}]])


async def scripted(client: AsyncClient, count: int) -> list[str]:
    return [(await client.agents.create(model="scripted/script")).id for _ in range(count)]


async def test_several_runs_survive_a_connection_that_breaks_again_and_again(server: str) -> None:
    async with relayed(server) as (relay, target), AsyncClient(target, retry=QUICK) as client, asyncio.timeout(40):
        agents = await scripted(client, 3)
        seen = defaultdict(list)
        async for lane, event in client.stream_many([run_start(agent, SLOWLY) for agent in agents]):
            seen[lane.agent_id].append(event)
            if event.sequence_number % 9 == 0:
                relay.cut()
        for agent in agents:
            run_id = seen[agent][-1].run_finished.run.id
            assert seen[agent] == [event async for event in client.runs.list_events(run_id)]
            said = [message async for message in client.runs.list_messages(run_id)]
            assert [message.role for message in said] == [messages_pb2.ROLE_USER, messages_pb2.ROLE_ASSISTANT]


async def test_a_start_that_is_refused_harms_no_other_and_a_run_can_be_cancelled(server: str) -> None:
    async with AsyncClient(server) as client, asyncio.timeout(20):
        waiting, speaking = await scripted(client, 2)
        starts = [run_start(waiting, FOR_EVER), run_start(MISSING, "hi"), run_start(speaking, SLOWLY)]
        async with client.stream_many(starts) as stream:
            first, missing, third = stream.lanes
            assert isinstance(missing.error, AgentNotFound)
            async for lane, event in stream:
                if lane is third and event.HasField("run_finished"):
                    await stream.cancel(first)
        assert first.run
        assert first.run.state == runs_pb2.RUN_STATE_CANCELLED
        assert third.text == "word " * 30
        with pytest.raises(InvalidRequest):
            await client.stream_many([run_start(speaking, "hi", request_id="no")]).started()


async def test_a_dialogue_asks_is_answered_and_survives_its_connection(server: str) -> None:
    name = "archival_memory_insert"
    script = json.dumps([[{"tool_call": {"id": "call-1", "name": name, "arguments": {"text": "milk"}}}], [{"text": "kept"}]])
    async with relayed(server) as (relay, target), AsyncClient(target, retry=QUICK) as client, asyncio.timeout(40):
        careful = await client.agents.create(model="scripted/script", tools=[name], tool_approvals={name: True})
        async with client.converse() as talk:
            asked = await talk.start(careful.id, script)
            await talk.final()
            assert asked.run
            relay.cut()
            answered = await talk.answer(asked.run, {"call-1": approve()})
            await talk.final()
            started = await asyncio.gather(
                talk.start(careful.id, FOR_EVER), talk.start(careful.id, FOR_EVER), return_exceptions=True
            )
            assert [type(one) for one in started].count(ConversationBusy) == 1
            relay.cut()
            (endless,) = (lane for lane in talk.lanes if lane is not answered)
            await talk.cancel(endless)
            await talk.final()
            assert endless.run
            assert endless.run.state == runs_pb2.RUN_STATE_CANCELLED
            assert answered.text == "kept"
            again = await talk.attach(answered.run_id)
            await talk.final()
            assert again.so_far.messages == answered.so_far.messages


async def test_a_picture_goes_with_a_question(server: str) -> None:
    async with AsyncClient(server) as client:
        agent = await client.agents.create(model="scripted/echo")
        assert await client.stream(agent.id, user("What is ", image(PNG), "this?")).text()
        first = await anext(client.agents.messages(agent.id))
        assert [part.WhichOneof("kind") for part in first.content] == ["text", "image", "text"]
        assert first.content[1].image.data == PNG


async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def test_the_blocking_client_works_inside_a_loop_that_runs_also_with_coroutines_as_tools(server: str) -> None:
    # As a notebook has it. The loop stands still meanwhile, which is what is asked for.
    script = json.dumps([[{"tool_call": {"id": "call-1", "name": "add", "arguments": {"a": 1, "b": 2}}}], [{"text": "three"}]])
    assert asyncio.get_running_loop().is_running()
    with Client(server) as client:
        agent = client.agents.create(model="scripted/script")
        turn = client.turn(agent.id, script, tools=[add])
        assert turn.text() == "three"
        assert turn.so_far.tool_returns["call-1"].text == "3"
