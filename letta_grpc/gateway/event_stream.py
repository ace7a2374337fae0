"""A face's stream of server-sent events: without ids, so that no reader takes it for one that can be resumed."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from letta_grpc.gateway.answers import raw_headers
from letta_grpc.gateway.bodies import header
from letta_grpc.gateway.compression import Gzip, Plain, StreamEncoder, accepts_gzip
from letta_grpc.gateway.failures import Failure
from letta_grpc.gateway.formats import STREAM_HEADERS
from letta_grpc.gateway.leaving import while_connected

_HEADERS = {"content-type": "text/event-stream; charset=utf-8", **STREAM_HEADERS, "vary": "accept-encoding"}


class EventStream(Response):
    """Sends blocks as they come, and closes their source when the client leaves.

    A Failure before the first block is answered by what `refuse` makes of it; later ones the source tells in its own blocks.
    """

    def __init__(self, blocks: AsyncGenerator[bytes, None], refuse: Callable[[Failure], Response]) -> None:
        super().__init__()
        self._blocks, self._refuse = blocks, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        await while_connected(receive, self._answer(scope, receive, send))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_gzip = accepts_gzip(header(scope, b"accept-encoding"))
        encoder: StreamEncoder = Gzip() if is_gzip else Plain()
        async with aclosing(self._blocks) as blocks:
            try:
                first = await anext(blocks)
            except Failure as failure:
                await self._refuse(failure)(scope, receive, send)
                return
            headers = raw_headers(_HEADERS | ({"content-encoding": "gzip"} if is_gzip else {}))
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": encoder.encode(first), "more_body": True})
            async for block in blocks:
                await send({"type": "http.response.body", "body": encoder.encode(block), "more_body": True})
        await send({"type": "http.response.body", "body": encoder.end(), "more_body": False})
