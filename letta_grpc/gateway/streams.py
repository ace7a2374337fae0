"""Server streaming over HTTP.

Until the first event an end is a status of its own; afterwards it is the stream's last event. What a client does not read is
not asked of the server: each write waits for the connection, and while it waits nothing is read from the call.
"""

import asyncio

from starlette.types import Scope, Send

from letta_grpc.gateway.answers import raw_headers, send_nothing
from letta_grpc.gateway.bodies import header
from letta_grpc.gateway.compression import Gzip, Plain, StreamEncoder, accepts_gzip
from letta_grpc.gateway.failures import Failure
from letta_grpc.gateway.formats import STREAM_HEADERS, StreamFormat
from letta_grpc.gateway.frames import Frames
from letta_grpc.gateway.metadata import RUN_ID_KEY
from letta_grpc.gateway.upstream import StreamCall

_HEADERS = {**STREAM_HEADERS, "vary": "accept, accept-encoding"}


class StreamAnswer:
    """The answer to one request with a stream."""

    def __init__(self, scope: Scope, send: Send, form: StreamFormat) -> None:
        self._send = send
        self._form = form
        self._is_gzip = accepts_gzip(header(scope, b"accept-encoding"))
        self._encoder: StreamEncoder = Gzip() if self._is_gzip else Plain()

    async def send(self, call: StreamCall, frames: Frames, opening_seconds: float) -> None:
        """Send a call's responses to their end. Raises Failure as long as nothing was sent."""
        is_open = False
        async with asyncio.TaskGroup() as group:
            # A task, since waiting for the first response must be given up without giving up the call.
            first = group.create_task(_caught(call), name="first response")
            await asyncio.wait((first,), timeout=opening_seconds)
            # Accepted and silent: the headers go out now, or a reader of a quiet run would not know that it is connected.
            # Only who names its run ahead is known to have accepted the call.
            run_id = None if first.done() else await call.run_id()
            if run_id and not first.done():
                await self._open(run_id)
                is_open = True
            response = await first
        if not is_open:
            if isinstance(response, Failure):
                raise response
            run_id = await call.run_id()
            if response is None:
                await send_nothing(self._send, {"cache-control": "no-store"} | _named(run_id))
                return
            await self._open(run_id)
        await self._pump(call, frames, response)

    async def _open(self, run_id: str | None) -> None:
        headers = _HEADERS | {"content-type": self._form.content_type} | _named(run_id)
        if self._is_gzip:
            headers["content-encoding"] = "gzip"
        await self._send({"type": "http.response.start", "status": 200, "headers": raw_headers(headers)})
        if opening := self._form.opening():
            await self._write(opening)

    async def _pump(self, call: StreamCall, frames: Frames, response: bytes | Failure | None) -> None:
        while isinstance(response, bytes):
            # All that came in one response goes out in one write.
            await self._write(self._form.frames(frames.of(response)))
            response = await _caught(call)
        if isinstance(response, Failure):
            await self._write(self._form.failure(response))
        await self._send({"type": "http.response.body", "body": self._encoder.end(), "more_body": False})

    async def _write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": self._encoder.encode(data), "more_body": True})


async def _caught(call: StreamCall) -> bytes | Failure | None:
    try:
        return await call.read()
    except Failure as failure:
        return failure


def _named(run_id: str | None) -> dict[str, str]:
    return {RUN_ID_KEY: run_id} if run_id else {}
