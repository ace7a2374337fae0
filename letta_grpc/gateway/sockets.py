"""RPCs whose client streams, as WebSockets: a text message is one request or one frame of a response, as JSON.

An empty text message ends the client's side, while answers still come. The server closes with 1000 at a good end; a failure is
a last message `{"error": …}` and the code 4000 + its HTTP status. Variables of the path are set in every request. A browser
cannot send headers here: it names its key as a subprotocol, `new WebSocket(url, ["letta-grpc", "bearer." + base64url(key)])`.
"""

import asyncio
import base64
import binascii
from collections.abc import Mapping

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from starlette.types import Receive, Scope, Send

from letta_grpc.gateway.admission import let_in_anywhere
from letta_grpc.gateway.aside import aside
from letta_grpc.gateway.bodies import parsed
from letta_grpc.gateway.descriptors import Rpc
from letta_grpc.gateway.failures import Failure, refused
from letta_grpc.gateway.frames import Frames
from letta_grpc.gateway.metadata import Metadata, metadata_of, printable
from letta_grpc.gateway.options import GatewayOptions
from letta_grpc.gateway.races import first_of
from letta_grpc.gateway.reading import fill, nested
from letta_grpc.gateway.upstream import BidiCall, CallOverError

SUBPROTOCOL = "letta-grpc"
_KEY_PREFIX = "bearer."
_NORMAL, _PRIVATE = 1000, 4000

Ends = tuple[Scope, Receive, Send]


async def converse(ends: Ends, channel: grpc.aio.Channel, rpc: Rpc, reader: "RequestReader") -> None:
    """Be one call over a WebSocket. Raises Failure as long as the socket is not accepted."""
    scope, receive, send = ends
    metadata = socket_metadata(scope)
    # An open socket holds a descriptor for as long as its client says nothing.
    await let_in_anywhere(channel, metadata)
    await accept(ends)
    call = BidiCall(channel, rpc, metadata)
    try:
        # In this order: where both have ended, telling has closed the socket already.
        complaint = await first_of(_tell(send, call, Frames(rpc)), _listen(receive, call, reader))
        if complaint is not None:
            await _close(send, complaint)
    finally:
        call.close()


async def accept(ends: Ends) -> None:
    """Open a socket."""
    scope, receive, send = ends
    await receive()
    chosen = SUBPROTOCOL if SUBPROTOCOL in scope["subprotocols"] else None
    await send({"type": "websocket.accept", "subprotocol": chosen, "headers": []})


class RequestReader:
    """Makes the requests of one socket."""

    def __init__(self, rpc: Rpc, variables: Mapping[str, str], pool: DescriptorPool, options: GatewayOptions) -> None:
        self._rpc, self._variables, self._pool, self._options = rpc, variables, pool, options

    def request_of(self, text: str) -> bytes:
        """Return the request that a message is. Raises Failure."""
        request, value = self._rpc.request(), parsed(text, self._options)
        if value is None:
            raise refused("The message is null: send an object.")
        fill(request, value, self._pool)
        for path, value in self._variables.items():
            fill(request, nested(path, value), self._pool)
        return request.SerializeToString()


async def _listen(receive: Receive, call: BidiCall, reader: RequestReader) -> Failure | None:
    """Pass requests on until the client leaves: then None; return what is wrong with one."""
    has_ended = False
    try:
        while (message := await receive())["type"] != "websocket.disconnect":
            text = message.get("text")
            if text is None:
                return refused("A message must be text.")
            if not text:
                await call.done_writing()
                has_ended = True
            elif has_ended:
                return refused("No message can come behind the empty one, which ends this side.")
            else:
                await call.write(await aside(len(text), reader.request_of, text))
    except Failure as failure:
        return failure
    except CallOverError:
        # Who reads from it says how it ended, and closes the socket.
        await asyncio.Event().wait()
    return None


async def _tell(send: Send, call: BidiCall, frames: Frames) -> None:
    try:
        while (response := await call.read()) is not None:
            for frame in frames.of(response):
                await send({"type": "websocket.send", "text": frame.json.decode()})
    except Failure as failure:
        await _close(send, failure)
    else:
        await send({"type": "websocket.close", "code": _NORMAL, "reason": ""})


async def _close(send: Send, failure: Failure) -> None:
    await send({"type": "websocket.send", "text": failure.as_json().decode()})
    await send({"type": "websocket.close", "code": _PRIVATE + failure.http, "reason": failure.code.name})


def socket_metadata(scope: Scope) -> Metadata:
    """Return what a socket's calls say beside their requests; a page names its key as a subprotocol. Raises Failure."""
    metadata = metadata_of(scope)
    offered = [name for name in scope["subprotocols"] if name.startswith(_KEY_PREFIX)]
    if not offered:
        return metadata
    try:
        code = offered[0].removeprefix(_KEY_PREFIX)
        key = base64.urlsafe_b64decode(code + "=" * (-len(code) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        raise refused("The subprotocol `bearer.…` must hold a key in base64url.") from None
    kept = ((name, value) for name, value in metadata if name != "authorization")
    return (*kept, ("authorization", f"Bearer {printable('sec-websocket-protocol', key)}"))
