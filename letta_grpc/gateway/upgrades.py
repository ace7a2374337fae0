"""uvicorn's WebSocket protocol, which takes the answer in place of an upgrade for a whole one."""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class DenyingSocket(WebSocketsSansIOProtocol):
    """A connection that may be refused by any HTTP answer, which is no error of ours."""

    async def send(self, message: Any) -> None:  # noqa: ANN401 - uvicorn's types of it are private
        """Send; the last of an answer ends the handshake, as uvicorn has it only for its own 403."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            # Else it logs an error: "ASGI callable returned without completing handshake."
            self.handshake_complete = True
