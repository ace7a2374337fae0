"""Client and server of different contracts: what one adds, the other does not stumble over."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from letta_grpc.client import AsyncClient
from letta_grpc.v1 import runs_pb2
from tests.support.contracts import (
    LATER_EVENTS,
    NEW_EVENT,
    NEW_FIELD,
    Stubs,
    accepted,
    newer,
    numbers,
    older,
    serving,
)
from tests.support.server_process import serving_process

# A call of a tool, then an answer: nearly every kind of event.
NOTE = {"label": "notes", "text": "Rome is warm."}
SCRIPT = json.dumps([[{"text": "A "}, {"tool_call": {"name": "memory_insert", "arguments": NOTE}}], [{"text": "B"}]])
CONTRACTS = {"accepted": accepted, "older": older, "newer": newer}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving_process(tmp_path_factory.mktemp("skew")) as (address, _):
        yield address


@pytest.fixture
async def channel(target: str) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(target) as channel:
        yield channel


async def start(stubs: Stubs, channel: grpc.aio.Channel, **more: object) -> list[Any]:
    agent = {"name": "skew", "model": "scripted/script", "memoryBlocks": [{"label": "notes"}]}
    made = await stubs.call(channel, "AgentService/CreateAgent", agent=agent, **more)
    run = {"messages": [{"user": {"text": SCRIPT}}], **more}
    stream = stubs.stream(channel, "RunService/StreamRun", agentId=made.agent.id, run=run, **more)
    return [response async for response in stream]


@pytest.mark.parametrize("contract", CONTRACTS)
async def test_stubs_of_another_contract_follow_a_run_of_this_server(contract: str, channel: grpc.aio.Channel) -> None:
    stubs = Stubs(CONTRACTS[contract]())
    responses = await start(stubs, channel, **({NEW_FIELD: "curious"} if contract == "newer" else {}))
    events = [event for response in responses for event in response.events]
    assert numbers(responses) == list(range(1, len(events) + 1))
    assert "".join(event.text_delta.text for event in events) == "A B"
    assert events[-1].WhichOneof("payload") == "run_finished"
    assert events[-1].run_finished.run.state == runs_pb2.RUN_STATE_COMPLETED


@pytest.mark.parametrize("contract", CONTRACTS)
async def test_stubs_of_another_contract_attach(contract: str, channel: grpc.aio.Channel) -> None:
    stubs = Stubs(CONTRACTS[contract]())
    started = await start(stubs, channel)
    run_id = started[0].run_id
    attached = stubs.stream(channel, "RunService/AttachRun", runId=run_id, afterSequenceNumber=3)
    assert numbers([response async for response in attached]) == numbers(started)[3:]
    run = (await stubs.call(channel, "RunService/GetRun", runId=run_id)).run
    assert run.state == runs_pb2.RUN_STATE_COMPLETED


async def test_events_that_an_older_contract_lacks_have_numbers_and_no_payload(channel: grpc.aio.Channel) -> None:
    known, unknown = Stubs(accepted()), Stubs(older())
    responses = await start(known, channel)
    again = unknown.stream(channel, "RunService/AttachRun", runId=responses[0].run_id)
    seen = [event.WhichOneof("payload") for response in [one async for one in again] for event in response.events]
    kinds = [event.WhichOneof("payload") for response in responses for event in response.events]
    assert seen == [None if kind in LATER_EVENTS else kind for kind in kinds]
    assert None in seen


async def newer_answers(stubs: Stubs) -> AsyncIterator[Any]:
    """Say "Hi" as a server of tomorrow would."""
    run = {"id": "run-1", NEW_FIELD: "curious"}
    message = {"id": "message-1", "role": "ROLE_ASSISTANT", "content": [{"text": "Hi"}], NEW_FIELD: "curious"}
    payloads: list[dict[str, Any]] = [
        {"runStarted": {"run": {**run, "state": "RUN_STATE_RUNNING"}}},
        {"textDelta": {"messageId": "message-1", "text": "Hi"}, NEW_FIELD: "curious"},
        {NEW_EVENT: {NEW_FIELD: "calm"}},
        {"messageCompleted": {"message": message}},
        {"runFinished": {"run": {**run, "state": "RUN_STATE_COMPLETED", "stopReason": 90}}},
    ]
    for number, payload in enumerate(payloads, start=1):
        events = [{"sequenceNumber": number, **payload}]
        yield stubs.new("StreamRunResponse", {"runId": "run-1", "agentId": "ada", "events": events, NEW_FIELD: "curious"})


async def test_this_client_reads_what_a_newer_server_sends(tmp_path: Path) -> None:
    stubs = Stubs(newer())
    server = grpc.aio.server()

    async def stream_run(_: Message, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        await context.send_initial_metadata([("letta-run-id", "run-1")])
        async for response in newer_answers(stubs):
            yield response

    server.add_generic_rpc_handlers([serving(stubs, "RunService", {"StreamRun": stream_run})])
    server.add_insecure_port(f"unix:{tmp_path}/newer")
    await server.start()
    try:
        async with AsyncClient(f"unix:{tmp_path}/newer") as client, client.stream("ada", "hello") as stream:
            events = [event async for event in stream]
            run = await stream.final()
    finally:
        await server.stop(None)
    assert [event.sequence_number for event in events] == [1, 2, 3, 4, 5]
    assert events[2].WhichOneof("payload") is None
    assert stream.so_far.text == "Hi"
    assert run.state == runs_pb2.RUN_STATE_COMPLETED
