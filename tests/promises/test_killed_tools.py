"""What was running when the server was killed: a tool of Python source, in a process of its own."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from letta_grpc.v1 import agent_service_pb2, agents_pb2, events_pb2, messages_pb2, runs_pb2, tool_service_pb2, tools_pb2
from letta_grpc.v1 import run_service_pb2 as pb
from tests.promises.board import Board
from tests.promises.calling import ask, read
from tests.promises.test_crashes import cancel, die, end_of, events_of, start
from tests.requirements.registry import requirement
from tests.support.histories import History, Stream, parsed
from tests.support.servers import MortalServer, mortal_house, mortal_process

pytestmark = pytest.mark.timeout(90)

# Whoever runs it says so, at once, and stays for ever.
SLOW = """
import time

def slow() -> str:
    print("begun", flush=True)
    time.sleep(1000)
    return "never"
"""
QUICK = """
def quick() -> str:
    print("begun", flush=True)
    return "ok"
"""
CALLS = [{"tool_call": {"name": "slow"}}, {"tool_call": {"name": "quick"}}]
SCRIPT = json.dumps([[{"text": "Wait. "}, *CALLS], [{"text": "done"}]])


@pytest.fixture(params=[mortal_process, mortal_house], ids=["killed process", "in process"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MortalServer]:
    async with asyncio.timeout(60), request.param(tmp_path) as running:
        yield running


async def begin(server: MortalServer, *, idempotent: bool) -> tuple[str, runs_pb2.Run]:
    """Start a run that calls the slow tool and then, because neither may run beside others, the quick one."""
    for code in (SLOW, QUICK):
        tool = tools_pb2.Tool(python=tools_pb2.PythonSource(code=code), idempotent=idempotent, parallel=False)
        wanted = tool_service_pb2.UpsertToolRequest(tool=tool)
        await ask(server, "ToolService/UpsertTool", wanted, tool_service_pb2.UpsertToolResponse.FromString)
    agent = agents_pb2.Agent(model="scripted/script", tools=["slow", "quick"])
    made = agent_service_pb2.CreateAgentRequest(agent=agent)
    agent_id = (await ask(server, "AgentService/CreateAgent", made, agent_service_pb2.CreateAgentResponse.FromString)).agent.id
    run = await start(server, agent_id, SCRIPT, runs_pb2.CONFLICT_POLICY_REJECT)
    await events_of(server, run.id, until="tool_output_delta")
    return agent_id, run


async def until_begun(server: MortalServer, run_id: str, times: int) -> list[events_pb2.RunEvent]:
    """Read until so many have said that they begin."""

    async def stay(stream: Stream) -> bool:
        return sum(parsed(body).WhichOneof("payload") == "tool_output_delta" for body in stream.bodies) < times

    stream = Stream(reader="reader", run_id=run_id)
    await read(server, Board(History()), stream, pb.AttachRunRequest(run_id=run_id), stay)
    return [parsed(body) for body in stream.bodies]


def output_by_call(events: list[events_pb2.RunEvent]) -> dict[str, str]:
    """All that each call wrote, in whichever life, by the tool's name."""
    calls: dict[str, str] = {}
    shown: dict[str, str] = {}
    for event in events:
        calls |= {call.id: call.name for call in event.message_completed.message.tool_calls}
        if event.WhichOneof("payload") == "tool_output_delta":
            name = calls[event.tool_output_delta.tool_call_id]
            shown[name] = shown.get(name, "") + event.tool_output_delta.text
    return shown


@requirement("tool_killed", "complaint_01_orphans", "complaint_11_restart")
async def test_a_tool_that_was_cut_short_is_not_run_again(server: MortalServer) -> None:
    _, run = await begin(server, idempotent=False)
    await die(server)
    assert (await end_of(server, run.id)).state == runs_pb2.RUN_STATE_COMPLETED
    events = await events_of(server, run.id)
    assert output_by_call(events) == {"slow": "begun\n", "quick": "begun\n"}, "one that had not begun runs now"
    returned = [event.tool_return for event in events if event.WhichOneof("payload") == "tool_return"]
    assert [one.status for one in returned] == [
        messages_pb2.TOOL_RETURN_STATUS_ERROR,
        messages_pb2.TOOL_RETURN_STATUS_SUCCESS,
    ]
    assert "not run again" in returned[0].text


@requirement("tool_killed")
async def test_an_idempotent_tool_that_was_cut_short_runs_again(server: MortalServer) -> None:
    _, run = await begin(server, idempotent=True)
    await die(server)
    events = await until_begun(server, run.id, times=2)
    assert output_by_call(events) == {"slow": "begun\nbegun\n"}
    await cancel(server, run.id)
    assert (await end_of(server, run.id)).state == runs_pb2.RUN_STATE_CANCELLED


@requirement("tool_killed", "tool_cancel", "complaint_07_cancel_tools")
async def test_a_cancel_that_was_answered_lets_no_tool_begin_in_the_next_life(server: MortalServer) -> None:
    agent_id, run = await begin(server, idempotent=True)
    await cancel(server, run.id)
    await die(server)
    assert (await end_of(server, run.id)).state == runs_pb2.RUN_STATE_CANCELLED
    assert output_by_call(await events_of(server, run.id)) == {"slow": "begun\n"}
    wanted = agent_service_pb2.ListMessagesRequest(agent_id=agent_id)
    page = await ask(server, "AgentService/ListMessages", wanted, agent_service_pb2.ListMessagesResponse.FromString)
    assert [len(message.tool_returns) for message in page.messages if message.tool_returns] == [len(CALLS)]
