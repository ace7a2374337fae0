"""One stream at a time, of either kind, with every token checked."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc.aio

from letta_grpc.bench.completions import completion_request, texts
from letta_grpc.bench.connections import ConnectionPool
from letta_grpc.bench.conversations import open_conversations
from letta_grpc.bench.errors import TokensBrokenError
from letta_grpc.bench.event_streams import event_requests, told
from letta_grpc.bench.scenarios import Scenario
from letta_grpc.bench.subjects import Direct, Server, Subject
from letta_grpc.bench.tokens import TokenCheck, now_us
from letta_grpc.v1 import run_service_pb2, run_service_pb2_grpc, runs_pb2

# How many streams share a connection, if there are enough: a backend shares its channel, too.
_STREAMS_PER_CHANNEL = 100
_GREETING = "Tell me how the weather will be."


@dataclass(frozen=True, slots=True)
class Received:
    """A stream whose tokens came each once and in order."""

    first_ms: float
    travel_us: list[int]
    run_id: str = ""
    last_sequence_number: int = 0


# Runs the stream of this index, from the call to the end.
Streamer = Callable[[int], Awaitable[Received]]


@asynccontextmanager
async def channels(server: Server, count: int) -> AsyncIterator[list[grpc.aio.Channel]]:
    """Open `count` connections."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    opened = [grpc.aio.insecure_channel(server.address, options=options) for _ in range(count)]
    try:
        for channel in opened:
            await channel.channel_ready()
        yield opened
    finally:
        for channel in opened:
            await channel.close()


@asynccontextmanager
async def streamer(subject: Subject, scenario: Scenario, *, requests: int, concurrency: int) -> AsyncIterator[Streamer]:
    """Make everything ready, a fresh conversation for each request included; yield what runs a stream."""
    match subject:
        case Direct():
            pool = ConnectionPool(subject.address)
            completion = completion_request(scenario.model, _GREETING)
            yield lambda _: _direct(pool, completion, scenario)
            pool.close()
        case Server(web=web) if web:
            asked = await event_requests(subject, scenario, requests, _GREETING)
            pool = ConnectionPool(web)
            yield lambda index: _heard(pool, asked[index], scenario, completed=not subject.agents)
            pool.close()
        case Server():
            prepared = await start_requests(subject, scenario, requests)
            async with channels(subject, -(-concurrency // _STREAMS_PER_CHANNEL)) as opened:
                stubs = [run_service_pb2_grpc.RunServiceStub(channel) for channel in opened]
                yield lambda index: served(stubs[index % len(stubs)], prepared[index], scenario)


async def start_requests(server: Server, scenario: Scenario, count: int) -> list[run_service_pb2.StreamRunRequest]:
    """Return `count` starts, each in a conversation of its own."""
    places = await open_conversations(server, count) if server.agents else [("", "")] * count
    requests: list[run_service_pb2.StreamRunRequest] = []
    for agent_id, conversation_id in places:
        request = run_service_pb2.StreamRunRequest(agent_id=agent_id, conversation_id=conversation_id)
        request.run.model = f"bench/{scenario.model}"
        request.run.messages.add().user.text = _GREETING
        requests.append(request)
    return requests


async def _direct(pool: ConnectionPool, request: bytes, scenario: Scenario) -> Received:
    started, check = now_us(), TokenCheck()
    async for events in pool.events(request):
        for text in texts(events):
            check.take(text)
    return Received((check.finish(scenario.tokens) - started) / 1000, check.travel_us)


async def served(
    stub: "run_service_pb2_grpc.RunServiceAsyncStub", request: run_service_pb2.StreamRunRequest, scenario: Scenario
) -> Received:
    """Run one stream, from the call to its end. One that names an agent ends with a run that completed."""
    started, check, last, run_id, completed = now_us(), TokenCheck(), 0, "", not request.agent_id
    async for response in stub.StreamRun(request):
        run_id = response.run_id
        for event in response.events:
            kind = event.WhichOneof("payload")
            if kind == "heartbeat":
                continue
            if event.sequence_number != last + 1:
                raise TokensBrokenError(f"event {last + 1} was due, {event.sequence_number} came")
            last += 1
            if kind == "text_delta":
                check.take(event.text_delta.text)
            elif kind == "run_finished":
                completed = event.run_finished.run.state == runs_pb2.RUN_STATE_COMPLETED
    if not completed:
        raise TokensBrokenError("the run did not complete")
    return Received((check.finish(scenario.tokens) - started) / 1000, check.travel_us, run_id, last)


async def _heard(pool: ConnectionPool, request: bytes, scenario: Scenario, *, completed: bool) -> Received:
    """Run one stream of server-sent events. `completed`: whether it is good without a run that completed."""
    started, check, last = now_us(), TokenCheck(), 0
    async for events in pool.events(request):
        for event in told(events):
            last += 1
            if event["sequenceNumber"] != last:
                raise TokensBrokenError(f"event {last} was due, {event['sequenceNumber']} came")
            if delta := event.get("textDelta"):
                check.take(delta["text"])
            elif finished := event.get("runFinished"):
                completed = finished["run"]["state"] == "RUN_STATE_COMPLETED"
    if not completed:
        raise TokensBrokenError("the run did not complete")
    return Received((check.finish(scenario.tokens) - started) / 1000, check.travel_us, "", last)
