"""A channel that speaks HTTP to a gateway: the stubs of a test work over it, and learn what an HTTP client would.

Answers are ProtoJSON read back into messages, streams are events or lines read frame by frame, and failures are the JSON that
was told, as the AioRpcError that a gRPC client gets.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import grpc
import httpx2
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # nobody publishes stubs of it
from websockets.asyncio.client import ClientConnection, connect

from letta_grpc.gateway.descriptors import fields_of, message_in, own_contract
from letta_grpc.gateway.frames import unrolled_field
from letta_grpc.gateway.routes import Binding, Routes

assert error_details_pb2  # its messages are in the pool from which details are read
_RUN_ID = "letta-run-id"
Metadata = tuple[tuple[str, str], ...]


class HttpChannel:
    """As much of grpc.aio's channel as stubs use. `accept` is the form of its streams."""

    def __init__(self, client: httpx2.AsyncClient, group: asyncio.TaskGroup, accept: str) -> None:
        self.client, self.group, self.accept = client, group, accept
        contract = own_contract()
        self.pool = contract.pool
        # Of several ways to one RPC the one that leaves most to the body: a request need not say the others' variables.
        ways = sorted(Routes(contract.rpcs).bindings, key=lambda binding: -len(binding.template.variables))
        self._bindings = {f"/{binding.rpc.name}": binding for binding in ways}

    def unary_unary(self, method: str, *, response_deserializer: Callable[[bytes], Any], **_: object) -> Any:  # noqa: ANN401 - a multi-callable
        return lambda request, **more: _UnaryCall(self, self._bindings[method], request, response_deserializer, **more)

    def unary_stream(self, method: str, *, response_deserializer: Callable[[bytes], Any], **_: object) -> Any:  # noqa: ANN401 - a multi-callable
        return lambda request, **more: _StreamCall(self, self._bindings[method], request, response_deserializer, **more)

    def stream_stream(self, method: str, *, response_deserializer: Callable[[bytes], Any], **_: object) -> Any:  # noqa: ANN401 - a multi-callable
        return lambda **more: SocketCall(self, self._bindings[method], None, response_deserializer, **more)

    def stream_unary(self, method: str, **_: object) -> Any:  # noqa: ANN401 - a multi-callable
        return lambda *_args, **_more: method


@asynccontextmanager
async def http_channel(url: str, accept: str) -> AsyncIterator[Any]:
    """Open a channel to a gateway; leaving ends its calls."""
    async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=60) as client, asyncio.TaskGroup() as group:
        channel = HttpChannel(client, group, accept)
        yield channel
        for task in list(group._tasks):  # noqa: SLF001 - whatever a test left open
            task.cancel()


