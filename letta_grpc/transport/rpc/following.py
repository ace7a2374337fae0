"""Following a run as a reader wants to see it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from letta_grpc.domain.ids import RunId
from letta_grpc.engine.runs import Runs
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.log import LogPage
from letta_grpc.transport.convert.requests import View
from letta_grpc.transport.methods import Response
from letta_grpc.transport.views import follow_seconds, plain, shaped


class Follower:
    """Makes the responses of runs from their logs."""

    def __init__(self, runs: Runs, clock: Clock) -> None:
        self._runs = runs
        self._clock = clock

    def responses(self, run_id: RunId, after: int, view: View, head: bytes) -> AsyncGenerator[Response, None]:
        """Yield the run's stored bytes, framed, each time behind `head`; nothing is encoded again."""
        return self._framed(self._runs.follow(run_id, after, follow_seconds(view)), view, head)

    async def attached(self, run_id: RunId, after: int, view: View, head: bytes) -> AsyncGenerator[Response, None]:
        """Return the same, once it is certain that there is something to yield. Raises what `EventLog.read` raises."""
        return self._framed(await self._runs.attach(run_id, after, follow_seconds(view)), view, head)

    async def _framed(
        self, following: AsyncGenerator[LogPage, None], view: View, head: bytes
    ) -> AsyncGenerator[Response, None]:
        async with aclosing(following) as pages:
            if view.is_plain:
                # By far the most common view, on the path of every token.
                async for page in pages:
                    body, events = plain(page, self._clock)
                    yield Response(head + body, events)
                return
            async with aclosing(shaped(pages, view, self._clock)) as responses:
                # A view that slows down waits where the log does not, for hours behind a run that has long ended.
                while (response := await self._runs.until_drained(lambda: anext(responses, None))) is not None:
                    yield Response(head + response.body, response.events)
