"""What all participants of a scenario know, and can wait for: news of others, never time."""

import asyncio
from collections import Counter
from collections.abc import Callable

from tests.support.histories import History, is_heartbeat, parsed


class Board:
    """Runs in the order in which they were announced, the greatest number shown of each, and how many events in all."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.runs: list[str] = []
        self.shown: Counter[str] = Counter()
        self.beaten: Counter[str] = Counter()
        self.finished: set[str] = set()
        self.seen = 0
        self.is_over = False
        self.on_news: Callable[[], None] = lambda: None
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    def announce(self, run_id: str) -> None:
        if run_id not in self.runs:
            self.runs.append(run_id)
            self._tell()

    def show(self, run_id: str, bodies: tuple[bytes, ...]) -> None:
        """Tell all what came on a stream."""
        for body in bodies:
            if is_heartbeat(body):
                self.beaten[run_id] += 1
                continue
            event = parsed(body)
            self.seen += 1
            self.shown[run_id] = max(self.shown[run_id], event.sequence_number)
            if event.HasField("run_finished"):
                self.finished.add(run_id)
        self._tell()

    def end(self) -> None:
        """Tell all that no run will be started any more, and that those there are have ended."""
        self.is_over = True
        self._tell()

    async def until(self, come: Callable[[], bool]) -> None:
        """Return once something is so."""
        if not come():
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((come, future))
            await future

    def _tell(self) -> None:
        self.on_news()
        still = []
        for come, future in self._waiting:
            if future.done():
                continue
            if come():
                future.set_result(None)
            else:
                still.append((come, future))
        self._waiting = still
