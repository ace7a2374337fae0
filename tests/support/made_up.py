"""A service that nothing in the package knows, and a server of it whose handlers a test brings along."""

import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import google.rpc  # type: ignore[import-untyped]  # nobody publishes stubs of it
import grpc
import grpc_tools  # type: ignore[import-untyped]  # see above
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_tools import protoc

from letta_grpc.gateway.descriptors import Contract, contract_of

_HERE = Path(__file__).parent
_SERVICE = "made.up.v1.ShelfService"
Handlers = Mapping[str, Callable[..., Any]]


@cache
def made_up() -> Contract:
    """Compile the proto."""
    includes = [_HERE, Path(next(iter(google.rpc.__path__))).parents[1], Path(grpc_tools.__file__).parent / "_proto"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set.binpb"
        flags = ["--include_imports", "--include_source_info", f"--descriptor_set_out={out}"]
        failed = protoc.main(["protoc", *(f"-I{path}" for path in includes), *flags, "made_up.proto"])
        assert not failed
        return contract_of(out.read_bytes())


def new(kind: str, **fields: Any) -> Any:  # noqa: ANN401 - a message that has no stubs
    """Make a message of the service's."""
    cls: type[Message] = GetMessageClass(made_up().pool.FindMessageTypeByName(f"made.up.v1.{kind}"))
    return cls(**fields)


@asynccontextmanager
async def serving_made_up(handlers: Handlers) -> AsyncIterator[grpc.aio.Channel]:
    """Serve the service on a free port; yield a channel to it."""
    server = grpc.aio.server()
    methods = {rpc.name.rpartition("/")[2]: _handler(rpc, handlers) for rpc in made_up().rpcs if _short(rpc.name) in handlers}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(_SERVICE, methods)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(0)


def _short(name: str) -> str:
    return name.rpartition("/")[2]


def _handler(rpc: Any, handlers: Handlers) -> Any:  # noqa: ANN401 - grpc's handlers have four shapes
    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[rpc.client_streaming, rpc.server_streaming]
    return make(
        handlers[_short(rpc.name)],
        request_deserializer=rpc.request.FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )
