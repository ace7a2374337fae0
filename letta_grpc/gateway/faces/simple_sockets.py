"""The WebSockets of the *simple* face: many turns on one socket, one after the other."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

import orjson
from starlette.types import Message, Receive, Scope, Send

from letta_grpc.gateway.admission import let_in
from letta_grpc.gateway.answers import denying, send_failure
from letta_grpc.gateway.aside import aside
from letta_grpc.gateway.bodies import parsed
from letta_grpc.gateway.face import FaceContext
from letta_grpc.gateway.faces.simple_frames import Frame, SimpleFrames, frame_of
from letta_grpc.gateway.failures import Failure, invalid, refused
from letta_grpc.gateway.metadata import Metadata
from letta_grpc.gateway.races import first_of
from letta_grpc.gateway.sockets import accept, socket_metadata
from letta_grpc.gateway.turns import Turns, spec_of
from letta_grpc.gateway.upstream import settled
from letta_grpc.v1 import agent_service_pb2, agent_service_pb2_grpc, agents_pb2
from letta_grpc.v1 import run_service_pb2 as pb

CHAT_AGENT = "ChatAgent"
# How many messages of a client may wait for their turns; beyond that the socket is closed, or they would fill the memory.
_WAITING = 16
_TRY_AGAIN_LATER = 1013

# What a client wants said to the agent; or what is said of a message that was none.
_Said = str | Failure
_Tell = Callable[[Frame], Awaitable[None]]


def turn_socket(context: FaceContext) -> "Socket":
    """Return `/ws/{agent_id}`."""

    def words_in(text: str) -> str:
        body = parsed(text, context.options)
        if not isinstance(body, dict) or not isinstance(body.get("message"), str) or not body["message"]:
            raise invalid({"message": "must be a text, not empty"})
        words: str = body["message"]
        return words

    async def agent_of(scope: Scope, _metadata: Metadata) -> str:
        agent_id: str = scope["path_params"]["agent_id"]
        return agent_id

    return Socket(context, words_in, agent_of)


def chat_socket(context: FaceContext) -> "Socket":
    """Return `/chat`."""
    stub = agent_service_pb2_grpc.AgentServiceStub(context.channel)
    # Two first uses at once make one agent.
    making = asyncio.Lock()

    def words_in(text: str) -> str:
        if not text:
            raise refused("A message must not be empty.")
        return text

    async def agent_of(_scope: Scope, metadata: Metadata) -> str:
        async with making:
            wanted = agent_service_pb2.ListAgentsRequest(name=CHAT_AGENT, page_size=1)
            found = await settled(stub.ListAgents(wanted, metadata=metadata))
            if found.agents:
                return found.agents[0].id
            new = agents_pb2.Agent(name=CHAT_AGENT, model=context.options.chat_model)
            made = await settled(stub.CreateAgent(agent_service_pb2.CreateAgentRequest(agent=new), metadata=metadata))
            return made.agent.id

    return Socket(context, words_in, agent_of)


@dataclass(frozen=True, slots=True)
class Socket:
    """An ASGI application that is one socket: `words_in` reads a message, `agent_of` knows who answers. Both raise Failure."""

    context: FaceContext
    words_in: Callable[[str], str]
    agent_of: Callable[[Scope, Metadata], Awaitable[str]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take turns until the client leaves."""
        try:
            metadata = socket_metadata(scope)
            await let_in(self.context.channel, metadata)
        except Failure as failure:
            await send_failure(scope, denying(scope, send), failure)
            return
        await accept((scope, receive, send))
        waiting: asyncio.Queue[_Said] = asyncio.Queue(_WAITING)
        code = await first_of(self._listen(receive, waiting), self._answer(scope, send, metadata, waiting))
        if code is not None:
            await send({"type": "websocket.close", "code": code, "reason": "wait for the answers"})

    async def _listen(self, receive: Receive, waiting: asyncio.Queue[_Said]) -> int | None:
        """Queue what comes. Return when the client leaves, or, when it does not wait for its turns, the code to close with."""
        while (message := await receive())["type"] != "websocket.disconnect":
            try:
                waiting.put_nowait(await self._said_in(message))
            except asyncio.QueueFull:
                return _TRY_AGAIN_LATER
        return None

    async def _said_in(self, message: Message) -> _Said:
        text = message.get("text")
        if text is None:
            return refused("A message must be text.")
        try:
            return await aside(len(text), self.words_in, text)
        except Failure as failure:
            return failure

    async def _answer(self, scope: Scope, send: Send, metadata: Metadata, waiting: asyncio.Queue[_Said]) -> None:
        async def tell(frame: Frame) -> None:
            await send({"type": "websocket.send", "text": orjson.dumps(frame).decode()})

        while True:
            said = await waiting.get()
            try:
                if isinstance(said, Failure):
                    raise said
                await self._turn(await self.agent_of(scope, metadata), said, metadata, tell)
            except Failure as failure:
                await tell(frame_of(failure))

    async def _turn(self, agent_id: str, text: str, metadata: Metadata, tell: _Tell) -> None:
        start = pb.StreamRunRequest(agent_id=agent_id, run=spec_of(text))
        frames = SimpleFrames("chunk")
        async with aclosing(Turns(self.context.channel, metadata).stream(start)) as responses:
            async for response in responses:
                for frame in frames.of(response.events):
                    await tell(frame)
                if frames.is_over:
                    return
