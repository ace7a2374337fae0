"""What waits for an answer when the server is killed."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from letta_grpc.v1 import agent_service_pb2, agents_pb2, messages_pb2, runs_pb2
from letta_grpc.v1 import run_service_pb2 as pb
from tests.promises.calling import RefusedError, ask
from tests.promises.test_crashes import cancel, die, end_of, events_of
from tests.requirements.registry import requirement
from tests.support.servers import MortalServer, mortal_house, mortal_process

pytestmark = pytest.mark.timeout(90)


def note(call_id: str) -> dict[str, object]:
    return {"tool_call": {"id": call_id, "name": "archival_memory_insert", "arguments": {"text": call_id}}}


ASKS = json.dumps([[note("a"), note("b")], [{"text": "done"}]])


@pytest.fixture(params=[mortal_process, mortal_house], ids=["killed process", "in process"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MortalServer]:
    async with asyncio.timeout(60), request.param(tmp_path) as running:
        yield running


@pytest.fixture
async def agent_id(server: MortalServer) -> str:
    """An agent that asks before it keeps a note."""
    agent = agents_pb2.Agent(
        model="scripted/script", tools=["archival_memory_insert"], tool_approvals={"archival_memory_insert": True}
    )
    wanted = agent_service_pb2.CreateAgentRequest(agent=agent)
    return (await ask(server, "AgentService/CreateAgent", wanted, agent_service_pb2.CreateAgentResponse.FromString)).agent.id


async def create(server: MortalServer, agent_id: str, run: runs_pb2.RunSpec) -> runs_pb2.Run:
    request = pb.CreateRunRequest(agent_id=agent_id, run=run)
    return (await ask(server, "RunService/CreateRun", request, pb.CreateRunResponse.FromString)).run


async def asks(server: MortalServer, agent_id: str, **spec: object) -> runs_pb2.Run:
    message = messages_pb2.InputMessage(user=messages_pb2.UserInput(text=ASKS))
    run = await create(server, agent_id, runs_pb2.RunSpec(messages=[message], **spec))  # type: ignore[arg-type]  # fields
    return await end_of(server, run.id)


async def decide(server: MortalServer, agent_id: str, *decisions: messages_pb2.Decision) -> runs_pb2.Run:
    answer = messages_pb2.InputMessage(approval=messages_pb2.ApprovalInput(decisions=decisions))
    return await create(server, agent_id, runs_pb2.RunSpec(messages=[answer]))


def yes(call_id: str) -> messages_pb2.Decision:
    return messages_pb2.Decision(tool_call_id=call_id, approve=messages_pb2.Approve())


async def get(server: MortalServer, run_id: str) -> runs_pb2.Run:
    return (await ask(server, "RunService/GetRun", pb.GetRunRequest(run_id=run_id), pb.GetRunResponse.FromString)).run


def waiting(run: runs_pb2.Run) -> list[str]:
    return [action.tool_call_id for action in run.pending_actions]


async def returned_once(server: MortalServer, agent_id: str) -> list[str]:
    """The ids of all returns in history, each call having exactly one."""
    wanted = agent_service_pb2.ListMessagesRequest(agent_id=agent_id)
    page = await ask(server, "AgentService/ListMessages", wanted, agent_service_pb2.ListMessagesResponse.FromString)
    calls = [call.id for message in page.messages for call in message.tool_calls]
    # An answer's own message repeats what a client's tools gave; the tool message has it for the model.
    returns = [one.tool_call_id for message in page.messages for one in message.tool_returns]
    assert sorted(calls) == sorted(returns)
    return returns


@requirement("approval_durable", "durable")
async def test_what_waits_still_waits_after_the_death_of_the_server(server: MortalServer, agent_id: str) -> None:
    run = await asks(server, agent_id)
    await die(server)
    assert waiting(await get(server, run.id)) == ["a", "b"]
    assert [event.WhichOneof("payload") for event in await events_of(server, run.id)][-2:] == [
        "approval_request",
        "run_finished",
    ]
    answered = await decide(server, agent_id, yes("a"), yes("b"))
    assert (await end_of(server, answered.id)).state == runs_pb2.RUN_STATE_COMPLETED
    assert await returned_once(server, agent_id) == ["a", "b"]


@requirement("approval_durable", "approval_partial")
async def test_an_answer_that_was_taken_needs_not_be_given_again(server: MortalServer, agent_id: str) -> None:
    await asks(server, agent_id)
    first = await decide(server, agent_id, yes("a"))
    await die(server)
    assert waiting(await get(server, first.id)) == ["b"]
    # Whoever did not hear of its acceptance may give it again.
    assert (await decide(server, agent_id, yes("a"))).id == first.id
    last = await decide(server, agent_id, yes("b"))
    await end_of(server, last.id)
    assert await returned_once(server, agent_id) == ["a", "b"]


@requirement("approval_durable", "ends")
async def test_an_answers_run_that_its_server_did_not_finish_is_finished_by_the_next(
    server: MortalServer, agent_id: str
) -> None:
    await asks(server, agent_id)
    answered = await decide(server, agent_id, yes("a"), yes("b"))
    await die(server)
    assert (await end_of(server, answered.id)).state == runs_pb2.RUN_STATE_COMPLETED
    assert await returned_once(server, agent_id) == ["a", "b"]


@requirement("approval_expires", "approval_durable")
async def test_a_denial_by_cancel_is_still_one_after_the_death_of_the_server(server: MortalServer, agent_id: str) -> None:
    run = await asks(server, agent_id)
    await cancel(server, run.id)
    await die(server)
    assert waiting(await get(server, run.id)) == []
    with pytest.raises(RefusedError) as refused:
        await decide(server, agent_id, yes("a"))
    assert refused.value.reason == "APPROVAL_EXPIRED"
    assert await returned_once(server, agent_id) == ["a", "b"]


@requirement("approval_expires", "approval_durable")
async def test_time_goes_on_while_no_server_runs(server: MortalServer, agent_id: str) -> None:
    run = await asks(server, agent_id, approval_timeout=Duration(seconds=1))
    server.strike()
    await asyncio.sleep(1.1)  # Real time is what this is about: nobody is there to hear of it.
    await server.revive()
    assert waiting(await get(server, run.id)) == []
    with pytest.raises(RefusedError) as refused:
        await decide(server, agent_id, yes("a"))
    assert refused.value.reason == "APPROVAL_EXPIRED"
