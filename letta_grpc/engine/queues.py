"""Runs that wait for their turn in a conversation: each begins when the one before it is over."""

import asyncio
import logging
from collections.abc import Coroutine

from letta_grpc.domain.ids import ConversationId, RunId
from letta_grpc.domain.runs import Run
from letta_grpc.engine.readers import Readers
from letta_grpc.ports.journal import Begin, Leases

logger = logging.getLogger(__name__)


class Queues:
    """The conversations in which runs wait, and those in which one is at work, as far as this server knows.

    `begin` is given the claim of a run whose turn has come. While the server drains, none begins.
    """

    def __init__(self, *, group: asyncio.TaskGroup, leases: Leases, readers: Readers, begin: Begin) -> None:
        self._group = group
        self._leases = leases
        self._readers = readers
        self._begin = begin
        self._at_work: dict[ConversationId, RunId] = {}
        self._waiting: set[ConversationId] = set()

    def add(self, conversation_id: ConversationId) -> None:
        """Note that runs wait in a conversation."""
        self._waiting.add(conversation_id)

    def begun(self, run: Run) -> None:
        """Note that a run is at work."""
        self._at_work[run.conversation_id] = run.id

    def ended(self, run: Run, *, waits_for_answers: bool) -> None:
        """Note that a run has ended, and start the next one in a task of its own."""
        # The conversation may have its next run already: who saw this one's end has started it before its task was over.
        if self._at_work.get(run.conversation_id) == run.id:
            del self._at_work[run.conversation_id]
        if run.conversation_id in self._waiting:
            self._run(self._work_off(run.conversation_id, waits_for_answers=waits_for_answers), run.conversation_id)

    def go_on(self, conversation_id: ConversationId) -> None:
        """Start the next run, if one waits and none is at work, in a task of its own."""
        if conversation_id in self._waiting:
            self._run(self._start_next(conversation_id), conversation_id)

    async def start_next(self, conversation_id: ConversationId) -> None:
        """Start the next run, if one waits and none is at work."""
        if conversation_id in self._waiting:
            await self._start_next(conversation_id)

    def close(self) -> None:
        """Start nothing more: what waits is left to the next server."""
        self._waiting.clear()

    def _run(self, work: Coroutine[object, object, object], conversation_id: ConversationId) -> None:
        self._group.create_task(work, name=f"next in {conversation_id}")

    async def _work_off(self, conversation_id: ConversationId, *, waits_for_answers: bool) -> None:
        # While anything waits, no start is let past it: so when there is no next run, nothing waits. But for answers all wait.
        if not await self._start_next(conversation_id) and not waits_for_answers:
            self._waiting.discard(conversation_id)

    async def _start_next(self, conversation_id: ConversationId) -> bool:
        """Start the next run if none is at work; say whether one is at work, or may be."""
        if conversation_id in self._at_work or self._readers.is_draining:
            return True
        try:
            claim = await self._leases.start_next(conversation_id)
        except Exception:
            logger.exception("the next run could not be started", extra={"conversation_id": conversation_id})
            return True
        if claim:
            self._begin(claim)
        # Or somebody's start was first.
        return claim is not None or conversation_id in self._at_work
