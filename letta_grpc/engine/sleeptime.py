"""Agents that work on shared memory in the background, each time after a number of turns of another one.

Nothing is kept of what is due: it is read from the stored turns. After each turn, and at start, whatever should have been
started is started, under a request id made from the turn that it was due after; what has been started already is found again,
and from there on turns are due. So nothing is lost when a server dies in between or turns end side by side, and nothing is
done twice.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from itertools import takewhile
from uuid import UUID, uuid5

from letta_grpc.domain.agents import Agent, Sleeptime
from letta_grpc.domain.errors import LettaError
from letta_grpc.domain.ids import AgentId
from letta_grpc.domain.messages import Message, Role, SpokenInput, TextPart
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import TURN_KINDS, ConflictPolicy, Run, RunSpec, RunState
from letta_grpc.engine.pages import items_of
from letta_grpc.engine.starts import StartRequest, admission, start_of
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.journal import Admit, Start
from letta_grpc.ports.models import Models
from letta_grpc.ports.stores import AgentStore, HistoryStore, RunFilter, RunStore

logger = logging.getLogger(__name__)

# The name in the metadata of a background run under which the agent stands whose memory it works on.
SLEEPTIME_OF = "sleeptime_of"
_MAX_CHARACTERS = 100_000
# How far back, in groups and in turns at most, the turn is looked for after which background work was started last.
_GROUPS, _TURNS = 8, 200
# Of how many runs before a turn it is looked up at most what was said in them.
_BROKEN_OFF = 50
# Turns that end at the same time do so within this. For a helper that has never worked, older turns are from before it was
# there.
_SIDE_BY_SIDE = timedelta(minutes=1)
_PROMPT = """\
You work in the background, while nobody waits. You share memory blocks with the agent {name}, and what it has before its \
eyes in its next conversation is what you leave in them. Below is what was said since you were called last. Write into the \
shared blocks what will matter later, correct what has become wrong, and take out what is no longer of use; change nothing \
where nothing needs to be changed. Nobody reads what you answer.

{transcript}"""

StartRun = Callable[[Start, Admit], Awaitable[Run]]


class SleeptimeWork:
    """Starts the background runs that are due."""

    def __init__(self, *, agents: AgentStore, runs: RunStore, history: HistoryStore, models: Models, clock: Clock) -> None:
        self._agents = agents
        self._runs = runs
        self._history = history
        self._models = models
        self._clock = clock

    async def start_all(self, start: StartRun) -> None:
        """Start what is due for any agent. Errors are logged."""
        try:
            async for agent in items_of(self._agents.list):
                if agent.sleeptime:
                    await self.start_due(agent.id, start)
        except Exception:
            # Whatever it is: the supervisor's group would end with all of its runs.
            logger.exception("background work could not be looked for")

    async def start_due(self, agent_id: AgentId, start: StartRun) -> None:
        """Start what is due for an agent. Errors are logged: no turn fails for them, and the next one tries again."""
        try:
            agent = await self._agents.get(agent_id)
            if agent.sleeptime:
                await self._start_due(agent, agent.sleeptime, start)
        except Exception:
            logger.exception("background work could not be started", extra={"agent_id": agent_id})

    async def _start_due(self, agent: Agent, sleeptime: Sleeptime, start: StartRun) -> None:
        every = sleeptime.every_turns
        count, newest = await self._runs.last_turns(agent.id, max(2 * every - 1, min(_GROUPS * every, _TURNS)))
        for helper_id in sleeptime.agent_ids:
            for group in await self._due(helper_id, count, newest, every):
                request = StartRequest(
                    agent_id=helper_id,
                    conversation_id=None,
                    request_id=_request_id(group[-1], helper_id),
                    spec=await self._spec(agent, group),
                )
                await self._start(request, start)

    async def _due(self, helper_id: AgentId, count: int, newest: Sequence[Run], every: int) -> list[Sequence[Run]]:
        """Return the groups of turns that a helper is to be told of now, in their order. `newest`: turns, last first."""
        complete = newest[count % every :]
        groups = _groups(complete[: len(complete) // every * every], every)
        if not groups or await self._runs.find_started(_request_id(groups[-1][-1], helper_id)):
            return []
        # Behind what was started last: conversations may have been removed since, and others than these end the groups now.
        for number, turn in enumerate(newest[:_TURNS]):
            if await self._runs.find_started(_request_id(turn, helper_id)):
                return _groups(newest[:number], every)
        now = self._clock.now()
        return [group for group in groups if group is groups[-1] or now - (group[-1].end_time or now) < _SIDE_BY_SIDE]

    async def _start(self, request: StartRequest, start_run: StartRun) -> None:
        start = start_of(request, request.spec)
        try:
            await start_run(start, admission(start, self._models, self._clock))
        except LettaError as error:
            # The others have nothing to do with it.
            logger.warning("background work was refused", extra={"agent_id": request.agent_id, "reason": error.reason})

    async def _spec(self, agent: Agent, turns: Sequence[Run]) -> RunSpec:
        messages = [message for turn in turns for message in await self._said_in(turn)]
        text = _PROMPT.format(name=agent.name, transcript=transcript(messages))
        return RunSpec(
            messages=(SpokenInput(role=Role.USER, content=(TextPart(text),)),),
            conflict_policy=ConflictPolicy.ENQUEUE,
            metadata={SLEEPTIME_OF: agent.id},
            background=True,
        )

    async def _said_in(self, turn: Run) -> Sequence[Message]:
        """Return the messages of a turn: a run that answers calls goes on with what the run before it was asked.

        Those of turns right before it that came to no end of their own go first: they stand in the conversation, too.
        """
        answers = [turn]
        while before := answers[0].resumes_run_id:
            answers.insert(0, await self._runs.get(before))
        told = dict.fromkeys(run.id for run in (*await self._broken_off_before(turn), *answers))
        return [message for run_id in told for message in await self._history.of_run(run_id)]

    async def _broken_off_before(self, turn: Run) -> Sequence[Run]:
        here = RunFilter(conversation_id=turn.conversation_id)
        before = await self._runs.list(PageRequest(size=_BROKEN_OFF, after_id=turn.id, descending=True), here)
        turns = filter(is_counted, before.items)
        latest = takewhile(lambda run: run.state is not RunState.COMPLETED, turns)
        return [run for run in latest if run.state.is_final][::-1]


def _request_id(last: Run, helper_id: AgentId) -> str:
    """Return the id of the request by which a helper is told of the turns up to one."""
    return str(uuid5(UUID(last.id.removeprefix("run-")), helper_id))


def _groups(newest: Sequence[Run], every: int) -> list[Sequence[Run]]:
    """Return turns, given newest first, oldest first in groups of `every`; those that do not fill a group are left out."""
    turns = newest[::-1]
    return [turns[first : first + every] for first in range(0, len(turns) - every + 1, every)]


def is_counted(run: Run) -> bool:
    """Say whether a run is a turn after which background work can be due; background work itself is none."""
    return run.kind in TURN_KINDS and not run.background


def transcript(messages: Sequence[Message]) -> str:
    """Return what was said, newest part if it is long."""
    lines = [f"{message.role.value}: {said}" for message in messages if (said := _said(message))]
    return "\n\n".join(lines)[-_MAX_CHARACTERS:]


def _said(message: Message) -> str:
    calls = [f"[calls {call.name} with {call.arguments}]" for call in message.tool_calls]
    returns = [f"[gets {returned.text}]" for returned in message.tool_returns]
    return "\n".join([*([message.text] if message.text else []), *calls, *returns])
