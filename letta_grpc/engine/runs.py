"""Starting, following and ending runs."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

from letta_grpc.domain.ids import AgentId, RunId, StepId
from letta_grpc.domain.messages import Message
from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.domain.runs import Run, Step
from letta_grpc.engine.intake import Intake
from letta_grpc.engine.readers import Readers
from letta_grpc.engine.starts import StartRequest, admission, start_of
from letta_grpc.engine.supervisor import Supervisor
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.log import EventLog, LogPage
from letta_grpc.ports.models import Models
from letta_grpc.ports.stores import HistoryStore, RunFilter, RunStore, StepStore

T = TypeVar("T")

# More at once is no quicker, and this is what a reader that has gone to sleep keeps in memory, several times.
_PAGE_BYTES = 256 * 1024


class Runs:
    """The use cases of runs."""

    def __init__(
        self,
        *,
        supervisor: Supervisor,
        log: EventLog,
        runs: RunStore,
        steps: StepStore,
        history: HistoryStore,
        models: Models,
        intake: Intake,
        readers: Readers,
        clock: Clock,
    ) -> None:
        self._supervisor = supervisor
        self._log = log
        self._runs = runs
        self._steps = steps
        self._history = history
        self._models = models
        self._intake = intake
        self._readers = readers
        self._clock = clock

    async def start(self, request: StartRequest) -> Run:
        """Start a run, or find the one that its request id has started. Raises what `Intake` and `Journal.claim` raise.

        Once its pictures are fetched the run is started even if the caller goes away.
        """
        self._readers.check()
        spec = await self._intake.prepared(request.spec, request.request_id)
        start = start_of(request, spec)
        return await self._supervisor.start(start, admission(start, self._models, self._clock))

    def follow(self, run_id: RunId, after: int = 0, heartbeat_seconds: float | None = 15.0) -> AsyncGenerator[LogPage, None]:
        """Yield what is stored after a number, and what comes, until the run's last event.

        An empty page says that nothing came for `heartbeat_seconds`. Raises what `EventLog.read` and `wait` raise, for a wrong
        number before the first page, and ServerDraining. To be closed when it is left early.
        """
        return self._pages(run_id, after, heartbeat_seconds, None)

    async def attach(self, run_id: RunId, after: int, heartbeat_seconds: float | None) -> AsyncGenerator[LogPage, None]:
        """Read what is stored after a number; return what `follow` yields, of which that is the first.

        So what `EventLog.read` raises is raised before anybody is told that there will be pages.
        """
        return self._pages(run_id, after, heartbeat_seconds, await self._log.read(run_id, after, _PAGE_BYTES))

    async def _pages(
        self, run_id: RunId, after: int, heartbeat_seconds: float | None, page: LogPage | None
    ) -> AsyncGenerator[LogPage, None]:
        with self._readers.reading(run_id):
            while True:
                page = page or await self._log.read(run_id, after, _PAGE_BYTES)
                if page.frames:
                    yield page
                    after = page.last
                if page.ended:
                    return
                # While it waits it holds nothing of what has gone out.
                page = None
                if not await self._more(run_id, after, heartbeat_seconds):
                    yield LogPage(after + 1, after, b"", ended=False)

    async def _more(self, run_id: RunId, after: int, seconds: float | None) -> bool:
        self._readers.check()
        with self._readers.waiting(seconds) as limit:
            try:
                async with limit:
                    await self._log.wait(run_id, after)
            except TimeoutError:
                self._readers.check()
                return False
        return True

    async def until_drained(self, wait: Callable[[], Awaitable[T]]) -> T:
        """Return what is waited for. Raises ServerDraining instead once the server is stopping."""
        with self._readers.waiting(None) as limit:
            try:
                self._readers.check()
                async with limit:
                    return await wait()
            except TimeoutError:
                self._readers.check()
                raise

    async def finished(self, run_id: RunId) -> Run:
        """Return the run once it has ended. Raises RunNotFound, ServerDraining, StoreUnavailable."""
        run = await self._runs.get(run_id)
        after, ended = run.last_sequence_number or 0, run.state.is_final
        with self._readers.reading(run_id):
            while not ended:
                await self._more(run_id, after, None)
                page = await self._log.read(run_id, after, _PAGE_BYTES)
                after, ended = page.last, page.ended
        return await self._runs.get(run_id)

    async def messages_of(self, run_id: RunId) -> tuple[Message, ...]:
        """Return what the run added to the conversation after its input, in order."""
        return tuple(message for message in await self._history.of_run(run_id) if message.step_id)

    async def list_messages(self, run_id: RunId, page: PageRequest) -> Page[Message]:
        """Return a page of what the run brought into the conversation, its input included. Raises RunNotFound."""
        await self._runs.get(run_id)
        messages = await self._history.of_run(run_id)
        ordered = messages[::-1] if page.descending else messages
        end = max(page.after or 0, 0) + page.size
        return Page(ordered[end - page.size : end], end if end < len(ordered) else None)

    async def get(self, run_id: RunId) -> Run:
        """Return a run as it stands. Raises RunNotFound."""
        return await self._runs.get(run_id)

    async def list(self, page: PageRequest, where: RunFilter) -> Page[Run]:
        """Return a page of runs."""
        return await self._runs.list(page, where)

    async def list_steps(self, run_id: RunId | None, page: PageRequest, agent_id: AgentId | None = None) -> Page[Step]:
        """Return a page of the completed steps of a run, of an agent, or of all. Raises RunNotFound."""
        if run_id is None:
            return await self._steps.list(page, agent_id)
        return await self._runs.list_steps(run_id, page)

    async def get_step(self, step_id: StepId) -> Step:
        """Return a completed step. Raises StepNotFound."""
        return await self._steps.get(step_id)

    async def read_events(self, run_id: RunId, after: int, max_bytes: int = _PAGE_BYTES) -> LogPage:
        """Return stored events without waiting. Raises as `EventLog.read`."""
        return await self._log.read(run_id, after, max_bytes)

    async def cancel(self, run_id: RunId) -> Run:
        """Ask a run to end, durably: no tool starts once this returns. Changes nothing on a finished run."""
        return await self._supervisor.cancel(run_id)

    def drain(self) -> None:
        """Refuse new starts and end every following, from now on."""
        self._readers.drain()
