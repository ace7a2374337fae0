"""The *simple* face: a message in, small JSON frames out, as events or over a WebSocket.

    POST /stream {"agent_id" | "agent_ids", "message", "max_tokens_per_second"?, "chunk_size"?}
    WS   /ws/{agent_id}     each text message {"message"} is a turn; text comes as `chunk`
    WS   /chat              each text message is a turn of the agent `ChatAgent`, which is made on first use

    {"type":"status","status":"thinking"}
    {"type":"reasoning","content"}
    {"type":"content","content","tokens"}
    {"type":"tool_call","tool","tool_call_id","status":"started"}   {"type":"tool_result","result","tool_call_id"}
    {"type":"approval","run_id","actions":[{"tool_call_id","kind","tool","arguments","expire_time"}]}
    {"type":"status","status":"complete","total_tokens","time_to_first_token","total_time","tokens_per_second"}
    {"type":"done"}, or {"type":"error","message","reason"}: the last

`tokens` counts what has come so far, about a token at a time; `total_tokens` is what the provider says of the answer, where
it does. Times are in seconds; what was not measured is absent. With `agent_ids` every frame names its `agent_id`, each agent
has a last frame of its own, and the stream ends behind the last of all. A start that is refused is told by its HTTP status and
an `error` frame; one of several by its frame alone. Who leaves cancels what runs for him. Calls that wait are answered by the
native routes.
"""

import re
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from letta_grpc.gateway.event_stream import EventStream
from letta_grpc.gateway.face import FaceContext
from letta_grpc.gateway.faces.endpoints import object_in, telling
from letta_grpc.gateway.faces.simple_frames import Frame, SimpleFrames, error_frame, frame_of
from letta_grpc.gateway.faces.simple_sockets import chat_socket, turn_socket
from letta_grpc.gateway.failures import INVALID_REQUEST, Failure, invalid
from letta_grpc.gateway.formats import KEEPALIVE, data_of
from letta_grpc.gateway.metadata import metadata_of
from letta_grpc.gateway.turns import Turns, spec_of
from letta_grpc.v1 import events_pb2
from letta_grpc.v1 import run_service_pb2 as pb

_MAX_INT32 = 2**31 - 1
_OWN_NAMES = {
    "starts": "agent_ids",
    "options.min_chunk_chars": "chunk_size",
    "options.max_tokens_per_second": "max_tokens_per_second",
}
_START = re.compile(r"^starts(\[\d+\])\.agent_id$")


def simple(context: FaceContext) -> Sequence[BaseRoute]:
    """Return the face's routes."""

    async def stream(request: Request) -> Response:
        body = await object_in(request, context.options)
        turns = Turns(context.channel, metadata_of(request.scope))
        options = _stream_options(body)
        message = _text_in(body, "message")
        if "agent_ids" in body:
            starts = [pb.RunStart(agent_id=agent_id, run=spec_of(message)) for agent_id in _agent_ids(body)]
            several = pb.StreamRunsRequest(starts=starts, options=options)
            return EventStream(_blocks_of_several(turns, several), _refusal)
        start = pb.StreamRunRequest(agent_id=_text_in(body, "agent_id"), run=spec_of(message), options=options)
        return EventStream(_blocks(turns, start), _refusal)

    return (
        Route("/stream", telling(stream, _refusal), methods=["POST"]),
        WebSocketRoute("/ws/{agent_id}", turn_socket(context)),
        WebSocketRoute("/chat", chat_socket(context)),
    )


def _refusal(failure: Failure) -> Response:
    """Tell a failure in both ways: by its status, and as the frame that readers of streams look for."""
    return Response(_block(frame_of(failure)), failure.http, failure.headers, media_type="text/event-stream")


def _in_own_words(failure: Failure) -> Failure:
    """Return a refusal under the names that fields have here; the server tells them by the contract's."""
    if failure.reason != INVALID_REQUEST or not failure.broken:
        return failure
    return invalid({_OWN_NAMES.get(path, _START.sub(r"agent_ids\1", path)): rule for path, rule in failure.broken.items()})


def _block(frame: Frame) -> bytes:
    return data_of(orjson.dumps(frame))


def _or_keepalive(frames: Sequence[Frame], events: Iterable[events_pb2.RunEvent]) -> bytes:
    if frames:
        return b"".join([_block(frame) for frame in frames])
    return KEEPALIVE if any(event.HasField("heartbeat") for event in events) else b""


async def _blocks(turns: Turns, start: pb.StreamRunRequest) -> AsyncGenerator[bytes, None]:
    is_open = False
    frames = SimpleFrames(is_joined=bool(start.options.min_chunk_chars))
    try:
        async with aclosing(turns.stream(start)) as responses:
            async for response in responses:
                if block := _or_keepalive(list(frames.of(response.events)), response.events):
                    is_open = True
                    yield block
                if frames.is_over:
                    return
    except Failure as failure:
        if not is_open:
            raise _in_own_words(failure) from None
        yield _block(frame_of(failure))


async def _blocks_of_several(turns: Turns, starts: pb.StreamRunsRequest) -> AsyncGenerator[bytes, None]:
    is_joined = bool(starts.options.min_chunk_chars)
    open_frames = {index: SimpleFrames(is_joined=is_joined) for index in range(len(starts.starts))}
    is_open = False
    try:
        async with aclosing(turns.stream_several(starts)) as responses:
            async for response in responses:
                told = [{"agent_id": response.agent_id} | frame for frame in _told(open_frames, response)]
                if block := _or_keepalive(told, response.events):
                    is_open = True
                    yield block
    except Failure as failure:
        if not is_open:
            raise _in_own_words(failure) from None
        for index in open_frames:
            yield _block({"agent_id": starts.starts[index].agent_id} | frame_of(failure))


def _told(open_frames: dict[int, SimpleFrames], response: pb.StreamRunsResponse) -> list[Frame]:
    """Return what a response says; who has said its last frame is open no more."""
    index = response.start_index
    if response.HasField("refusal"):
        del open_frames[index]
        return [error_frame(response.refusal.message, response.refusal.reason)]
    if index not in open_frames:
        return []
    frames = list(open_frames[index].of(response.events))
    if open_frames[index].is_over:
        del open_frames[index]
    return frames


def _stream_options(body: dict[str, Any]) -> pb.StreamOptions:
    return pb.StreamOptions(
        min_chunk_chars=_count_in(body, "chunk_size"), max_tokens_per_second=_count_in(body, "max_tokens_per_second")
    )


def _count_in(body: dict[str, Any], name: str) -> int:
    value = body.get(name)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_INT32:
        raise invalid({name: "must be a whole number, 0 or more"})
    return value


def _text_in(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise invalid({name: "must be a text, not empty"})
    return value


def _agent_ids(body: dict[str, Any]) -> list[str]:
    value = body["agent_ids"]
    if "agent_id" in body:
        raise invalid({"agent_ids": "is given beside agent_id, which excludes it"})
    if not isinstance(value, list) or not value or not all(isinstance(item, str) and item for item in value):
        raise invalid({"agent_ids": "must be a list of agents' ids, not empty"})
    if len(set(value)) < len(value):
        raise invalid({"agent_ids": "names an agent twice: its frames could not be told apart"})
    return value
