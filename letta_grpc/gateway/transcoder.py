"""The transcoder: every RPC with a `google.api.http` rule, over HTTP."""

import asyncio
from collections.abc import Mapping

import grpc
from google.protobuf.message import Message
from starlette.types import Receive, Scope, Send

from letta_grpc.gateway.answers import denying, send_failure, send_json
from letta_grpc.gateway.aside import aside
from letta_grpc.gateway.bodies import ClientLeftError, header, json_in, read_body
from letta_grpc.gateway.descriptors import Contract, Rpc
from letta_grpc.gateway.failures import Failure, refused
from letta_grpc.gateway.formats import format_for
from letta_grpc.gateway.frames import Frames
from letta_grpc.gateway.leaving import while_connected
from letta_grpc.gateway.metadata import RUN_ID_KEY, Metadata, metadata_of
from letta_grpc.gateway.options import GatewayOptions
from letta_grpc.gateway.printing import json_of
from letta_grpc.gateway.queries import pairs_of
from letta_grpc.gateway.requests import Requests, resume
from letta_grpc.gateway.routes import Binding, Routes
from letta_grpc.gateway.sockets import RequestReader, converse
from letta_grpc.gateway.streams import StreamAnswer
from letta_grpc.gateway.templates import BadPathError
from letta_grpc.gateway.upstream import StreamCall, UnaryCall

_AGAIN_SECONDS = 0.25


class Transcoder:
    """An ASGI application that answers what the contract binds to HTTP, by calls over a channel."""

    def __init__(self, channel: grpc.aio.Channel, contract: Contract, options: GatewayOptions) -> None:
        self._channel = channel
        self._pool = contract.pool
        self._requests = Requests(contract.pool)
        self._options = options
        self.routes = Routes(contract.rpcs)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            if scope["type"] == "websocket":
                binding, variables = self._found(scope, "GET", socket=True)
                reader = RequestReader(binding.rpc, variables, self._pool, self._options)
                await converse((scope, receive, send), self._channel, binding.rpc, reader)
                return
            verb = scope["method"]
            binding, variables = self._found(scope, "GET" if verb == "HEAD" else verb, socket=False)
            query = pairs_of(scope["query_string"])
            body = await read_body(scope, receive, self._options)
            value = await json_in(scope, body, self._options)
            request = await aside(len(body), self._requests.message_of, binding, variables, query, value)
            metadata = metadata_of(scope)
        except Failure as failure:
            await send_failure(scope, denying(scope, send), failure)
        except ClientLeftError:
            return
        else:
            await while_connected(receive, self._answer(scope, send, binding, request, metadata))

    def _found(self, scope: Scope, verb: str, *, socket: bool) -> tuple[Binding, Mapping[str, str]]:
        path = scope["raw_path"].decode("ascii", "replace").removeprefix(scope.get("root_path", ""))
        allowed: list[str] = []
        try:
            for binding, variables in self.routes.match(path):
                asked = "GET" if binding.is_socket else binding.verb
                if asked == verb and binding.is_socket == socket:
                    return binding, variables
                if asked == verb and binding.is_socket:
                    raise refused("This is a WebSocket: ask for an upgrade.", http=426, headers={"upgrade": "websocket"})
                allowed.append(asked)
        except BadPathError as error:
            raise refused(f"{error}.") from None
        if allowed and not socket:
            verbs = ", ".join(sorted(set(allowed)))
            code = grpc.StatusCode.UNIMPLEMENTED
            raise refused(f"{verb} is not allowed here; {verbs} is.", http=405, code=code, headers={"allow": verbs})
        message = f"Nothing answers at {scope['path']}. /openapi.json lists what does."
        raise refused(message, http=404, code=grpc.StatusCode.NOT_FOUND)

    async def _answer(self, scope: Scope, send: Send, binding: Binding, request: Message, metadata: Metadata) -> None:
        try:
            if binding.rpc.server_streaming:
                await self._stream(scope, send, binding, request, metadata)
            else:
                await self._unary(scope, send, binding, request, metadata)
        except Failure as failure:
            await send_failure(scope, send, failure)

    async def _unary(self, scope: Scope, send: Send, binding: Binding, request: Message, metadata: Metadata) -> None:
        call = UnaryCall(self._channel, binding.rpc, request.SerializeToString(), metadata)
        try:
            answer = binding.rpc.response.FromString(await call.answer())
            run_id = await call.run_id()
        finally:
            call.close()
        whole = answer if not binding.response_body else getattr(answer, binding.response_body)
        await send_json(scope, send, json_of(whole), headers={RUN_ID_KEY: run_id} if run_id else None)

    async def _stream(self, scope: Scope, send: Send, binding: Binding, request: Message, metadata: Metadata) -> None:
        form = format_for(header(scope, b"accept"), self._options.retry_ms)
        resume(binding, request, header(scope, b"last-event-id"))
        answer, asked = StreamAnswer(scope, send, form), request.SerializeToString()
        now = asyncio.get_running_loop().time
        # What is asked for by GET starts nothing, and may be asked again.
        late = now() + (self._options.return_seconds if binding.verb == "GET" else 0)
        while (failure := await self._tried(answer, binding.rpc, asked, metadata)) is not None:
            if failure.code is not grpc.StatusCode.UNAVAILABLE or now() >= late:
                raise failure
            # Not until the channel is ready: a server that drains can be reached, and refuses.
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _tried(self, answer: StreamAnswer, rpc: Rpc, asked: bytes, metadata: Metadata) -> Failure | None:
        """Answer with a stream; return why it did not begin."""
        call = StreamCall(self._channel, rpc, asked, metadata)
        try:
            await answer.send(call, Frames(rpc), self._options.opening_seconds)
        except Failure as failure:
            return failure
        finally:
            call.close()
        return None
