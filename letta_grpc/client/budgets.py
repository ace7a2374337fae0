"""What the runs of a turn may take together: an answer's run gets what those before it have left."""

import time
from collections.abc import Callable
from datetime import timedelta

from letta_grpc.client.errors import TurnExhausted
from letta_grpc.client.requests import RunArguments
from letta_grpc.v1 import runs_pb2

# The server's, for one run. Its time limit, 10 minutes, is left to each run: a person who decides may take longer.
_DEFAULT_MAX_STEPS = 50
# The server takes no less.
_LEAST_SECONDS = 1.0


class Budget:
    """Counts the steps of a turn's runs, and the time since the first began: both are bounded as those of one run.

    max_steps    of all runs, 50 unless given
    run_timeout  from the first run's start, the time of functions and decisions included; without it each run has the server's
    """

    def __init__(self, arguments: RunArguments, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_steps = arguments.get("max_steps") or _DEFAULT_MAX_STEPS
        timeout = arguments.get("run_timeout")
        self._seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        self._clock = clock
        self._began: float | None = None
        # By run: one that waits may be asked about more than once.
        self._steps: dict[str, int] = {}

    def spend(self, run: runs_pb2.Run) -> None:
        """Count a run that waits. Raises TurnExhausted when nothing is left for its answer."""
        if self._began is None:
            took = run.end_time.ToDatetime() - run.start_time.ToDatetime()
            self._began = self._clock() - took.total_seconds()
        self._steps[run.id] = run.usage.step_count
        self.left(run)

    def left(self, run: runs_pb2.Run) -> RunArguments:
        """Return the limits of the run that answers this one. Raises TurnExhausted."""
        steps = self._max_steps - sum(self._steps.values())
        if steps <= 0:
            raise _exhausted(run, "MAX_STEPS", f"its max_steps, {self._max_steps}")
        if self._seconds is None or self._began is None:
            return {"max_steps": steps}
        seconds = self._began + self._seconds - self._clock()
        if seconds <= 0:
            raise _exhausted(run, "RUN_TIMEOUT", f"its run_timeout, {self._seconds:g} seconds")
        return {"max_steps": steps, "run_timeout": max(seconds, _LEAST_SECONDS)}


def _exhausted(run: runs_pb2.Run, reason: str, taken: str) -> TurnExhausted:
    calls = ",".join(action.tool_call_id for action in run.pending_actions)
    advice = "`client.answer` goes on with it, `client.runs.cancel` gives its calls up"
    message = f"the turn has taken {taken}, and run {run.id} waits for answers: {advice}"
    return TurnExhausted(message, reason=reason, metadata={"run_id": run.id, "tool_call_ids": calls})
