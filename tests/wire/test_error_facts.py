"""Every reason that errors.proto lists, with its code and the facts that it promises, provoked one by one."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from letta_grpc.transport.calls import Limits
from letta_grpc.transport.methods import Call, Response
from letta_grpc.v1 import (
    agent_service_pb2,
    archive_service_pb2,
    block_service_pb2,
    blocks_pb2,
    conversation_service_pb2,
    errors_pb2,
    mcp_pb2,
    mcp_service_pb2,
    messages_pb2,
    run_service_pb2,
    runs_pb2,
    tool_service_pb2,
    tools_pb2,
)
from tests.requirements.registry import requirement
from tests.support.houses import Talk, Wire, run_of, said, talk
from tests.support.wires import Stubs, Way, channel_to, failure_of, info_of, lone_calls
from tests.wire.conftest import Connect

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

PROTO = Path(__file__).parents[2] / "protos/letta_grpc/v1/errors.proto"
SOMEBODY = "00000000-0000-4000-8000-00000000dead"
WAITING = json.dumps([[{"wait_for_cancel": True}]])
ELSEWHERE = {
    # This takes five servers that die: tests/engine/test_takeover.py has them on a clock of its own.
    "RUN_LOST",
    # This takes an embedding model that fails: test_archive.py has one.
    "EMBEDDINGS_FAILED",
    # The reader of the log has its own file: test_positions_and_keys.py waits for the events to expire.
    "EVENTS_EXPIRED",
}

# Reasons that need a server of their own, in the tests below.
BY_ITSELF = {
    "CREDENTIALS_MISSING",
    "CREDENTIALS_INVALID",
    "TOO_MANY_STREAMS",
    "SERVER_DRAINING",
    "STORE_UNAVAILABLE",
    "INTERNAL",
    "STREAM_RECYCLED",
    "TOOL_SANDBOX_UNAVAILABLE",
}


def promised() -> Mapping[str, tuple[str, list[set[str]]]]:
    """The code and the alternative sets of metadata that the comment of each reason names; no code for those in a run."""
    found: dict[str, tuple[str, list[set[str]]]] = {}
    for comment, name in re.findall(r"((?:  // .*\n)+)  ERROR_REASON_(\w+) = [1-9]", PROTO.read_text()):
        text = " ".join(line.strip(" /") for line in comment.splitlines())
        code = re.match(r"[A-Z_]+(?=[,:.])", text)
        _, _, facts = text.partition("Metadata: ")
        choices = [set(re.findall(r"`(\w+)`", choice)) for choice in facts.split(", or ")]
        found[name] = (code.group() if code else "", choices)
    return found


async def refused(call: object) -> tuple[grpc.StatusCode, str, dict[str, str]]:
    return info_of(await failure_of(call))


async def invalid_request(wire: Wire) -> object:
    return wire.runs.GetRun(run_service_pb2.GetRunRequest(run_id="x"))


async def model_unknown(wire: Wire) -> object:
    return wire.runs.StreamRun((await talk(wire)).start("hi", model="no/model"))


async def agent_not_found(wire: Wire) -> object:
    return wire.agents.GetAgent(agent_service_pb2.GetAgentRequest(agent_id=f"agent-{SOMEBODY}"))


async def run_not_found(wire: Wire) -> object:
    return wire.runs.AttachRun(run_service_pb2.AttachRunRequest(run_id=f"run-{SOMEBODY}"))


async def conversation_not_found(wire: Wire) -> object:
    request = conversation_service_pb2.GetConversationRequest(conversation_id=f"conv-{SOMEBODY}")
    return wire.conversations.GetConversation(request)


async def block_not_found(wire: Wire) -> object:
    return wire.blocks.GetBlock(block_service_pb2.GetBlockRequest(block_id=f"block-{SOMEBODY}"))


async def mcp_server_not_found(wire: Wire) -> object:
    return wire.mcp.GetMcpServer(mcp_service_pb2.GetMcpServerRequest(mcp_server_id=f"mcp-{SOMEBODY}"))


async def mcp_server_failed(wire: Wire) -> object:
    server = mcp_pb2.McpServer(name="broken", stdio=mcp_pb2.StdioEndpoint(command="/no/such/command"))
    made = (await wire.mcp.CreateMcpServer(mcp_service_pb2.CreateMcpServerRequest(server=server))).server
    return wire.mcp.ListMcpTools(mcp_service_pb2.ListMcpToolsRequest(mcp_server_id=made.id))


async def passage_not_found(wire: Wire) -> object:
    request = archive_service_pb2.GetPassageRequest(agent_id=(await talk(wire)).agent_id, passage_id=f"passage-{SOMEBODY}")
    return wire.archive.GetPassage(request)


async def step_not_found(wire: Wire) -> object:
    return wire.runs.GetStep(run_service_pb2.GetStepRequest(step_id=f"step-{SOMEBODY}"))


async def tool_not_found(wire: Wire) -> object:
    return wire.tools.GetTool(tool_service_pb2.GetToolRequest(tool_id=f"tool-{SOMEBODY}"))


async def tool_source_invalid(wire: Wire) -> object:
    return wire.tools.CreateTool(new_tool("def broken(:"))


def new_tool(code: str) -> tool_service_pb2.CreateToolRequest:
    return tool_service_pb2.CreateToolRequest(tool=tools_pb2.Tool(python=tools_pb2.PythonSource(code=code)))


async def asked(wire: Wire) -> tuple[Talk, runs_pb2.Run]:
    """A run that waits for somebody to approve the call `a`."""
    guarded = "archival_memory_insert"
    one = await talk(wire, "scripted/script", [guarded], tool_approvals={guarded: True})
    turn = {"tool_call": {"id": "a", "name": guarded, "arguments": {"text": "milk"}}}
    return one, run_of(await one.ask(json.dumps([[turn]])))


def decision(one: Talk, *, approve: bool) -> run_service_pb2.StreamRunRequest:
    decided = messages_pb2.Decision(tool_call_id="a")
    (decided.approve if approve else decided.deny).SetInParent()
    answer = messages_pb2.InputMessage(approval=messages_pb2.ApprovalInput(decisions=[decided]))
    return run_service_pb2.StreamRunRequest(agent_id=one.agent_id, run=runs_pb2.RunSpec(messages=[answer]))


async def approval_pending(wire: Wire) -> object:
    one, _ = await asked(wire)
    return wire.runs.StreamRun(one.start("hi"))


async def approval_expired(wire: Wire) -> object:
    one, run = await asked(wire)
    await wire.runs.CancelRun(run_service_pb2.CancelRunRequest(run_id=run.id))
    return wire.runs.StreamRun(decision(one, approve=True))


async def approval_already_resolved(wire: Wire) -> object:
    one, _ = await asked(wire)
    async for _ in wire.runs.StreamRun(decision(one, approve=True)):
        pass
    return wire.runs.StreamRun(decision(one, approve=False))


async def concurrent_change(wire: Wire) -> object:
    block = block_service_pb2.CreateBlockRequest(block=blocks_pb2.Block(label="human"))
    made = (await wire.blocks.CreateBlock(block)).block
    mask = FieldMask(paths=["value"])
    request = block_service_pb2.UpdateBlockRequest(block_id=made.id, update_mask=mask, expected_version=2)
    return wire.blocks.UpdateBlock(request)


async def label_not_found(wire: Wire) -> object:
    one = await talk(wire)
    return wire.agents.GetMemoryBlock(agent_service_pb2.GetMemoryBlockRequest(agent_id=one.agent_id, label="none"))


async def request_id_reused(wire: Wire) -> object:
    one, request_id = await talk(wire), str(uuid4())
    await one.ask("this", request_id=request_id)
    return wire.runs.StreamRun(one.start("that", request_id=request_id))


async def name_taken(wire: Wire) -> object:
    one = await talk(wire, memory_blocks=[blocks_pb2.Block(label="human")])
    block = block_service_pb2.CreateBlockRequest(block=blocks_pb2.Block(label="human"))
    made = (await wire.blocks.CreateBlock(block)).block
    return wire.blocks.AttachBlock(block_service_pb2.AttachBlockRequest(agent_id=one.agent_id, block_id=made.id))


async def occupied(wire: Wire) -> tuple[Talk, runs_pb2.Run]:
    one = await talk(wire, "scripted/script")
    start = one.start(WAITING)
    made = await wire.runs.CreateRun(run_service_pb2.CreateRunRequest(agent_id=one.agent_id, run=start.run))
    return one, made.run


async def conversation_busy(wire: Wire) -> object:
    one, _ = await occupied(wire)
    return wire.runs.StreamRun(one.start("no"))


async def resource_in_use(wire: Wire) -> object:
    one, _ = await occupied(wire)
    return wire.agents.DeleteAgent(agent_service_pb2.DeleteAgentRequest(agent_id=one.agent_id))


async def queue_full(wire: Wire) -> object:
    one, _ = await occupied(wire)
    spec = one.start("later", conflict_policy=runs_pb2.CONFLICT_POLICY_ENQUEUE).run
    for _ in range(100):
        await wire.runs.CreateRun(run_service_pb2.CreateRunRequest(agent_id=one.agent_id, run=spec))
    return wire.runs.CreateRun(run_service_pb2.CreateRunRequest(agent_id=one.agent_id, run=spec))


async def cursor_ahead(wire: Wire) -> object:
    run = run_of(await (await talk(wire)).ask("hi"))
    return wire.runs.AttachRun(run_service_pb2.AttachRunRequest(run_id=run.id, after_sequence_number=999))


async def message_too_large(wire: Wire) -> object:
    return wire.runs.StreamRun((await talk(wire)).start(*["x" * 2**20] * 5))


REFUSALS: Mapping[str, Callable[[Wire], Awaitable[object]]] = {
    "INVALID_REQUEST": invalid_request,
    "MODEL_UNKNOWN": model_unknown,
    "AGENT_NOT_FOUND": agent_not_found,
    "RUN_NOT_FOUND": run_not_found,
    "CONVERSATION_NOT_FOUND": conversation_not_found,
    "BLOCK_NOT_FOUND": block_not_found,
    "MCP_SERVER_NOT_FOUND": mcp_server_not_found,
    "MCP_SERVER_FAILED": mcp_server_failed,
    "PASSAGE_NOT_FOUND": passage_not_found,
    "STEP_NOT_FOUND": step_not_found,
    "TOOL_NOT_FOUND": tool_not_found,
    "TOOL_SOURCE_INVALID": tool_source_invalid,
    "APPROVAL_PENDING": approval_pending,
    "APPROVAL_EXPIRED": approval_expired,
    "APPROVAL_ALREADY_RESOLVED": approval_already_resolved,
    "CONCURRENT_CHANGE": concurrent_change,
    "REQUEST_ID_REUSED": request_id_reused,
    "NAME_TAKEN": name_taken,
    "CONVERSATION_BUSY": conversation_busy,
    "RESOURCE_IN_USE": resource_in_use,
    "QUEUE_FULL": queue_full,
    "CURSOR_AHEAD": cursor_ahead,
    "MESSAGE_TOO_LARGE": message_too_large,
}
IN_A_RUN = {name for name, (code, _) in promised().items() if not code} - ELSEWHERE


def check(name: str, told: tuple[grpc.StatusCode, str, dict[str, str]]) -> None:
    code, choices = promised()[name]
    assert told[:2] == (grpc.StatusCode[code], name)
    assert any(set(told[2]) >= facts for facts in choices), told[2]
    assert all(told[2][fact] for facts in choices for fact in facts if fact in told[2])


@pytest.mark.parametrize("name", REFUSALS)
@requirement("error_facts")
async def test_a_refused_call_carries_the_facts_of_its_reason(wire: Wire, name: str) -> None:
    check(name, await refused(await REFUSALS[name](wire)))


@requirement("error_facts")
async def test_a_block_that_an_agent_has_not_is_named_by_agent_and_label(wire: Wire) -> None:
    told = await refused(await label_not_found(wire))
    assert set(told[2]) == {"agent_id", "label"}
    check("BLOCK_NOT_FOUND", told)


@requirement("error_facts")
async def test_what_is_the_agent_s_for_good_cannot_be_removed(wire: Wire) -> None:
    one = await talk(wire)
    listing = conversation_service_pb2.ListConversationsRequest(agent_id=one.agent_id)
    default = (await wire.conversations.ListConversations(listing)).conversations[0]
    request = conversation_service_pb2.DeleteConversationRequest(conversation_id=default.id)
    told = await refused(wire.conversations.DeleteConversation(request))
    assert told[2] == {"conversation_id": default.id}
    check("RESOURCE_IN_USE", told)


@requirement("error_facts")
async def test_keys_and_places_are_asked_for_before_anything_else(connect: Connect) -> None:
    async with connect(api_keys="right", max_streams=1) as wire:
        request = run_service_pb2.AttachRunRequest(run_id=f"run-{SOMEBODY}")
        check("CREDENTIALS_MISSING", await refused(wire.runs.AttachRun(request)))
        wrong, right = (("authorization", "Bearer wrong"),), (("authorization", "Bearer right"),)
        check("CREDENTIALS_INVALID", await refused(wire.runs.AttachRun(request, metadata=wrong)))
        new = agent_service_pb2.CreateAgentRequest()
        new.agent.model = "scripted/script"
        agent = (await wire.agents.CreateAgent(new, metadata=right)).agent
        start = Talk(wire, agent.id).start(WAITING)
        first = wire.runs.StreamRun(start, metadata=right)
        await first.initial_metadata()
        check("TOO_MANY_STREAMS", await refused(wire.runs.AttachRun(request, metadata=right)))
        first.cancel()


@requirement("error_facts")
async def test_a_server_that_runs_no_tools_of_others_says_so(connect: Connect) -> None:
    async with connect(tool_sandbox="off") as wire:
        check("TOOL_SANDBOX_UNAVAILABLE", await refused(wire.tools.CreateTool(new_tool("def fine() -> str: ..."))))


@requirement("error_facts")
async def test_a_server_that_stops_or_has_lost_its_database_says_so(way: Way, connect: Connect) -> None:
    async with connect() as wire:
        one = await talk(wire)
        wire.house.calls.drain()
        check("SERVER_DRAINING", await refused(wire.runs.StreamRun(one.start("hi"))))
    closed = wire.house.calls
    async with channel_to(closed, way) as channel:
        check("STORE_UNAVAILABLE", await refused(await agent_not_found(Wire(channel, wire.house))))


@requirement("error_facts")
async def test_what_is_the_server_s_own_fault_or_wish_is_told_without_details(way: Way) -> None:
    async def broken(_request: run_service_pb2.GetRunRequest, _call: Call) -> run_service_pb2.GetRunResponse:
        raise ValueError("secret")

    async def silent(_request: run_service_pb2.AttachRunRequest, _call: Call) -> AsyncGenerator[Response, None]:
        await asyncio.Event().wait()
        yield Response(b"", 0)

    calls = lone_calls(unary=broken, stream=silent, limits=Limits(max_stream_age_seconds=0.01))
    async with channel_to(calls, way) as channel:
        stubs = Stubs(channel)
        error = await failure_of(stubs.runs.GetRun(run_service_pb2.GetRunRequest(run_id="any")))
        check("INTERNAL", info_of(error))
        assert "secret" not in repr(error)
        check("STREAM_RECYCLED", await refused(stubs.runs.AttachRun(run_service_pb2.AttachRunRequest(run_id="any"))))


@pytest.mark.parametrize("name", sorted(IN_A_RUN))
@requirement("error_facts", "model_failure")
async def test_the_reason_of_a_failed_run_stands_in_its_last_event_and_the_stream_ends_well(wire: Wire, name: str) -> None:
    one = await talk(wire, "scripted/script")
    if name == "RUN_TIMEOUT":
        error = run_of(await one.ask(WAITING, run_timeout=Duration(seconds=1))).error
    else:
        error = run_of(await one.ask(json.dumps([[{"text": "so "}, {"error": name}]]))).error
        assert [text for _, text in said(await one.history())][1:] == ["so "]
    assert error.reason == name
    assert error.message
    await one.goes_on()


async def test_no_reason_is_left_out() -> None:
    listed = {name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()} - {"UNSPECIFIED"}  # noqa: SIM118 - not a dict
    assert promised().keys() == listed
    assert REFUSALS.keys() | IN_A_RUN | ELSEWHERE | BY_ITSELF == listed
