"""The gRPC server: sockets, keepalive, health, reflection, and an orderly stop."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from letta_grpc.transport.calls import Calls, Limits
from letta_grpc.transport.certificates import RenewableTls, server_credentials
from letta_grpc.transport.handlers import generic_handlers
from letta_grpc.transport.health import Health
from letta_grpc.transport.reflection import reflection_handlers

ServerInterceptors = Sequence[grpc.aio.ServerInterceptor]

_INT32_MAX = 2**31 - 1


class ListenError(Exception):
    """The server cannot listen on an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How the server listens.

    `keepalive_seconds`: after so much silence a connection is pinged, and given up without an answer in
    `keepalive_timeout_seconds`. `min_client_ping_seconds`: clients that ping more often are cut off; half of the 10 s that we
    tell clients to be the least, since pings meant to be 10 s apart sometimes come closer.
    """

    listen: tuple[str, ...] = ("127.0.0.1:50051",)
    tls: RenewableTls | None = None
    reflection: bool = True
    channelz: bool = False
    keepalive_seconds: float = 30.0
    keepalive_timeout_seconds: float = 10.0
    min_client_ping_seconds: float = 5.0


def channel_arguments(options: ServerOptions, limits: Limits) -> tuple[tuple[str, int], ...]:
    """Return grpc's options for a server."""
    arguments = {
        "grpc.keepalive_time_ms": _ms(options.keepalive_seconds),
        "grpc.keepalive_timeout_ms": _ms(options.keepalive_timeout_seconds),
        # The ping's own timeout decides in the end, and is a minute if it is not told: a stalled client would stay that long.
        "grpc.http2.ping_timeout_ms": _ms(options.keepalive_timeout_seconds),
        "grpc.keepalive_permit_without_calls": 1,
        "grpc.http2.max_pings_without_data": 0,
        # 5 minutes by default, at which a client with a usual keepalive is cut off as soon as its stream is quiet.
        "grpc.http2.min_recv_ping_interval_without_data_ms": _ms(options.min_client_ping_seconds),
        # Above our own limit, so that what is a little too large is told by us; grpc refuses the rest without our details.
        # Not far above: a message is unpacked before its key is looked at, and one of 60 KB can hold 60 MB of zeros.
        "grpc.max_receive_message_length": min(2 * limits.max_request_bytes, _INT32_MAX),
        # What may be sent is checked where it is made.
        "grpc.max_send_message_length": -1,
        # Two servers on one port would each get some of the connections, and one run's readers would be spread over both.
        "grpc.so_reuseport": 0,
        # Not set: grpc.max_concurrent_streams. What is beyond it would wait in the client, in silence, for its deadline.
        "grpc.enable_channelz": int(options.channelz),
    }
    if (age := limits.max_stream_age_seconds) is not None:
        # A stream that began before its connection was told to go ends by itself within the grace.
        arguments["grpc.max_connection_age_ms"] = _ms(age)
        arguments["grpc.max_connection_age_grace_ms"] = _ms(age + 30)
    return tuple(arguments.items())


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


class Server:
    """Serves `calls` on sockets.

    Starting: `bind`, then `start`; who connects in between waits.
    Stopping: `drain`, after which readers leave by themselves, then whatever the runs need to end, then `stop`.
    """

    def __init__(self, calls: Calls, options: ServerOptions, interceptors: ServerInterceptors = ()) -> None:
        self._calls = calls
        self._options = options
        self._interceptors = interceptors
        self._health = Health(max_watches=calls.limits.max_run_streams)
        self._server: grpc.aio.Server | None = None
        self._stopping = asyncio.Lock()

    def bind(self) -> tuple[str, ...]:
        """Take the addresses; return them with the ports as they are. Raises ListenError."""
        arguments = channel_arguments(self._options, self._calls.limits)
        server = grpc.aio.server(options=arguments, interceptors=self._interceptors)
        server.add_generic_rpc_handlers(generic_handlers(self._calls))
        self._add_infrastructure(server)
        bound = tuple(self._bind(server, address) for address in self._options.listen)
        self._server = server
        return bound

    async def start(self) -> None:
        """Answer whoever has connected, from now on."""
        if self._server is None:
            raise RuntimeError("a server starts on the addresses that it has taken")
        await self._server.start()
        await self.tell_probes(ready=True)

    def _bind(self, server: grpc.aio.Server, address: str) -> str:
        try:
            if self._options.tls:
                port = server.add_secure_port(address, server_credentials(self._options.tls))
            else:
                port = server.add_insecure_port(address)
        except RuntimeError as error:
            raise ListenError(f"cannot listen on {address}: is the port taken, or the address not this machine's?") from error
        host, colon, wanted = address.rpartition(":")
        return f"{host}:{port}" if colon and wanted.isdigit() else address

    def _services(self) -> list[str]:
        return sorted({name.partition("/")[0] for name in self._calls.methods})

    def _add_infrastructure(self, server: grpc.aio.Server) -> None:
        # Open to everybody, whatever the keys are: who probes a server's health has none.
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = [*self._services(), health.SERVICE_NAME]
        if self._options.channelz:
            from grpc_channelz.v1 import channelz  # noqa: PLC0415 - off by default

            channelz.add_channelz_servicer(server)
            names.append("grpc.channelz.v1.Channelz")
        if self._options.reflection:
            server.add_generic_rpc_handlers(reflection_handlers(names, self._calls.keys))

    async def tell_probes(self, *, ready: bool) -> None:
        """Tell health probes whether the services can do their work.

        Who asks after none of them asks whether the process lives: started anew, it could do no more.
        """
        response = health_pb2.HealthCheckResponse
        for service in self._services():
            await self._health.set(service, response.SERVING if ready else response.NOT_SERVING)

    async def drain(self) -> None:
        """Tell health probes that the server goes, refuse new starts, and send readers away to go on elsewhere."""
        await self._health.enter_graceful_shutdown()
        self._calls.drain()

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new calls, let those under way end within the grace, cut the rest, and wait for their clean-up."""
        self._health.close()
        # One at a time: two stops of grpc's at once can end the process with a segmentation fault.
        async with self._stopping:
            if self._server is not None:
                await self._server.stop(grace_seconds)
        # grpc returns before the handlers that it cut have run to their ends.
        await self._calls.settled()

    async def wait(self) -> None:
        """Return once the server has stopped."""
        if self._server is not None:
            await self._server.wait_for_termination()