class _Call:
    def __init__(
        self,
        channel: HttpChannel,
        binding: Binding,
        request: Message | None,
        deserialize: Callable[[bytes], Any],
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> None:
        self._channel, self._binding, self._request, self._deserialize = channel, binding, request, deserialize
        self._timeout, self._metadata = timeout, metadata or ()
        self._head: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        self._error: grpc.aio.AioRpcError | None = None
        self._task = channel.group.create_task(self._run(), name=binding.rpc.name)
        self._task.add_done_callback(self._ended)

    def _ended(self, _task: object) -> None:
        if not self._head.done():
            self._head.set_result({})

    async def _run(self) -> None:
        raise NotImplementedError

    def cancel(self) -> bool:
        return self._task.cancel()

    def done(self) -> bool:
        return self._task.done()

    async def initial_metadata(self) -> grpc.aio.Metadata:
        headers = await asyncio.shield(self._head)
        return grpc.aio.Metadata(*([(_RUN_ID, headers[_RUN_ID])] if _RUN_ID in headers else []))

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        await asyncio.wait((self._task,))
        return grpc.aio.Metadata(*((self._error.trailing_metadata() or ()) if self._error else ()))

    async def code(self) -> grpc.StatusCode:
        await asyncio.wait((self._task,))
        if self._task.cancelled():
            return grpc.StatusCode.CANCELLED
        return self._error.code() if self._error else grpc.StatusCode.OK

    async def details(self) -> str:
        await asyncio.wait((self._task,))
        return (self._error.details() or "") if self._error else ""

    def _http(self, accept: str) -> dict[str, Any]:
        """What the request is over HTTP."""
        assert self._request is not None
        fields = json_format.MessageToDict(self._request, preserving_proto_field_name=True)
        path = self._binding.template.text
        for name in self._binding.template.variables:
            path = path.replace(f"{{{name}}}", quote(str(fields.pop(name, "")), safe=""))
        if self._binding.body:
            content: dict[str, Any] = {"json": fields}
        else:
            content = {"params": list(_pairs(fields))}
        headers = {"accept": accept} | {key: str(value) for key, value in self._metadata}
        content |= {"method": self._binding.verb, "url": f"/api{path}", "timeout": self._timeout or 60}
        return {"headers": headers, **content}

    def _message(self, value: object) -> Any:  # noqa: ANN401 - of the deserializer's type
        message = json_format.ParseDict(value, self._binding.rpc.response(), descriptor_pool=self._channel.pool)  # type: ignore[arg-type]  # JSON
        return self._deserialize(message.SerializeToString())


class _UnaryCall(_Call):
    _answer: Any = None

    async def _run(self) -> None:
        try:
            answer = await self._channel.client.request(**self._http("application/json"))
        except httpx2.TimeoutException:
            self._error = _error(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
            return
        except httpx2.TransportError as error:
            self._error = _error(grpc.StatusCode.UNAVAILABLE, str(error))
            return
        self._head.set_result(dict(answer.headers))
        if answer.is_success:
            self._answer = self._message(answer.json())
        else:
            self._error = failure_in(answer.json())

    def __await__(self) -> Generator[Any, None, Any]:
        return self._answered().__await__()

    async def _answered(self) -> Any:  # noqa: ANN401 - of the deserializer's type
        try:
            await asyncio.wait((self._task,))
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        if self._task.cancelled():
            raise asyncio.CancelledError
        if self._error:
            raise self._error
        return self._answer


class _StreamCall(_Call):
    def __init__(self, *arguments: Any, **more: Any) -> None:  # noqa: ANN401 - as in _Call
        self._frames: asyncio.Queue[Any] = asyncio.Queue(100)
        self._is_over = False
        super().__init__(*arguments, **more)

    async def _run(self) -> None:
        try:
            async with self._channel.client.stream(**self._http(self._channel.accept)) as answer:
                self._head.set_result(dict(answer.headers))
                if answer.is_success:
                    await self._take(answer)
                else:
                    self._error = failure_in(json.loads(await answer.aread()))
        except httpx2.TransportError as error:
            self._error = _error(grpc.StatusCode.UNAVAILABLE, str(error))
        await self._frames.put(grpc.aio.EOF)

    async def _take(self, answer: httpx2.Response) -> None:
        async for line in _lines(answer):
            value = json.loads(line.removeprefix("data: ")) if line.startswith(("data: ", "{")) else None
            if value is None:
                continue
            if "error" in value:
                self._error = failure_in(value)
            else:
                await self._frames.put(self._rolled(value))

    def _rolled(self, value: dict[str, Any]) -> Any:  # noqa: ANN401 - of the deserializer's type
        """A frame as the response that it came out of."""
        field = unrolled_field(self._binding.rpc.response_type)
        if field is None:
            return self._message(value)
        own = fields_of(message_in(field))
        head = {name: part for name, part in value.items() if name not in own}
        element = {name: part for name, part in value.items() if name in own}
        return self._message(head | ({field.name: [element]} if element else {}))

    async def read(self) -> Any:  # noqa: ANN401 - a response, or grpc.aio.EOF
        if not self._is_over:
            getting = self._channel.group.create_task(self._frames.get())
            try:
                await asyncio.wait((getting, self._task), return_when=asyncio.FIRST_COMPLETED)
                if getting.done() or not self._task.cancelled():
                    response = await getting
                    if response is not grpc.aio.EOF:
                        return response
            except asyncio.CancelledError:
                self._task.cancel()
                raise
            finally:
                getting.cancel()
            self._is_over = True
        await asyncio.wait((self._task,))
        if self._task.cancelled():
            raise asyncio.CancelledError
        if self._error:
            raise self._error
        return grpc.aio.EOF

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (response := await self.read()) is not grpc.aio.EOF:
            yield response


class SocketCall(_StreamCall):
    """A call that streams both ways: a WebSocket."""

    def __init__(self, *arguments: Any, **more: Any) -> None:  # noqa: ANN401 - as in _Call
        self._requests: asyncio.Queue[Message | None] = asyncio.Queue()
        super().__init__(*arguments, **more)

    async def _run(self) -> None:
        url = str(self._channel.client.base_url.join(f"/api{self._binding.template.text}")).replace("http://", "ws://")
        headers = {key: str(value) for key, value in self._metadata}
        async with connect(url, proxy=None, additional_headers=headers) as socket, asyncio.TaskGroup() as group:
            asking = group.create_task(self._ask(socket))
            async for text in socket:
                value = json.loads(text)
                if "error" in value:
                    self._error = failure_in(value)
                else:
                    await self._frames.put(self._rolled(value))
            asking.cancel()
        await self._frames.put(grpc.aio.EOF)

    async def _ask(self, socket: ClientConnection) -> None:
        while (request := await self._requests.get()) is not None:
            await socket.send(json_format.MessageToJson(request))
        await socket.send("")

    async def write(self, request: Message) -> None:
        await self._requests.put(request)

    async def done_writing(self) -> None:
        await self._requests.put(None)


async def _lines(answer: httpx2.Response) -> AsyncIterator[str]:
    """The lines of a text; only a line feed ends one, whatever Unicode says."""
    rest = ""
    async for piece in answer.aiter_text():
        *whole, rest = (rest + piece).split("\n")
        for line in whole:
            yield line


def _pairs(fields: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                yield from _pairs(one, f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}", str(one).lower() if isinstance(one, bool) else str(one)


def failure_in(told: dict[str, Any]) -> grpc.aio.AioRpcError:
    """The failure that an error's JSON tells."""
    error = told["error"]
    code = grpc.StatusCode[error["status"]]
    status = {"code": code.value[0], "message": error["message"], "details": error["details"]}
    packed = json_format.ParseDict(status, status_pb2.Status()).SerializeToString()
    return _error(code, error["message"], ("grpc-status-details-bin", packed))


def _error(code: grpc.StatusCode, message: str, *trailers: tuple[str, bytes]) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), message, message)
