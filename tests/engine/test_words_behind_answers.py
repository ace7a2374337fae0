"""Words that come with the answers of calls: they are heard behind what the calls gave, and never lost."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from letta_grpc.domain.agents import AgentKind
from letta_grpc.domain.completions import ToolDefinition
from letta_grpc.domain.events import MessageCompleted, RunEvent
from letta_grpc.domain.messages import (
    ApprovalInput,
    Approve,
    Deny,
    InputMessage,
    Message,
    ReturnsInput,
    Role,
    SpokenInput,
    ToolCall,
)
from letta_grpc.domain.runs import RunSpec, RunState
from letta_grpc.domain.tool_rules import ExitLoop
from letta_grpc.engine.agents import NewAgent
from tests.requirements.registry import requirement
from tests.support.engine import DirectedModel, DirectedTools, Engine, call, end, engine, of, say
from tests.support.values import returned, text

MINE = ToolDefinition(name="mine", description="", parameters="{}")
APPROVED = ApprovalInput(decisions=(Approve(tool_call_id="risky-0"),))
AND = text("And be quick.")


async def echo(call: ToolCall) -> str:
    return call.name


def tools() -> DirectedTools:
    return DirectedTools({"risky": echo}, guarded={"risky"})


def hanging() -> tuple[DirectedTools, asyncio.Event]:
    """The same, but the tool never returns; the event says that it has begun."""
    begun = asyncio.Event()

    async def hang(_call: ToolCall) -> str:
        begun.set()
        await asyncio.Event().wait()
        return ""

    return DirectedTools({"risky": hang}, guarded={"risky"}), begun


@pytest.fixture
async def house() -> AsyncIterator[Engine]:
    async with asyncio.timeout(10), engine(tools=tools()) as running:
        yield running


async def answered(house: Engine, *messages: InputMessage, asks: str = "risky", **spec: object) -> list[RunEvent]:
    """Let calls wait, and answer them."""
    await house.play(call(asks), **spec)
    house.model.turns.append(say("done"))
    return await house.events((await house.begin(RunSpec(messages=messages))).id)


async def history(house: Engine, events: list[RunEvent]) -> list[Message]:
    return list(await house.database.history.of_run(end(events).id))


@requirement("words_behind_answers")
@pytest.mark.parametrize(
    ("asks", "answer"),
    [
        ("risky", APPROVED),
        ("risky", ApprovalInput(decisions=(Deny(tool_call_id="risky-0"),))),
        ("mine", ReturnsInput(tool_returns=(returned("mine-0"),))),
    ],
)
async def test_words_come_behind_the_returns_of_the_calls(house: Engine, asks: str, answer: InputMessage) -> None:
    more = SpokenInput(role=Role.SYSTEM, content=AND.content, otid="more")
    events = await answered(house, answer, AND, more, asks=asks, client_tools=(MINE,))
    stored = await history(house, events)
    assert [message.role for message in stored] == [Role.APPROVAL, Role.TOOL, Role.USER, Role.SYSTEM, Role.ASSISTANT]
    assert [stored[0].id, stored[2].id, stored[3].id] == list(end(events).input_message_ids)
    assert [(message.text, message.otid) for message in stored[2:4]] == [("And be quick.", None), ("And be quick.", "more")]
    told = [event.message.id for event in of(MessageCompleted, events)]
    assert told == [message.id for message in stored[1:]]
    assert [message.role for message in house.model.asked[-1].messages][-3:] == [Role.TOOL, Role.USER, Role.SYSTEM]


@pytest.mark.parametrize(
    "agent",
    [
        NewAgent(model="test/model", kind=AgentKind.MEMGPT),
        NewAgent(model="test/model", tool_rules=(ExitLoop(tool="risky"),)),
    ],
)
async def test_words_are_answered_also_where_the_calls_would_end_the_turn(house: Engine, agent: NewAgent) -> None:
    house.agent = await house.agents.create(agent)
    events = await answered(house, APPROVED, AND)
    assert [message.role for message in house.model.asked[-1].messages][-2:] == [Role.TOOL, Role.USER]
    assert len(house.model.asked) == 2
    assert end(events).state is RunState.COMPLETED


@requirement("words_behind_answers")
async def test_what_a_cancelled_run_was_told_is_kept() -> None:
    endless, begun = hanging()
    async with asyncio.timeout(10), engine(tools=endless) as house:
        await house.play(call("risky"))
        run = await house.begin(RunSpec(messages=(APPROVED, AND)))
        await begun.wait()
        await house.runs.cancel(run.id)
        events = await house.events(run.id)
        assert end(events).state is RunState.CANCELLED
        assert [message.role for message in await history(house, events)] == [Role.APPROVAL, Role.TOOL, Role.USER]


@requirement("words_behind_answers")
async def test_the_next_server_says_them_once() -> None:
    endless, begun = hanging()
    async with asyncio.timeout(10):
        async with engine(tools=endless) as first:
            await first.play(call("risky"))
            run = await first.begin(RunSpec(messages=(APPROVED, AND)))
            await begun.wait()
        first.clock.advance(31)
        cut = DirectedModel([[asyncio.Event()]])
        async with engine(database=first.database, clock=first.clock, agent=first.agent, tools=tools(), model=cut):
            await cut.reached.wait()
        first.clock.advance(31)
        whole = DirectedModel([say("done")])
        async with engine(database=first.database, clock=first.clock, agent=first.agent, tools=tools(), model=whole) as third:
            stored = await history(third, await third.events(run.id))
        assert [message.role for message in stored] == [Role.APPROVAL, Role.TOOL, Role.USER, Role.ASSISTANT]
        assert stored[2].id == run.input_message_ids[1]
