"""Long changes: each a row of steps, and each step a transaction of its own, so that what others write comes between them."""

import asyncio
from collections import deque

from letta_grpc.adapters.sql.database import Step
from letta_grpc.adapters.sql.sqlite.group import Group
from letta_grpc.adapters.sql.sqlite.jobs import call
from letta_grpc.adapters.sql.sqlite.writer import Writer
from letta_grpc.domain.errors import StoreUnavailable

# When a change goes on that the store has failed amid it.
AGAIN_SECONDS = 10.0


class LongChanges:
    """Takes the steps of all long changes, one at a time: everyone's events wait for the step in their transaction.

    Only the first step of a change is taken at once, since it tells whether there is anything to change.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._following: deque[tuple[Step, asyncio.Future[None]]] = deque()
        self._goes_on = False
        self._closed = False

    def begin(self, step: Step) -> asyncio.Future[None]:
        """Begin a change; return what completes with its last step, or fails with the one that fails.

        A step that the store fails, save the first, is taken again later, all the same: what is begun is to be ended, and
        nobody could ask for it again where the first one hides what is changed.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._take(step, done, is_first=True)
        return done

    def go_on_with(self, step: Step) -> None:
        """Go on with a change that was begun before, if only by another server."""
        self._following.append((step, asyncio.get_running_loop().create_future()))
        self._go_on()

    def close(self) -> None:
        """Take no step again that fails from now on."""
        self._closed = True

    def _take(self, step: Step, done: asyncio.Future[None], *, is_first: bool) -> asyncio.Future[Step | None]:
        def run(group: Group) -> Step | None:
            return step(group.core)

        def settle(taken: asyncio.Future[Step | None]) -> None:
            if (error := taken.exception()) is not None:
                done.set_exception(error)
                # Looked at here: asyncio would otherwise complain where the caller has left.
                done.exception()
                if not is_first and isinstance(error, StoreUnavailable) and not self._closed:
                    asyncio.get_running_loop().call_later(AGAIN_SECONDS, self.go_on_with, step)
            elif (following := taken.result()) is not None:
                self._following.append((following, done))
                self._go_on()
            else:
                done.set_result(None)

        taken = call(self._writer, run)
        taken.add_done_callback(settle)
        return taken

    def _go_on(self) -> None:
        if not self._goes_on and self._following:
            self._goes_on = True
            self._take(*self._following.popleft(), is_first=False).add_done_callback(self._gone_on)

    def _gone_on(self, _: object) -> None:
        self._goes_on = False
        self._go_on()
