"""Long changes: each a row of steps, and each step a transaction of its own, so that what others write comes between them."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from letta_grpc.adapters.sql.database import Step
from letta_grpc.adapters.sql.journal.group import Group
from letta_grpc.adapters.sql.journal.jobs import call
from letta_grpc.adapters.sql.journal.writer import Writer
from letta_grpc.domain.errors import StoreUnavailable

# When a change goes on that the store has failed amid it.
AGAIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Following:
    """The step that comes next, who waits for the last one, and what is taken instead of a step that fails."""

    step: Step
    done: "asyncio.Future[None]"
    otherwise: Step | None = None


class LongChanges:
    """Takes the steps of all long changes, one at a time: everyone's events wait for the step in their transaction.

    Only the first step of a change is taken at once, since it tells whether there is anything to change.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._following: deque[_Following] = deque()
        self._goes_on = False
        self._closed = False

    def begin(self, first: Callable[[Group], Step | None], *, otherwise: Step | None = None) -> asyncio.Future[None]:
        """Begin a change; return what completes with its last step, or fails with the one that fails.

        A step that the store fails, save the first, is taken again later, all the same: what is begun is to be ended, and
        nobody could ask for it again where the first one hides what is changed. Where there is `otherwise`, to undo what was
        done, that is taken instead of any step that fails, the first one too: the store may fail after it has committed.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def settle(taken: asyncio.Future[Step | None]) -> None:
            if (error := taken.exception()) is None:
                self._follow(taken.result(), done, otherwise)
                return
            _fail(done, error)
            if otherwise:
                self.go_on_with(otherwise)

        call(self._writer, first).add_done_callback(settle)
        # The caller may leave; the steps may not end half-way.
        return asyncio.shield(done)

    def go_on_with(self, step: Step) -> None:
        """Go on with a change that was begun before, if only by another server."""
        self._follow(step, asyncio.get_running_loop().create_future())

    def close(self) -> None:
        """Take no step again that fails from now on."""
        self._closed = True

    def _follow(self, step: Step | None, done: asyncio.Future[None], otherwise: Step | None = None) -> None:
        if step is None:
            done.set_result(None)
        else:
            self._following.append(_Following(step, done, otherwise))
        self._go_on()

    def _go_on(self) -> None:
        if self._goes_on or not self._following:
            return
        self._goes_on = True
        following = self._following.popleft()
        taken = call(self._writer, lambda group: following.step(group.core))
        taken.add_done_callback(partial(self._gone_on, following))

    def _gone_on(self, following: _Following, taken: asyncio.Future[Step | None]) -> None:
        self._goes_on = False
        if (error := taken.exception()) is None:
            self._follow(taken.result(), following.done, following.otherwise)
            return
        _fail(following.done, error)
        if following.otherwise:
            self.go_on_with(following.otherwise)
        elif isinstance(error, StoreUnavailable) and not self._closed:
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self.go_on_with, following.step)
        self._go_on()


def _fail(done: asyncio.Future[None], error: BaseException) -> None:
    done.set_exception(error)
    # Looked at here: asyncio would otherwise complain where nobody waits.
    done.exception()
