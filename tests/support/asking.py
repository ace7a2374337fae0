"""Agents whose one tool asks other agents."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from letta_grpc.domain.agents import Agent
from letta_grpc.domain.errors import LettaError
from letta_grpc.domain.messages import ToolCall
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import OPEN_STATES, Run, RunState
from letta_grpc.engine.agents import NewAgent
from letta_grpc.ports.children import ChildRuns
from letta_grpc.ports.stores import RunFilter
from letta_grpc.ports.tools import Output, ToolContext, ToolResult
from tests.support.engine import DirectedTools, Engine, success

Ask = Callable[[ChildRuns], Awaitable[str]]


@dataclass
class Asking(DirectedTools):
    """The one tool `ask`: each call of it does the next of `asks`."""

    asks: list[Ask] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.plays["ask"] = unused
        self.idempotent.add("ask")

    async def run(self, call: ToolCall, context: ToolContext, output: Output) -> ToolResult:  # noqa: ARG002 - the port's shape
        self.ran.append(call.id)
        try:
            return success(await self.asks.pop(0)(context.children))
        except LettaError as error:
            return success(f"refused: {error.message}")


async def unused(_call: ToolCall) -> str:
    raise NotImplementedError


def asking(agent: Agent, *, waits: bool = True) -> Ask:
    async def ask(children: ChildRuns) -> str:
        run = await children.start(agent.id, "hello", waits=waits)
        if not waits:
            return run.id
        run, words = await children.ended(run.id)
        return f"{run.state.value}: {words}"

    return ask


async def another(house: Engine) -> Agent:
    return await house.agents.create(NewAgent(model="test/model"))


def returned(house: Engine, index: int = -1) -> str:
    """What the model was told last of its tool."""
    return house.model.asked[index].messages[-1].tool_returns[0].text


async def open_runs(house: Engine, agent: Agent) -> list[Run]:
    where = RunFilter(agent_id=agent.id, states=tuple(OPEN_STATES))
    return list((await house.runs.list(PageRequest(), where)).items)


async def queued(house: Engine, agent: Agent) -> list[Run]:
    return [run for run in await open_runs(house, agent) if run.state is RunState.QUEUED]


async def until(look: Callable[[], Awaitable[object]]) -> None:
    """Let the loop go round until something is so that nobody is told of."""
    while not await look():  # noqa: ASYNC110 - see above
        await asyncio.sleep(0)
