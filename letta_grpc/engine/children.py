"""Runs of other agents that the tools of a run start.

A child's request id is made from the call that asks for it, so an attempt that runs the tool again finds the run that it had
started. Whom a run waits for is read from the stored runs, so its end reaches them also from another server.
"""

import asyncio
import logging
from asyncio import Future
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Never
from uuid import UUID, uuid5

from letta_grpc.domain.errors import InvalidRequest, RequestIdReused, RunNotFound
from letta_grpc.domain.events import ChildRunStarted
from letta_grpc.domain.ids import AgentId, ConversationId, RunId
from letta_grpc.domain.messages import Role, SpokenInput, TextPart, ToolCall
from letta_grpc.domain.paging import MAX_PAGE_SIZE, PageRequest
from letta_grpc.domain.runs import OPEN_STATES, ConflictPolicy, Run, RunSpec, RunState
from letta_grpc.engine.record import RunRecord
from letta_grpc.engine.starts import StartRequest, admission, start_of
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.journal import Admit, Claim, Start
from letta_grpc.ports.log import EventLog
from letta_grpc.ports.models import Models
from letta_grpc.ports.stores import HistoryStore, RunFilter, RunStore
from letta_grpc.ports.tracing import Tracing

logger = logging.getLogger(__name__)

# How many runs there may be above a run: a longer chain of agents that call agents has lost its way.
MAX_DEPTH = 8
_PAGE_BYTES = 256 * 1024
_OPEN = tuple(OPEN_STATES)
_NOTE = "The next message does not come from a person but from the agent {agent_id}, which reads what you answer."


def _nobody(*_: object) -> Never:
    raise RuntimeError("no supervisor has taken these children on")


class Children:
    """Starts child runs, and knows whom a run waits for. `claim` and `cancel` are the supervisor's, which sets them."""

    def __init__(
        self, *, runs: RunStore, history: HistoryStore, log: EventLog, models: Models, clock: Clock, tracing: Tracing
    ) -> None:
        self.claim: Callable[[Start, Admit], Future[Claim]] = _nobody
        self.cancel: Callable[[RunId], Awaitable[Run]] = _nobody
        self.runs = runs
        self.history = history
        self.log = log
        self.models = models
        self.clock = clock
        self.tracing = tracing

    def of(self, record: RunRecord, call: ToolCall) -> "CallChildren":
        """Return what a tool call starts runs with."""
        return CallChildren(self, record, call)

    async def waited_for(self, run_id: RunId) -> list[RunId]:
        """Return the open runs that a run's tools wait for."""
        where = RunFilter(parent_run_id=run_id, states=_OPEN, background=False)
        found = await self.runs.list(PageRequest(size=MAX_PAGE_SIZE), where)
        return [run.id for run in found.items if run.parent_run_ids[-1] == run_id]

    async def cancel_waited_for(self, run_id: RunId) -> None:
        """Cancel the open runs that a run's tools wait for. If one cannot be cancelled, the others are all the same."""
        try:
            child_ids = await self.waited_for(run_id)
        except Exception:
            logger.exception("the runs that a run waits for could not be found", extra={"run_id": run_id})
            return
        for child_id in child_ids:
            try:
                await self.cancel(child_id)
            except Exception:
                logger.exception("a run that another waits for could not be ended", extra={"run_id": child_id})

    async def until_its_turn(self, run_id: RunId) -> None:
        """Wait while others are at work in a queued run's conversation. Raises InvalidRequest if that could last for ever."""
        while (run := await self.runs.get(run_id)).state is RunState.QUEUED:
            # Before anything else: whoever begins from here on is seen at work, or in the log.
            first = await self._one_of(run.conversation_id, RunState.QUEUED)
            if (holder := await self._at_work(run.conversation_id)) is None:
                waiting = RunFilter(conversation_id=run.conversation_id, has_pending_actions=True)
                if (await self.runs.list(PageRequest(), waiting)).items:
                    raise InvalidRequest("That agent waits for somebody's answer to a tool call, and reads you after that.")
                # The one is over, and the next about to begin.
                if first is None or first.id == run_id:
                    return
                await self.log.wait(first.id, 0)
                continue
            if await self._waits_for_one_of(holder, run.parent_run_ids):
                raise InvalidRequest("That agent waits for you itself.")
            await self.until_over(holder)

    async def until_over(self, run: Run) -> None:
        """Wait for a run's end."""
        # Not as a reader: those are sent away when the server stops, while its runs still have time to end.
        after, is_over = run.last_sequence_number or 0, run.state.is_final
        while not is_over:
            await self.log.wait(run.id, after)
            page = await self.log.read(run.id, after, _PAGE_BYTES)
            after, is_over = page.last, page.ended

    async def _at_work(self, conversation_id: ConversationId) -> Run | None:
        return await self._one_of(conversation_id, RunState.RUNNING)

    async def _one_of(self, conversation_id: ConversationId, state: RunState) -> Run | None:
        """Return the oldest run of a conversation that is in this state."""
        where = RunFilter(conversation_id=conversation_id, states=(state,))
        return next(iter((await self.runs.list(PageRequest(size=1), where)).items), None)

    async def _waits_for_one_of(self, holder: Run, run_ids: Sequence[RunId]) -> bool:
        """Say whether a run at work is one of these, or waits for one of them, directly or through others."""
        holders = [holder]
        seen: set[RunId] = set()
        while holders:
            if (at_work := holders.pop()).id in run_ids:
                return True
            fresh = set(await self.waited_for(at_work.id)) - seen
            seen |= fresh
            found = [await self._at_work((await self.runs.get(run_id)).conversation_id) for run_id in fresh]
            holders += [run for run in found if run is not None]
        return False


