"""What the server does around its services: keys, health, reflection, connections, the stop."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from letta_grpc.domain.agents import Agent
from letta_grpc.domain.completions import FinishReason, ModelFinished, TextChunk, ToolCallChunk
from letta_grpc.domain.messages import ToolCall
from letta_grpc.engine.agents import NewAgent
from letta_grpc.transport.calls import Calls, Limits
from letta_grpc.transport.local import LocalChannel
from letta_grpc.transport.methods import Call, Response
from letta_grpc.transport.server import ListenError, Server, ServerOptions, Tls, channel_arguments
from letta_grpc.v1 import run_service_pb2 as pb
from letta_grpc.v1.run_service_pb2_grpc import RunServiceStub
from tests.support.engine import DONE, DirectedTools, Engine, Move, engine, say
from tests.support.wires import (
    GET_RUN,
    WAYS,
    Stubs,
    Watched,
    Way,
    call_raw,
    channel_to,
    failure_of,
    house_calls,
    info_of,
    lone_calls,
    serving,
)

pytestmark = pytest.mark.timeout(30)
HERE = Path(__file__).parent
ANYWHERE = ("127.0.0.1:0",)
KEYS = ("one-key", "another-key")
RUN = "run-00000000-0000-4000-8000-00000000dead"
ONE = Response(pb.AttachRunResponse(run_id="run").SerializeToString(), 1)
TOOL_CALLS = ModelFinished(FinishReason.TOOL_CALLS)
V1, V1ALPHA = "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return request.param  # type: ignore[no-any-return]  # one of WAYS


@pytest.fixture
async def house() -> AsyncIterator[Engine]:
    async with engine() as running:
        yield running


async def attach_and_wait(_request: pb.AttachRunRequest, _call: Call) -> AsyncGenerator[Response, None]:
    yield ONE
    await asyncio.Event().wait()


# Keys


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ((), "CREDENTIALS_MISSING"),
        ((("authorization", ""),), "CREDENTIALS_MISSING"),
        ((("authorization", "one-key"),), "CREDENTIALS_MISSING"),
        ((("authorization", "Basic one-key"),), "CREDENTIALS_MISSING"),
        ((("authorization", "Bearer one-ke"),), "CREDENTIALS_INVALID"),
        ((("authorization", "Bearer one-key2"),), "CREDENTIALS_INVALID"),
    ],
)
async def test_without_a_key_nothing_is_told_not_even_what_is_wrong_with_the_request(
    house: Engine, way: Way, sent: Sequence[tuple[str, str]], reason: str
) -> None:
    async with channel_to(house_calls(house, api_keys=KEYS), way) as channel:
        for request in (pb.GetRunRequest(run_id=RUN), pb.GetRunRequest(run_id="no id")):
            error = await failure_of(RunServiceStub(channel).GetRun(request, metadata=sent))
            assert info_of(error) == (grpc.StatusCode.UNAUTHENTICATED, reason, {})
        with pytest.raises(grpc.aio.AioRpcError) as garbage:
            await call_raw(channel, GET_RUN, b"\xff", sent)
        assert info_of(garbage.value)[1] == reason


@pytest.mark.parametrize("sent", ["Bearer one-key", "bearer another-key"])
async def test_each_key_opens_the_door(house: Engine, way: Way, sent: str) -> None:
    async with channel_to(house_calls(house, api_keys=KEYS), way) as channel:
        call = RunServiceStub(channel).GetRun(pb.GetRunRequest(run_id=RUN), metadata=(("authorization", sent),))
        assert info_of(await failure_of(call))[1] == "RUN_NOT_FOUND"


async def test_a_local_channel_can_bring_its_key(house: Engine) -> None:
    async with LocalChannel(house_calls(house, api_keys=KEYS), [("authorization", "Bearer one-key")]) as channel:
        assert info_of(await failure_of(RunServiceStub(channel).GetRun(pb.GetRunRequest(run_id=RUN))))[1] == "RUN_NOT_FOUND"


async def test_no_key_is_ever_logged(house: Engine, way: Way, caplog: pytest.LogCaptureFixture) -> None:
    async with channel_to(house_calls(house, api_keys=KEYS), way) as channel:
        call = RunServiceStub(channel).GetRun(pb.GetRunRequest(run_id=RUN), metadata=(("authorization", "Bearer guessed"),))
        error = await failure_of(call)
    assert not [word for word in (*KEYS, "guessed") if word in f"{caplog.text}{error}{error.trailing_metadata()}"]


# Health, reflection, channelz


async def test_health_is_told_per_service_and_without_a_key(house: Engine) -> None:
    async with serving(house_calls(house, api_keys=KEYS)) as (server, address), grpc.aio.insecure_channel(address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        for service in ("", "letta_grpc.v1.RunService", "letta_grpc.v1.ModelService"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        await server.drain()
        answer = await health.Check(health_pb2.HealthCheckRequest(service="letta_grpc.v1.RunService"))
        assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING


async def reflect(
    address: str, service: str, request: reflection_pb2.ServerReflectionRequest, key: str = ""
) -> reflection_pb2.ServerReflectionResponse:
    async with grpc.aio.insecure_channel(address) as channel:
        method = channel.stream_stream(
            f"/{service}/ServerReflectionInfo",
            reflection_pb2.ServerReflectionRequest.SerializeToString,
            reflection_pb2.ServerReflectionResponse.FromString,
        )
        call = method(iter([request]), metadata=(("authorization", f"Bearer {key}"),) if key else ())
        return await anext(aiter(call))


@pytest.mark.parametrize("name", [V1, V1ALPHA])
async def test_reflection_answers_under_both_of_its_names(house: Engine, name: str) -> None:
    async with serving(house_calls(house)) as (_, address):
        listed = await reflect(address, name, reflection_pb2.ServerReflectionRequest(list_services=""))
        services = {service.name for service in listed.list_services_response.service}
        assert {"letta_grpc.v1.RunService", "letta_grpc.v1.AgentService", "grpc.health.v1.Health", V1, V1ALPHA} <= services
        symbol = reflection_pb2.ServerReflectionRequest(file_containing_symbol="letta_grpc.v1.RunService")
        described = await reflect(address, name, symbol)
    files = [FileDescriptorProto.FromString(raw) for raw in described.file_descriptor_response.file_descriptor_proto]
    assert "letta_grpc/v1/run_service.proto" in {file.name for file in files}


@pytest.mark.parametrize(
    ("asked", "file"),
    [
        ({"file_containing_symbol": "letta_grpc.v1.RunService.StreamRun"}, "letta_grpc/v1/run_service.proto"),
        ({"file_containing_symbol": "letta_grpc.v1.Run"}, "letta_grpc/v1/runs.proto"),
        ({"file_containing_symbol": V1}, "grpc_reflection/v1/reflection.proto"),
        ({"file_containing_symbol": f"{V1}.ServerReflectionInfo"}, "grpc_reflection/v1/reflection.proto"),
        ({"file_by_filename": "grpc_reflection/v1/reflection.proto"}, "grpc_reflection/v1/reflection.proto"),
        ({"file_containing_symbol": V1ALPHA}, "grpc_reflection/v1alpha/reflection.proto"),
        ({"file_by_filename": "google/protobuf/timestamp.proto"}, "google/protobuf/timestamp.proto"),
    ],
)
async def test_reflection_finds_the_file_of_all_that_it_lists(house: Engine, asked: dict[str, str], file: str) -> None:
    request = reflection_pb2.ServerReflectionRequest(**asked)  # type: ignore[arg-type]  # a field of the request by name
    async with serving(house_calls(house)) as (_, address):
        described = await reflect(address, V1, request)
    found = FileDescriptorProto.FromString(described.file_descriptor_response.file_descriptor_proto[0])
    assert found.name == file
    assert all(f".{found.package}." in method.input_type for service in found.service for method in service.method)


@pytest.mark.parametrize(
    "asked",
    [
        {"file_containing_symbol": "letta_grpc.v1.RunService.Nothing"},
        {"file_containing_symbol": "nothing"},
        {"file_by_filename": "nothing.proto"},
        {"all_extension_numbers_of_type": "nothing"},
    ],
)
async def test_reflection_says_what_it_does_not_find(house: Engine, asked: dict[str, str]) -> None:
    request = reflection_pb2.ServerReflectionRequest(**asked)  # type: ignore[arg-type]  # a field of the request by name
    async with serving(house_calls(house)) as (_, address):
        answer = await reflect(address, V1, request)
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


async def test_reflection_wants_a_key_where_there_are_keys(house: Engine) -> None:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async with serving(house_calls(house, api_keys=KEYS)) as (_, address):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await reflect(address, V1, request)
        assert info_of(refused.value)[:2] == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_MISSING")
        assert (await reflect(address, V1, request, key="one-key")).HasField("list_services_response")


@pytest.mark.parametrize("on", [False, True])
async def test_channelz_is_there_only_on_demand(on: bool) -> None:  # noqa: FBT001
    options = ServerOptions(listen=ANYWHERE, channelz=on)
    async with serving(lone_calls(), options) as (_, address), grpc.aio.insecure_channel(address) as channel:
        call = cast("Any", channelz_pb2_grpc.ChannelzStub)(channel).GetServers(channelz_pb2.GetServersRequest())
        if on:
            assert (await call).server
        else:
            assert (await failure_of(call)).code() is grpc.StatusCode.UNIMPLEMENTED


# Listening


async def test_a_port_that_is_taken_is_told_by_its_address() -> None:
    async with serving(lone_calls()) as (_, address):
        with pytest.raises(ListenError, match=address):
            await Server(lone_calls(), ServerOptions(listen=(address,))).start()


async def test_a_server_listens_on_every_address_and_says_which_ports_it_got(tmp_path: Path) -> None:
    socket = f"unix:{tmp_path / 'server.sock'}"
    server = Server(lone_calls(stream=attach_and_wait), ServerOptions(listen=("127.0.0.1:0", socket)))
    bound = await server.start()
    assert bound[1] == socket
    assert not bound[0].endswith(":0")
    for address in bound:
        async with grpc.aio.insecure_channel(address) as channel:
            assert await RunServiceStub(channel).AttachRun(pb.AttachRunRequest()).read()
    await server.stop(0)


async def test_a_server_with_a_certificate_speaks_tls_alone() -> None:
    certificate = (HERE / "tls" / "certificate.pem").read_bytes()
    tls = Tls(certificate=certificate, key=(HERE / "tls" / "key.pem").read_bytes())
    options = ServerOptions(listen=ANYWHERE, tls=tls)
    async with serving(lone_calls(stream=attach_and_wait), options) as (_, address):
        port = address.rpartition(":")[2]
        async with grpc.aio.secure_channel(f"localhost:{port}", grpc.ssl_channel_credentials(certificate)) as channel:
            assert await RunServiceStub(channel).AttachRun(pb.AttachRunRequest()).read()
        async with grpc.aio.insecure_channel(address) as channel:
            error = await failure_of(RunServiceStub(channel).AttachRun(pb.AttachRunRequest()))
            assert error.code() is grpc.StatusCode.UNAVAILABLE


# Connections


PINGING = [("grpc.keepalive_time_ms", 100), ("grpc.keepalive_timeout_ms", 5000), ("grpc.http2.max_pings_without_data", 0)]


async def test_a_client_that_pings_on_a_quiet_stream_is_not_cut_off() -> None:
    options = ServerOptions(listen=ANYWHERE, min_client_ping_seconds=0.05)
    async with (
        serving(lone_calls(stream=attach_and_wait), options) as (_, address),
        grpc.aio.insecure_channel(address, PINGING) as channel,
    ):
        call = RunServiceStub(channel).AttachRun(pb.AttachRunRequest())
        await call.read()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await call.read()


async def test_a_client_that_pings_more_often_than_it_may_is_cut_off() -> None:
    # The counterpart: without it the test above could not fail.
    options = ServerOptions(listen=ANYWHERE, min_client_ping_seconds=300)
    async with (
        serving(lone_calls(stream=attach_and_wait), options) as (_, address),
        grpc.aio.insecure_channel(address, PINGING) as channel,
    ):
        error = await failure_of(RunServiceStub(channel).AttachRun(pb.AttachRunRequest()))
    assert "too many pings" in str(error.details()).lower()


def test_clients_may_ping_twice_as_often_as_they_are_told_to() -> None:
    arguments = dict(channel_arguments(ServerOptions(), Limits()))
    assert arguments["grpc.http2.min_recv_ping_interval_without_data_ms"] == 5000
    assert arguments["grpc.keepalive_permit_without_calls"] == 1
    assert arguments["grpc.so_reuseport"] == 0
    assert "grpc.max_concurrent_streams" not in arguments
    assert arguments["grpc.max_receive_message_length"] > Limits().max_request_bytes
    assert "grpc.max_connection_age_ms" not in arguments


def test_a_stream_that_is_recycled_in_time_is_never_cut_by_its_connection() -> None:
    arguments = dict(channel_arguments(ServerOptions(), Limits(max_stream_age_seconds=300)))
    assert arguments["grpc.max_connection_age_ms"] == 300_000
    assert arguments["grpc.max_connection_age_grace_ms"] > 300_000


READER = """
import sys
import grpc
from letta_grpc.v1 import run_service_pb2 as pb
from letta_grpc.v1.run_service_pb2_grpc import RunServiceStub
for _ in RunServiceStub(grpc.insecure_channel(sys.argv[1])).AttachRun(pb.AttachRunRequest()):
    print("reading", flush=True)
