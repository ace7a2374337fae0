"""Speaking to other agents."""

import asyncio
import json
from typing import Annotated

from pydantic import Field

from letta_grpc.adapters.builtin_tools.workplace import ToolError, Workplace, success
from letta_grpc.domain.agents import Agent
from letta_grpc.domain.errors import AgentNotFound, LettaError
from letta_grpc.domain.ids import AgentId, is_id
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import Run, RunState
from letta_grpc.ports.tools import ToolResult, failure

MAX_AGENTS_AT_ONCE = 16

Target = Annotated[str, Field(min_length=1, description="The agent's id, or its name.")]
Text = Annotated[str, Field(min_length=1, description="What to say. The agent knows nothing of your conversation.")]
Tag = Annotated[str, Field(min_length=1, max_length=100)]


async def send_message_to_agent_and_wait(workplace: Workplace, agent: Target, message: Text) -> ToolResult:
    """Say something to another agent and wait for its answer."""
    found = await _agent(workplace, agent)
    try:
        run = await workplace.context.children.start(found.id, message, waits=True)
        run, words = await workplace.context.children.ended(run.id)
    except LettaError as error:
        raise ToolError(error.message) from error
    if complaint := _complaint(run):
        return failure(f"{complaint} Its last words: {words}" if words else complaint)
    return success(words or "The agent said nothing.")


async def send_message_to_agent(workplace: Workplace, agent: Target, message: Text) -> ToolResult:
    """Say something to another agent without waiting: you are told no more than the id of its run."""
    found = await _agent(workplace, agent)
    try:
        run = await workplace.context.children.start(found.id, message, waits=False)
    except LettaError as error:
        raise ToolError(error.message) from error
    return success(run.id)


async def send_message_to_agents_matching_tags(
    workplace: Workplace,
    tags: Annotated[tuple[Tag, ...], Field(min_length=1, max_length=20, description="The tags that an agent must all have.")],
    message: Text,
) -> ToolResult:
    """Say the same to every other agent that has all these tags, and wait for all of their answers."""
    page = PageRequest(size=MAX_AGENTS_AT_ONCE + 2)
    matching = (await workplace.agents.list(page, tags=tags)).items
    found = [agent for agent in matching if agent.id != workplace.context.agent_id]
    if not found:
        raise ToolError("No other agent has all these tags.")
    if len(found) > MAX_AGENTS_AT_ONCE:
        raise ToolError(f"More than {MAX_AGENTS_AT_ONCE} agents have all these tags. Name more of them.")
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(_answer(workplace, agent, message)) for agent in found]
    answers = [task.result() for task in asked]
    text = "\n".join(json.dumps(answer, ensure_ascii=False) for answer in answers)
    return success(text) if any("answer" in answer for answer in answers) else failure(text)


async def _answer(workplace: Workplace, agent: Agent, message: str) -> dict[str, str]:
    who = {"agent_id": agent.id, "name": agent.name}
    try:
        run = await workplace.context.children.start(agent.id, message, key=agent.id, waits=True)
        run, words = await workplace.context.children.ended(run.id)
    except LettaError as error:
        return who | {"error": error.message}
    complaint = _complaint(run)
    return who | ({"error": complaint} if complaint else {"answer": words})


async def _agent(workplace: Workplace, target: str) -> Agent:
    if is_id("agent", target):
        try:
            return await workplace.agents.get(AgentId(target))
        except AgentNotFound:
            raise ToolError(f"There is no agent {target}.") from None
    found = (await workplace.agents.list(PageRequest(size=2), name=target)).items
    if len(found) != 1:
        raise ToolError(
            f"There is no agent with the name {target[:100]!r}."
            if not found
            else f"Several agents have the name {target[:100]!r}: give an id."
        )
    return found[0]


def _complaint(run: Run) -> str:
    match run.state:
        case RunState.FAILED:
            return f"The agent failed: {run.error.message if run.error else 'for no known reason.'}"
        case RunState.CANCELLED:
            return "The agent was stopped before it could answer."
        case RunState.INTERRUPTED:
            return "The agent cannot go on by itself: it waits for somebody's answer to a tool call."
        case _:
            return ""