@dataclass(frozen=True, slots=True)
class CallChildren:
    """The ChildRuns of one tool call."""

    _children: Children
    _record: RunRecord
    _call: ToolCall

    async def start(self, agent_id: AgentId, text: str, *, key: str = "", waits: bool) -> Run:
        """Have an agent told something."""
        await self._check(agent_id)
        run = await self._started(self._request(agent_id, text, key, waits=waits))
        if run.id not in self._record.progress.child_run_ids:
            await self._record.write(ChildRunStarted(self._call.id, run.id, run.agent_id))
        return run

    async def ended(self, run_id: RunId) -> tuple[Run, str]:
        """Return a run once it has ended, and its last words."""
        children = self._children
        await children.until_its_turn(run_id)
        await children.until_over(await children.runs.get(run_id))
        messages = await children.history.of_run(run_id)
        words = [message.text for message in messages if message.role is Role.ASSISTANT and message.text]
        return await children.runs.get(run_id), words[-1] if words else ""

    async def _check(self, agent_id: AgentId) -> None:
        run = self._record.run
        if agent_id == run.agent_id:
            raise InvalidRequest("An agent cannot call itself.")
        if len(run.parent_run_ids) >= MAX_DEPTH:
            raise InvalidRequest(f"Agents have called each other {MAX_DEPTH} times in a row; no more is allowed.")
        for parent_id in run.parent_run_ids:
            if await self._agent_of(parent_id) == agent_id:
                raise InvalidRequest("That agent has called you, directly or through others, and waits for you.")

    async def _agent_of(self, run_id: RunId) -> AgentId | None:
        try:
            return (await self._children.runs.get(run_id)).agent_id
        except RunNotFound:
            # It was removed together with its agent.
            return None

    def _request(self, agent_id: AgentId, text: str, key: str, *, waits: bool) -> StartRequest:
        run = self._record.run
        note = SpokenInput(role=Role.SYSTEM, content=(TextPart(_NOTE.format(agent_id=run.agent_id)),))
        spec = RunSpec(
            messages=(note, SpokenInput(role=Role.USER, content=(TextPart(text),))),
            conflict_policy=ConflictPolicy.ENQUEUE,
            metadata={"tool_call_id": self._call.id},
            background=not waits,
        )
        if waits:
            spec = replace(spec, run_timeout=self._time_left())
        return StartRequest(
            agent_id=agent_id,
            conversation_id=None,
            request_id=str(uuid5(UUID(run.id.removeprefix("run-")), f"{self._call.id}/{key}")),
            spec=spec,
            parent_run_ids=(*run.parent_run_ids, run.id),
            traceparent=self._children.tracing.headers().get("traceparent"),
        )

    def _time_left(self) -> timedelta:
        return max(self._record.time_left(), timedelta(seconds=1))

    async def _started(self, request: StartRequest) -> Run:
        start = start_of(request, request.spec)
        claimed = self._children.claim(start, admission(start, self._children.models, self._children.clock))
        try:
            return (await asyncio.shield(claimed)).run
        except asyncio.CancelledError:
            # Whoever ends the calling run now has to find this one.
            await asyncio.wait([claimed])
            raise
        except RequestIdReused as error:
            # An earlier attempt has asked for it, with more time left, or while somebody else had the name.
            return await self._children.runs.get(RunId(error.metadata["run_id"]))