"""


async def test_a_client_that_is_stalled_is_noticed() -> None:
    watched = Watched()
    options = ServerOptions(listen=ANYWHERE, keepalive_seconds=0.5, keepalive_timeout_seconds=1)
    async with serving(lone_calls(stream=attach_and_wait, observer=watched), options) as (_, address):
        client = await asyncio.create_subprocess_exec(sys.executable, "-c", READER, address, stdout=asyncio.subprocess.PIPE)
        try:
            assert client.stdout is not None
            assert await client.stdout.readline() == b"reading\n"
            os.kill(client.pid, signal.SIGSTOP)
            async with asyncio.timeout(10):
                await watched.until_ended()
        finally:
            client.kill()
            await client.communicate()
    assert watched.ends == [(grpc.StatusCode.CANCELLED, None)]


async def test_a_reader_that_never_reads_holds_up_neither_the_run_nor_another_reader() -> None:
    async def look(_call: ToolCall) -> str:
        return "seen"

    # More than one response holds: what the stuck reader was not sent yet cannot be on its way either.
    words = [f"{number:04}" + "x" * 3000 for number in range(600)]
    async with engine(tools=DirectedTools({"look": look})) as house:
        for step in range(6):
            said: list[Move] = [[TextChunk(word)] for word in words[step * 100 : step * 100 + 100]]
            house.model.turns.append([*said, [ToolCallChunk(0, f"look-{step}", "look", "{}")], [TOOL_CALLS]])
        house.model.turns.append(say("done"))
        # All of it fits: a compaction would ask the model once more.
        agent = await house.agents.create(NewAgent(model="test/model", context_window=1_000_000))
        await _one_reads_and_one_does_not(house, agent, [*words, "done"])


async def _one_reads_and_one_does_not(house: Engine, agent: Agent, words: list[str]) -> None:
    watched = Watched()
    # How much a server may send ahead is the client's choice: as little as there is to choose.
    sparing = [("grpc.http2.bdp_probe", 0)]
    async with (
        serving(house_calls(house, observer=watched)) as (_, address),
        grpc.aio.insecure_channel(address, sparing) as channel,
    ):
        stub = Stubs(channel).runs
        run = await house.start(agent=agent)
        stuck = stub.AttachRun(pb.AttachRunRequest(run_id=run.id))
        assert await stuck.read()
        last = (await house.runs.finished(run.id)).last_sequence_number
        assert last is not None
        assert last > len(words)
        eager = [event async for r in stub.AttachRun(pb.AttachRunRequest(run_id=run.id)) for event in r.events]
        assert [event.text_delta.text for event in eager if event.HasField("text_delta")] == words
        assert watched.events - len(eager) < last
        # And when it reads at last it gets everything.
        late = 0
        while (response := await stuck.read()) is not grpc.aio.EOF:
            assert isinstance(response, pb.AttachRunResponse)
            late = response.events[-1].sequence_number
        assert late == last


async def test_a_stream_that_was_recycled_goes_on_after_its_last_number(house: Engine, way: Way) -> None:
    gate = asyncio.Event()
    house.model.turns.append([[TextChunk("a")], gate, [TextChunk("b")], [DONE]])
    run = await house.start()
    async with channel_to(house_calls(house, limits=Limits(max_stream_age_seconds=0.1)), way) as channel:
        stub, seen = Stubs(channel).runs, [0]

        async def read_on() -> None:
            async for response in stub.AttachRun(pb.AttachRunRequest(run_id=run.id, after_sequence_number=seen[-1])):
                seen.extend(event.sequence_number for event in response.events)

        with pytest.raises(grpc.aio.AioRpcError) as cut:
            await read_on()
        assert info_of(cut.value)[:2] == (grpc.StatusCode.ABORTED, "STREAM_RECYCLED")
        gate.set()
        await house.runs.finished(run.id)
        await read_on()
    assert seen == list(range(len(seen)))
    assert seen[-1] == (await house.runs.get(run.id)).last_sequence_number


# Stopping


async def test_a_server_that_drains_sends_readers_away_and_refuses_starts_but_answers_the_rest(
    house: Engine, way: Way
) -> None:
    house.model.turns.append([asyncio.Event()])
    calls = house_calls(house)
    async with channel_to(calls, way) as channel:
        stub = Stubs(channel).runs
        run = await house.start()
        reader = stub.AttachRun(pb.AttachRunRequest(run_id=run.id))
        assert await reader.read()
        await house.model.reached.wait()
        calls.drain()
        assert info_of(await failure_of(reader))[:2] == (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")
        start = pb.CreateRunRequest(agent_id=house.agent.id)
        start.run.messages.add().user.text = "hi"
        assert info_of(await failure_of(stub.CreateRun(start)))[1] == "SERVER_DRAINING"
        assert (await stub.GetRun(pb.GetRunRequest(run_id=run.id))).run.id == run.id


async def test_a_drained_server_stops_long_before_its_grace_is_over(house: Engine) -> None:
    house.model.turns.append([asyncio.Event()])
    async with serving(house_calls(house)) as (server, address), grpc.aio.insecure_channel(address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        watching = health.Watch(health_pb2.HealthCheckRequest())
        await watching.read()
        run = await house.start()
        reader = Stubs(channel).runs.AttachRun(pb.AttachRunRequest(run_id=run.id))
        assert await reader.read()
        await server.drain()
        async with asyncio.timeout(5):
            await server.stop(60)
        assert info_of(await failure_of(reader))[1] == "SERVER_DRAINING"
        await server.wait()


async def test_a_server_can_be_told_to_stop_again_while_it_stops(house: Engine) -> None:
    async with serving(house_calls(house)) as (server, _), asyncio.TaskGroup() as group:
        for grace in (1, 0, 0):
            group.create_task(server.stop(grace))


async def test_calls_is_empty_when_nothing_is_under_way(house: Engine, way: Way) -> None:
    calls: Calls = house_calls(house)
    async with channel_to(calls, way) as channel:
        house.model.turns.append(say("x"))
        request = pb.ExecuteRunRequest(agent_id=house.agent.id)
        request.run.messages.add().user.text = "hi"
        await Stubs(channel).runs.ExecuteRun(request)
        await calls.settled()
    assert calls.live == 0
