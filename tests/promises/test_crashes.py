"""Single promises at the worst moment: the server is killed just after it has answered."""

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import groupby
from pathlib import Path
from uuid import uuid4

import pytest

from letta_grpc.client import AsyncClient, RetryPolicy
from letta_grpc.v1 import agent_service_pb2, agents_pb2, events_pb2, messages_pb2, runs_pb2
from letta_grpc.v1 import run_service_pb2 as pb
from tests.promises.board import Board
from tests.promises.calling import RefusedError, ask, read
from tests.requirements.registry import requirement
from tests.support.histories import History, Stream, parsed
from tests.support.relay import relayed
from tests.support.servers import MortalServer, mortal_house, mortal_process

FOREVER = json.dumps([[{"text": "thinking "}, {"wait_for_cancel": True}]])
HELLO = json.dumps([[{"text": "Hello"}]])
REJECT, ENQUEUE, INTERRUPT = (
    runs_pb2.CONFLICT_POLICY_REJECT,
    runs_pb2.CONFLICT_POLICY_ENQUEUE,
    runs_pb2.CONFLICT_POLICY_INTERRUPT,
)
QUICK = RetryPolicy(initial_seconds=0.02, maximum_seconds=0.2, stream_attempts=500, call_attempts=50)


@pytest.fixture(params=[mortal_process, mortal_house], ids=["killed process", "in process"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MortalServer]:
    async with asyncio.timeout(50), request.param(tmp_path) as running:
        yield running


async def new_agent(server: MortalServer) -> str:
    wanted = agent_service_pb2.CreateAgentRequest(agent=agents_pb2.Agent(model="scripted/script"))
    return (await ask(server, "AgentService/CreateAgent", wanted, agent_service_pb2.CreateAgentResponse.FromString)).agent.id


async def start(
    server: MortalServer, agent_id: str, text: str, policy: runs_pb2.ConflictPolicy.ValueType, request_id: str = ""
) -> runs_pb2.Run:
    message = messages_pb2.InputMessage(user=messages_pb2.UserInput(text=text))
    spec = runs_pb2.RunSpec(messages=[message], conflict_policy=policy)
    request = pb.CreateRunRequest(agent_id=agent_id, request_id=request_id or str(uuid4()), run=spec)
    return (await ask(server, "RunService/CreateRun", request, pb.CreateRunResponse.FromString)).run


async def cancel(server: MortalServer, run_id: str) -> runs_pb2.Run:
    request = pb.CancelRunRequest(run_id=run_id)
    return (await ask(server, "RunService/CancelRun", request, pb.CancelRunResponse.FromString)).run


async def die(server: MortalServer) -> None:
    server.strike()
    await server.revive()


async def end_of(server: MortalServer, run_id: str) -> runs_pb2.Run:
    events = await events_of(server, run_id)
    return events[-1].run_finished.run


async def events_of(server: MortalServer, run_id: str, *, until: str = "run_finished") -> list[events_pb2.RunEvent]:
    """The events up to the first of a kind."""

    async def stay(stream: Stream) -> bool:
        return all(parsed(body).WhichOneof("payload") != until for body in stream.bodies)

    stream = Stream(reader="reader", run_id=run_id)
    await read(server, Board(History()), stream, pb.AttachRunRequest(run_id=run_id), stay)
    return [parsed(body) for body in stream.bodies]


async def order_in_history(server: MortalServer, agent_id: str) -> list[str]:
    wanted = agent_service_pb2.ListMessagesRequest(agent_id=agent_id)
    page = await ask(server, "AgentService/ListMessages", wanted, agent_service_pb2.ListMessagesResponse.FromString)
    return [run_id for run_id, _ in groupby(message.run_id for message in page.messages)]


@requirement("idempotent_start", "durable", "complaint_09_duplicates")
async def test_a_start_that_is_repeated_after_the_death_of_the_server_is_the_same_run(server: MortalServer) -> None:
    agent_id, request_id = await new_agent(server), str(uuid4())
    first = await start(server, agent_id, HELLO, REJECT, request_id)
    await die(server)
    again = await asyncio.gather(*(start(server, agent_id, HELLO, REJECT, request_id) for _ in range(5)))
    assert {run.id for run in again} == {first.id}
    with pytest.raises(RefusedError) as refused:
        await start(server, agent_id, FOREVER, REJECT, request_id)
    assert refused.value.reason == "REQUEST_ID_REUSED"


@requirement("durable_cancel", "ends", "complaint_11_restart")
async def test_a_run_whose_cancel_was_answered_is_cancelled_by_the_next_server(server: MortalServer) -> None:
    agent_id = await new_agent(server)
    run = await start(server, agent_id, FOREVER, REJECT)
    await events_of(server, run.id, until="text_delta")
    await cancel(server, run.id)
    await die(server)
    assert (await end_of(server, run.id)).state == runs_pb2.RUN_STATE_CANCELLED


@requirement("conflict_reject")
async def test_a_busy_conversation_is_still_busy_with_the_same_run_after_the_death_of_its_server(server: MortalServer) -> None:
    agent_id, request_id = await new_agent(server), str(uuid4())
    active = await start(server, agent_id, FOREVER, REJECT)
    for _ in range(2):
        with pytest.raises(RefusedError) as refused:
            await start(server, agent_id, HELLO, REJECT, request_id)
        assert (refused.value.reason, refused.value.metadata["active_run_id"]) == ("CONVERSATION_BUSY", active.id)
        await die(server)
    await cancel(server, active.id)
    await end_of(server, active.id)
    # The refused starts have claimed nothing, not even their request id.
    run = await start(server, agent_id, HELLO, REJECT, request_id)
    assert (await end_of(server, run.id)).state == runs_pb2.RUN_STATE_COMPLETED
    assert await order_in_history(server, agent_id) == [active.id, run.id]


@requirement("conflict_enqueue", "conflict_interrupt")
async def test_what_waits_keeps_its_order_over_the_death_of_the_server_and_interrupts_go_first(server: MortalServer) -> None:
    agent_id = await new_agent(server)
    active = await start(server, agent_id, FOREVER, REJECT)
    queued = [await start(server, agent_id, HELLO, ENQUEUE) for _ in range(3)]
    assert {run.state for run in queued} == {runs_pb2.RUN_STATE_QUEUED}
    await die(server)
    urgent = await start(server, agent_id, HELLO, INTERRUPT)
    ends = [await end_of(server, run.id) for run in (active, urgent, *queued)]
    assert [run.state for run in ends] == [runs_pb2.RUN_STATE_CANCELLED, *[runs_pb2.RUN_STATE_COMPLETED] * 4]
    assert await order_in_history(server, agent_id) == [run.id for run in (active, urgent, *queued)]


@requirement("resumable", "complete", "same")
async def test_clients_that_attach_by_themselves_notice_nothing_of_a_server_that_dies(tmp_path: Path) -> None:
    async with (
        asyncio.timeout(50),
        mortal_process(tmp_path) as server,
        relayed(server.address) as (relay, address),
        AsyncClient(address, retry=QUICK) as client,
    ):
        agent = await client.agents.create(model="scripted/script")
        run = await client.runs.create(agent.id, json.dumps([[{"text": "word ", "repeat": 400, "delay_ms": 2}]]))
        seen: list[list[events_pb2.RunEvent]] = [[] for _ in range(8)]
        reached = asyncio.Event()

        async def follow(events: list[events_pb2.RunEvent]) -> None:
            async for event in client.attach(run.id):
                events.append(event)
                if len(events) == 100:
                    reached.set()

        async with asyncio.TaskGroup() as group:
            for events in seen:
                group.create_task(follow(events))
            await reached.wait()
            await die(server)
            relay.redirect(server.address)
        stored = [event async for event in client.runs.list_events(run.id)]
    assert all(events == stored for events in seen)
    assert [event.sequence_number for event in stored] == list(range(1, len(stored) + 1))
    assert stored[-1].run_finished.run.attempt == 2
