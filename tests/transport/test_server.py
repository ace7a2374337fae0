"""What the server does around its services: keys, health, reflection, connections, the stop."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from letta_grpc.transport.calls import Calls, Limits
from letta_grpc.transport.certificates import RenewableTls, read_tls
from letta_grpc.transport.health import Health
from letta_grpc.transport.local import LocalChannel
from letta_grpc.transport.renewal import UnusableFileError
from letta_grpc.transport.server import ListenError, Server, ServerOptions
from letta_grpc.v1 import run_service_pb2 as pb
from letta_grpc.v1.run_service_pb2_grpc import RunServiceStub
from tests.support.engine import Engine, end, say
from tests.support.wires import (
    GET_RUN,
    Stubs,
    Way,
    attach_and_wait,
    call_raw,
    channel_to,
    failure_of,
    fields_of,
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
V1, V1ALPHA = "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"


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


async def test_a_wrong_key_is_logged_with_who_sent_it_and_without_the_key(
    house: Engine, way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    async with channel_to(house_calls(house, api_keys=KEYS), way) as channel:
        sent = (("authorization", "Bearer guessed"), ("x-forwarded-for", "203.0.113.7"))
        error = await failure_of(RunServiceStub(channel).GetRun(pb.GetRunRequest(run_id=RUN), metadata=sent))
    (refused,) = [record for record in caplog.records if record.message == "a call with a wrong API key was refused"]
    assert vars(refused)["forwarded_for"] == "203.0.113.7"
    assert vars(refused)["peer"].startswith("local" if way == "local" else "ipv4:127.0.0.1:")
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


async def test_only_so_many_watch_health_at_once(house: Engine) -> None:
    """Whoever reaches the port may watch, without a key, and every watch takes memory."""
    calls = house_calls(house, limits=Limits(max_run_streams=2))
    async with serving(calls) as (_, address), grpc.aio.insecure_channel(address) as channel, asyncio.timeout(5):
        health: Any = health_pb2_grpc.HealthStub(channel)
        watches = [health.Watch(health_pb2.HealthCheckRequest()) for _ in range(2)]
        for watch in watches:
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        error = await failure_of(health.Watch(health_pb2.HealthCheckRequest()))
        assert info_of(error) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS", {"limit": "2"})
        watches[0].cancel()
        while not await may_watch(health):
            # The server has yet to see that one has left.
            pass


async def may_watch(health: Any) -> bool:  # noqa: ANN401 - grpc's own
    try:
        return bool(await health.Watch(health_pb2.HealthCheckRequest()).read())
    except grpc.aio.AioRpcError:
        return False


async def test_a_watch_keeps_no_long_name(house: Engine) -> None:
    async with serving(house_calls(house)) as (_, address), grpc.aio.insecure_channel(address) as channel, asyncio.timeout(5):
        health: Any = health_pb2_grpc.HealthStub(channel)
        watching = health.Watch(health_pb2.HealthCheckRequest(service="x" * 256))
        assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        error = await failure_of(health.Watch(health_pb2.HealthCheckRequest(service="x" * 257)))
        assert fields_of(error) == {"service": "must have at most 256 characters, has 257"}


async def test_services_that_can_do_no_work_are_not_served_while_the_process_lives(house: Engine) -> None:
    async with serving(house_calls(house)) as (server, address), grpc.aio.insecure_channel(address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        watching = health.Watch(health_pb2.HealthCheckRequest(service="letta_grpc.v1.RunService"))
        told = [(await watching.read()).status]
        for ready in (False, True):
            await server.tell_probes(ready=ready)
            told.append((await watching.read()).status)
            alive = await health.Check(health_pb2.HealthCheckRequest())
            assert alive.status == health_pb2.HealthCheckResponse.SERVING
        response = health_pb2.HealthCheckResponse
        assert told == [response.SERVING, response.NOT_SERVING, response.SERVING]
        await server.drain()
        await server.tell_probes(ready=True)
        assert (await watching.read()).status == response.NOT_SERVING


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
            Server(lone_calls(), ServerOptions(listen=(address,))).bind()


async def test_a_server_listens_on_every_address_and_says_which_ports_it_got(tmp_path: Path) -> None:
    socket = f"unix:{tmp_path / 'server.sock'}"
    server = Server(lone_calls(stream=attach_and_wait), ServerOptions(listen=("127.0.0.1:0", socket)))
    bound = server.bind()
    await server.start()
    assert bound[1] == socket
    assert not bound[0].endswith(":0")
    for address in bound:
        async with grpc.aio.insecure_channel(address) as channel:
            assert await RunServiceStub(channel).AttachRun(pb.AttachRunRequest()).read()
    await server.stop(0)


async def test_a_server_with_a_certificate_speaks_tls_alone() -> None:
    certificate = (HERE / "tls" / "certificate.pem").read_bytes()
    tls = RenewableTls(HERE / "tls" / "certificate.pem", HERE / "tls" / "key.pem")
    options = ServerOptions(listen=ANYWHERE, tls=tls)
    async with serving(lone_calls(stream=attach_and_wait), options) as (_, address):
        port = address.rpartition(":")[2]
        async with grpc.aio.secure_channel(f"localhost:{port}", grpc.ssl_channel_credentials(certificate)) as channel:
            assert await RunServiceStub(channel).AttachRun(pb.AttachRunRequest()).read()
        async with grpc.aio.insecure_channel(address) as channel:
            error = await failure_of(RunServiceStub(channel).AttachRun(pb.AttachRunRequest()))
            assert error.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("certificate", "key", "told"),
    [
        ("other.pem", "key.pem", "the key in .*key.pem does not belong to the certificate in .*other.pem"),
        ("junk.pem", "key.pem", "junk.pem holds no certificate in PEM"),
        ("certificate.pem", "junk.pem", "junk.pem holds no private key in PEM"),
        ("certificate.pem", "certificate.pem", "certificate.pem holds no private key in PEM"),
        ("missing.pem", "key.pem", "No such file or directory: .*missing.pem"),
    ],
)
def test_a_pair_that_does_not_fit_is_told_apart(tmp_path: Path, certificate: str, key: str, told: str) -> None:
    (tmp_path / "junk.pem").write_bytes(b"junk\xff")
    for name in ("certificate.pem", "key.pem"):
        (tmp_path / name).write_bytes((HERE / "tls" / name).read_bytes())
    (tmp_path / "other.pem").write_bytes((HERE.parent / "support" / "tls" / "certificate.pem").read_bytes())
    with pytest.raises(UnusableFileError, match=told):
        read_tls(tmp_path / certificate, tmp_path / key)


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


async def test_a_server_that_drains_sends_readers_away_that_read_at_a_slow_pace(house: Engine, way: Way) -> None:
    calls = house_calls(house)
    async with channel_to(calls, way) as channel:
        run = end(await house.play(say("one", "two", "three")))
        slowly = pb.StreamOptions(max_tokens_per_second=1)
        reader = Stubs(channel).runs.AttachRun(pb.AttachRunRequest(run_id=run.id, options=slowly))
        assert await reader.read()
        calls.drain()
        assert info_of(await failure_of(reader))[:2] == (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")


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


async def test_watches_of_health_can_be_told_to_end_again_while_they_end() -> None:
    told = asyncio.Event()

    class Watcher:
        def peer(self) -> str:
            return "unix:"

        async def write(self, _response: object) -> None:
            told.set()

        async def abort(self, code: grpc.StatusCode, _details: str) -> None:
            assert code is grpc.StatusCode.UNAVAILABLE

    health = Health(max_watches=1)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        watching = group.create_task(health.Watch(health_pb2.HealthCheckRequest(), cast("Any", Watcher())))
        await told.wait()
        while not watching.done():
            health.close()
            await asyncio.sleep(0)


async def test_calls_is_empty_when_nothing_is_under_way(house: Engine, way: Way) -> None:
    calls: Calls = house_calls(house)
    async with channel_to(calls, way) as channel:
        house.model.turns.append(say("x"))
        request = pb.ExecuteRunRequest(agent_id=house.agent.id)
        request.run.messages.add().user.text = "hi"
        await Stubs(channel).runs.ExecuteRun(request)
        await calls.settled()
    assert calls.live == 0
