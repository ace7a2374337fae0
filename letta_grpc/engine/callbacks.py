"""Telling callers that their runs have ended.

Whom to tell is stored with the run, and that it was told behind it: a caller is told at least once, whatever server lives,
and may be told twice. No run waits for it.
"""

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from letta_grpc.domain.callbacks import LONGEST_PAUSE
from letta_grpc.domain.errors import LettaError
from letta_grpc.domain.runs import Run, RunState
from letta_grpc.domain.signing import signed_headers
from letta_grpc.ports.callbacks import CallbackSender, CallbackStore, DueCallback
from letta_grpc.ports.clock import Clock

logger = logging.getLogger(__name__)

AT_ONCE = 16
# Longer than any attempt takes: what a server that died has taken is due again then.
_HELD = timedelta(minutes=1)
# What the server's own faces keep with a run is no matter of its caller's.
_PRIVATE = "letta-grpc."


class Callbacks:
    """Tells callers, many at once, each again until it is taken or was tried often enough."""

    def __init__(
        self, *, store: CallbackStore, sender: CallbackSender, clock: Clock, signing_keys: Sequence[bytes] = ()
    ) -> None:
        self._store = store
        self._sender = sender
        self._clock = clock
        self._signing_keys = signing_keys
        self._woken = asyncio.Event()
        self._busy = 0
        self._alarm: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Look for callers to be told."""
        self._woken.set()

    async def work(self) -> None:
        """Tell callers whenever it is woken, or one is due, for ever."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._woken.wait()
                self._woken.clear()
                await self._tell_due(group)

    async def _tell_due(self, group: asyncio.TaskGroup) -> None:
        if self._busy == AT_ONCE:
            return
        now = self._clock.now()
        try:
            due = await self._store.take(now, now + _HELD, AT_ONCE - self._busy)
            next_time = await self._store.next_time()
        except Exception:
            # Whatever it is: nobody would be told any more, and the supervisor's group would end with all of its runs.
            logger.exception("callbacks could not be looked for, and are looked for again")
            return
        for each in due:
            self._busy += 1
            group.create_task(self._tell(each), name=f"callback of {each.run.id}")
        if self._alarm:
            self._alarm.cancel()
        self._alarm = group.create_task(self._wake_at(next_time), name="next callback") if next_time else None

    async def _wake_at(self, time: datetime) -> None:
        # The clock may be put back.
        await self._clock.sleep(min(time - self._clock.now(), LONGEST_PAUSE).total_seconds())
        self.wake()

    async def _tell(self, due: DueCallback) -> None:
        run, callback = due.run, due.callback
        try:
            body = body_of(run)
            headers = signed_headers(self._signing_keys, run.id, self._clock.now(), body)
            if due.traceparent:
                # The run's own span may be long over, and of another server: its trace is not.
                headers["traceparent"] = due.traceparent
            outcome = await self._sender.post(callback.url, body, headers)
            now = self._clock.now()
            told = replace(
                callback,
                attempts=callback.attempts + 1,
                send_time=now,
                status_code=outcome.status_code,
                error=outcome.error,
            )
            await self._store.put(run.id, told, now + told.pause if told.pause else None)
        except LettaError:
            logger.warning("a callback is sent again: its outcome is not stored", extra={"run_id": run.id}, exc_info=True)
        except Exception:
            logger.exception("a callback could not be sent", extra={"run_id": run.id})
        finally:
            self._busy -= 1
            # There may be more than could be told at once.
            self.wake()


def body_of(run: Run) -> str:
    """Return what a receiver is told of a run. One that waits for answers has done its part: its status is `completed`."""
    told = {
        "run_id": run.id,
        "agent_id": run.agent_id,
        "conversation_id": run.conversation_id,
        "status": (RunState.COMPLETED if run.state is RunState.INTERRUPTED else run.state).value,
        "state": run.state.value,
        "stop_reason": run.stop_reason.value if run.stop_reason else None,
        "completed_at": run.end_time.isoformat() if run.end_time else None,
        "error": {"reason": run.error.reason, "message": run.error.message} if run.error else None,
        "metadata": {name: value for name, value in run.metadata.items() if not name.startswith(_PRIVATE)},
    }
    return json.dumps(told)
