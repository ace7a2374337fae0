"""uvicorn's WebSocket protocol, for which neither a refusal nor a client that leaves is an error of ours."""

import logging
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

# Below warnings, uvicorn and websockets log URLs, headers and messages whole: with keys, and with what people say.
_logger = logging.getLogger(__name__)
_logger.setLevel(logging.WARNING)


class DenyingSocket(WebSocketsSansIOProtocol):
    """A connection that may be refused by any HTTP answer, and that may end while something is said to it."""

    def __init__(self, *given: Any, **named: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*given, **named)
        self.app: Any = _until_left(self.app)
        self.logger = self.conn.logger = _logger
        # Taken from the logger before.
        self.conn.debug = False

    async def send(self, message: Any) -> None:  # noqa: ANN401 - uvicorn's types of it are private
        """Send; the last of an answer ends the handshake, as uvicorn has it only for its own 403."""
        await self.writable.wait()
        if self.transport.is_closing():
            # By uvicorn itself, for a message that is too large or a ping without an answer; it would raise RuntimeError.
            raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            # Else it logs an error: "ASGI callable returned without completing handshake."
            self.handshake_complete = True


def _until_left(app: ASGIApp) -> ASGIApp:
    """Return an application that ends when it has nobody to speak to; uvicorn logs that, where a task group raises it."""

    async def ended(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except* ClientDisconnected:
            pass

    return ended
