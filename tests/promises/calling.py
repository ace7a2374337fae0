"""Calls as participants make them: raw bytes in, and a cut told from an answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from letta_grpc.v1 import run_service_pb2 as pb
from tests.promises.board import Board
from tests.support.histories import Stream, event_bodies
from tests.support.servers import MortalServer
from tests.support.wires import info_of

A = TypeVar("A")
# Decides before each response whether the reader stays.
Stay = Callable[[Stream], Awaitable[bool]]
_RUN_ID = "letta-run-id"
# The second is grpc's own for a call that came while its server stopped, and that nobody has looked at.
_CUTS = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


class CutError(Exception):
    """The server died while it was called."""


class RefusedError(Exception):
    """The server answered with an error."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self.code = error.code()
        _, self.reason, self.metadata = info_of(error)
        super().__init__(f"{self.code.name} {self.reason} {self.metadata}")


async def ask(
    server: MortalServer,
    method: str,
    request: Message,
    answer: Callable[[bytes], A],
    on_run: Callable[[str], None] = lambda _run_id: None,
) -> A:
    """Call until there is an answer, in whichever life. Raises RefusedError. A start's run is told as soon as it is known."""
    while True:
        channel = await server.channel()
        try:
            return answer(await _asked(channel, method, request, on_run))
        except CutError:
            continue


async def _asked(channel: grpc.aio.Channel, method: str, request: Message, on_run: Callable[[str], None]) -> bytes:
    try:
        ask_raw: Any = channel.unary_unary(f"/letta_grpc.v1.{method}")
        call = ask_raw(request.SerializeToString())
        if run_id := await _announced(call):
            on_run(run_id)
        answer: bytes = await call
    except grpc.aio.AioRpcError as error:
        if error.code() in _CUTS:
            raise CutError from error
        raise RefusedError(error) from error
    except (asyncio.CancelledError, grpc.aio.UsageError) as error:
        _raise_if_mine(error)
        raise CutError from error
    return answer


async def _announced(call: Any) -> str:  # noqa: ANN401 - a call of either channel
    return next((value for key, value in await call.initial_metadata() if key == _RUN_ID), "")


def _raise_if_mine(error: BaseException) -> None:
    """Let a cancellation pass that means the task: a call in process is cut by one that does not."""
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task and task.cancelling():
        raise error


async def read(
    server: MortalServer, board: Board, stream: Stream, request: pb.StreamRunRequest | pb.AttachRunRequest, stay: Stay
) -> RefusedError | None:
    """Open a stream, once, and read it to its end, or until the reader leaves; return what it was refused for."""
    channel = await server.channel()
    stream.life = server.life
    stream.options.CopyFrom(request.options)
    method = "StreamRun" if isinstance(request, pb.StreamRunRequest) else "AttachRun"
    call: Any = None
    try:
        open_raw: Any = channel.unary_stream(f"/letta_grpc.v1.RunService/{method}")
        call = open_raw(request.SerializeToString())
        await _read(call, board, stream, stay)
    except grpc.aio.AioRpcError as error:
        stream.code = error.code()
        if stream.code not in _CUTS:
            refused = RefusedError(error)
            stream.reason = refused.reason
            return refused
    except (asyncio.CancelledError, grpc.aio.UsageError) as error:
        _raise_if_mine(error)
        stream.code = grpc.StatusCode.CANCELLED
    finally:
        if call is not None:
            call.cancel()
        if stream.run_id:
            board.history.streams.append(stream)
    return None


async def _read(call: Any, board: Board, stream: Stream, stay: Stay) -> None:  # noqa: ANN401 - a call of either channel
    if not stream.run_id:
        stream.run_id = await _announced(call)
        if stream.run_id:
            board.announce(stream.run_id)
    while await stay(stream):
        if (response := await call.read()) is grpc.aio.EOF:
            stream.code = await call.code()
            return
        assert pb.StreamRunResponse.FromString(response).run_id == stream.run_id
        bodies = event_bodies(response)
        stream.responses.append(bodies)
        board.show(stream.run_id, bodies)
