"""The server is killed between two things that belong together: what the next one makes of it."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from letta_grpc.v1 import (
    agent_service_pb2,
    agents_pb2,
    blocks_pb2,
    events_pb2,
    messages_pb2,
    runs_pb2,
    tool_service_pb2,
    tools_pb2,
)
from letta_grpc.v1 import run_service_pb2 as pb
from tests.promises.calling import ask
from tests.promises.test_crashes import end_of, events_of, start
from tests.requirements.registry import requirement
from tests.support.servers import MortalProcess, mortal_process

pytestmark = pytest.mark.timeout(120)

SUCCESS, ERROR = messages_pb2.TOOL_RETURN_STATUS_SUCCESS, messages_pb2.TOOL_RETURN_STATUS_ERROR
CODE = """
def touch() -> str:
    print("ran", flush=True)
    return "done"
"""


@pytest.fixture(autouse=True)
async def bounded() -> AsyncIterator[None]:
    async with asyncio.timeout(100):
        yield


def dying(folder: Path, moment: str) -> AbstractAsyncContextManager[MortalProcess]:
    return mortal_process(folder, moment)


async def new_agent(server: MortalProcess, agent: agents_pb2.Agent) -> str:
    wanted = agent_service_pb2.CreateAgentRequest(agent=agent, include_base_tools=False)
    return (await ask(server, "AgentService/CreateAgent", wanted, agent_service_pb2.CreateAgentResponse.FromString)).agent.id


async def begin(server: MortalProcess, agent_id: str, *texts: str) -> list[runs_pb2.Run]:
    """Start runs, one behind the other; the server dies of one of them, and has a next life."""

    async def start_all() -> list[runs_pb2.Run]:
        # A start whose answer is cut is repeated in the next life, under its request id.
        return [await start(server, agent_id, text, runs_pb2.CONFLICT_POLICY_ENQUEUE) for text in texts]

    async with asyncio.TaskGroup() as group:
        starting = group.create_task(start_all())
        await server.until_dead()
        await server.revive()
    return starting.result()


async def history_of(server: MortalProcess, agent_id: str) -> list[messages_pb2.Message]:
    """Every message, and no call without its one return."""
    wanted = agent_service_pb2.ListMessagesRequest(agent_id=agent_id)
    page = await ask(server, "AgentService/ListMessages", wanted, agent_service_pb2.ListMessagesResponse.FromString)
    calls = Counter(call.id for message in page.messages for call in message.tool_calls)
    returns = Counter(one.tool_call_id for message in page.messages for one in message.tool_returns)
    assert calls == returns
    assert set(calls.values()) <= {1}
    return list(page.messages)


def times(events: list[events_pb2.RunEvent], kind: str) -> int:
    return sum(event.WhichOneof("payload") == kind for event in events)


@requirement("tool_killed", "complaint_01_orphans", "one_return")
@pytest.mark.parametrize("idempotent", [False, True])
async def test_a_tool_that_had_ended_and_not_been_heard_ran_once_unless_it_may_run_again(
    tmp_path: Path, *, idempotent: bool
) -> None:
    async with dying(tmp_path, "returned") as server:
        tool = tools_pb2.Tool(python=tools_pb2.PythonSource(code=CODE), idempotent=idempotent)
        wanted = tool_service_pb2.UpsertToolRequest(tool=tool)
        await ask(server, "ToolService/UpsertTool", wanted, tool_service_pb2.UpsertToolResponse.FromString)
        agent_id = await new_agent(server, agents_pb2.Agent(model="scripted/script", tools=["touch"]))
        (run,) = await begin(server, agent_id, json.dumps([[{"tool_call": {"name": "touch"}}], [{"text": "go on"}]]))
        assert (await end_of(server, run.id)).state == runs_pb2.RUN_STATE_COMPLETED
        events = await events_of(server, run.id)
        assert times(events, "tool_execution_started") == 1 + idempotent
        (returned,) = [event.tool_return for event in events if event.HasField("tool_return")]
        assert returned.status == (SUCCESS if idempotent else ERROR)
        assert ("not run again" in returned.text) is not idempotent
        assert "".join(part.text for part in (await history_of(server, agent_id))[-1].content) == "go on"


@requirement("tool_killed", "one_effect")
async def test_what_a_memory_tool_did_whose_return_is_not_stored_is_undone(tmp_path: Path) -> None:
    async with dying(tmp_path, "returned") as server:
        notes = blocks_pb2.Block(label="notes", value="a")
        agent_id = await new_agent(
            server, agents_pb2.Agent(model="scripted/script", tools=["memory_insert"], memory_blocks=[notes])
        )
        call = {"tool_call": {"name": "memory_insert", "arguments": {"label": "notes", "text": "b"}}}
        (run,) = await begin(server, agent_id, json.dumps([[call], [{"text": "go on"}]]))
        events = await events_of(server, run.id)
        (returned,) = [event.tool_return for event in events if event.HasField("tool_return")]
        wanted = agent_service_pb2.GetAgentRequest(agent_id=agent_id)
        agent = (await ask(server, "AgentService/GetAgent", wanted, agent_service_pb2.GetAgentResponse.FromString)).agent
        assert ("b" in agent.memory_blocks[0].value) is (returned.status == SUCCESS)
        assert agent.memory_blocks[0].value.count("b") <= 1
        await history_of(server, agent_id)


@requirement("approval_durable", "approval_interrupts")
async def test_what_was_to_be_asked_when_the_server_died_is_asked_by_the_next(tmp_path: Path) -> None:
    async with dying(tmp_path, "asking") as server:
        name = "archival_memory_insert"
        agent_id = await new_agent(
            server, agents_pb2.Agent(model="scripted/script", tools=[name], tool_approvals={name: True})
        )
        call = {"tool_call": {"id": "a", "name": name, "arguments": {"text": "tea"}}}
        (run,) = await begin(server, agent_id, json.dumps([[call], [{"text": "done"}]]))
        ended = await end_of(server, run.id)
        assert (ended.state, [action.tool_call_id for action in ended.pending_actions]) == (
            runs_pb2.RUN_STATE_INTERRUPTED,
            ["a"],
        )
        decision = messages_pb2.Decision(tool_call_id="a", approve=messages_pb2.Approve())
        answer = messages_pb2.InputMessage(approval=messages_pb2.ApprovalInput(decisions=[decision]))
        request = pb.CreateRunRequest(agent_id=agent_id, run=runs_pb2.RunSpec(messages=[answer]))
        answered = (await ask(server, "RunService/CreateRun", request, pb.CreateRunResponse.FromString)).run
        assert (await end_of(server, answered.id)).state == runs_pb2.RUN_STATE_COMPLETED
        assert times(await events_of(server, answered.id), "tool_execution_started") == 1
        await history_of(server, agent_id)


@requirement("conversation_overflow", "takeover")
async def test_a_context_that_was_compacted_when_the_server_died_is_what_the_next_one_answers_from(tmp_path: Path) -> None:
    async with dying(tmp_path, "compacted") as server:
        agent_id = await new_agent(server, agents_pb2.Agent(model="scripted/echo", system="Be kind.", context_window=1000))
        runs = await begin(server, agent_id, *(f"{number} " + "word " * 100 for number in range(12)))
        ended = [await end_of(server, run.id) for run in runs]
        assert {run.state for run in ended} == {runs_pb2.RUN_STATE_COMPLETED}
        (cut,) = [run for run in ended if run.attempt == 2]
        assert times(await events_of(server, cut.id), "context_compacted") == 1
        history = await history_of(server, agent_id)
        assert any(message.role == messages_pb2.ROLE_SUMMARY for message in history)
        wanted = agent_service_pb2.GetContextRequest(agent_id=agent_id)
        context = (
            await ask(server, "AgentService/GetContext", wanted, agent_service_pb2.GetContextResponse.FromString)
        ).context
        assert len(context.messages) < len(history)
