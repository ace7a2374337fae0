"""What a caller wants to have called first: what the model is offered, and until when."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from letta_grpc.domain.agents import AgentKind
from letta_grpc.domain.completions import ANY_TOOL, ToolDefinition
from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.domain.events import MessageCompleted, RunEvent
from letta_grpc.domain.memgpt import SEND_MESSAGE
from letta_grpc.domain.messages import ApprovalInput, Approve, Deny, ReturnsInput, Role, ToolCall
from letta_grpc.domain.runs import RunSpec, RunState, StopReason
from letta_grpc.domain.tool_rules import Conditional, ExitLoop, MaxCount, RequiredBeforeExit, RunFirst, ToolRule
from letta_grpc.domain.turns import DEMAND
from letta_grpc.engine.agents import NewAgent
from tests.requirements.registry import requirement
from tests.support.engine import DirectedModel, DirectedTools, Engine, Turn, call, end, engine, of, say
from tests.support.values import returned

ALL = ["a", "b", "c"]
MINE = ToolDefinition(name="mine", description="", parameters="{}")


async def echo(call: ToolCall) -> str:
    return call.name


@pytest.fixture
async def house() -> AsyncIterator[Engine]:
    async with asyncio.timeout(10), engine(tools=DirectedTools(dict.fromkeys(ALL, echo))) as running:
        yield running


async def play(house: Engine, *turns: Turn, rules: tuple[ToolRule, ...] = (), **spec: object) -> list[RunEvent]:
    house.agent = await house.agents.create(NewAgent(model="test/model", tool_rules=rules))
    return await house.play(*turns, **spec)


def offered(house: Engine) -> list[tuple[list[str], str | None]]:
    """The tools of each request, and which of them must be called."""
    return [([tool.name for tool in request.tools], request.tool_choice) for request in house.model.asked]


def demands(events: list[RunEvent]) -> list[str]:
    """What the model was told that it has to call."""
    said = [event.message for event in of(MessageCompleted, events) if event.message.role is Role.USER]
    return [message.text for message in said if message.text.startswith(DEMAND)]


@requirement("tool_choice")
@pytest.mark.parametrize(("choice", "told"), [(("b",), "b"), (("c", "b"), ANY_TOOL)])
async def test_the_model_is_offered_the_choice_alone_until_it_has_called_one_of_it(
    house: Engine, choice: tuple[str, ...], told: str
) -> None:
    events = await play(house, call("b"), say("done"), tool_choice=choice)
    assert offered(house) == [(sorted(choice), told), (ALL, None)]
    assert end(events).stop_reason is StopReason.END_TURN


@requirement("tool_choice")
async def test_a_model_that_answers_in_words_is_asked_again(house: Engine) -> None:
    events = await play(house, say("Well."), say("Hm."), call("c"), say("done"), tool_choice=("b", "c"))
    assert demands(events) == [f"{DEMAND} You must call b or c before you finish."] * 2
    assert [choice for _, choice in offered(house)] == [ANY_TOOL] * 3 + [None]


@requirement("tool_choice")
async def test_a_model_that_never_calls_fails_the_run(house: Engine) -> None:
    events = await play(house, say("Well."), say("Hm."), say("No."), tool_choice=("b", "c"))
    assert len(demands(events)) == 2
    error = end(events).error
    assert error is not None
    assert (error.reason, error.message) == ("INVALID_MODEL_OUTPUT", "The model answered in words and did not call b or c.")


async def test_the_model_is_told_to_call_what_it_is_offered_whatever_it_owes_behind_that(house: Engine) -> None:
    rules = (RequiredBeforeExit(tool="c"),)
    events = await play(house, say("Well."), call("b"), say("Hm."), call("c"), say("done"), rules=rules, tool_choice=("b",))
    assert demands(events) == [f"{DEMAND} You must call {tool} before you finish." for tool in ("b", "c")]
    assert [choice for _, choice in offered(house)] == ["b", "b", None, None, None]


async def test_a_call_of_another_tool_runs_and_is_not_what_was_wanted(house: Engine) -> None:
    await play(house, call("a"), call("b"), say("done"), tool_choice=("b",))
    assert [choice for _, choice in offered(house)] == ["b", "b", None]
    assert house.tools.ran == ["a-0", "b-0"]


async def test_the_next_run_is_free(house: Engine) -> None:
    await play(house, call("b"), say("done"), tool_choice=("b",))
    await house.play(say("done"))
    assert offered(house)[-1] == (ALL, None)


@requirement("tool_choice")
async def test_a_clients_tool_may_be_chosen_and_the_answer_of_its_call_is_free(house: Engine) -> None:
    events = await play(house, call("mine"), tool_choice=("mine",), client_tools=(MINE,))
    assert end(events).stop_reason is StopReason.REQUIRES_CLIENT_TOOL
    house.model.turns.append(say("done"))
    answer = await house.begin(RunSpec(messages=(ReturnsInput(tool_returns=(returned("mine-0"),)),)))
    assert end(await house.events(answer.id)).state is RunState.COMPLETED
    assert offered(house) == [(["mine"], "mine"), ([*ALL, "mine"], None)]


@requirement("tool_choice")
async def test_an_answer_may_choose_anew_and_what_it_settles_does_not_count(house: Engine) -> None:
    await play(house, call("mine"), tool_choice=("mine",), client_tools=(MINE,))
    house.model.turns.append(call("mine"))
    answer = RunSpec(messages=(ReturnsInput(tool_returns=(returned("mine-0"),)),), tool_choice=("mine",))
    events = await house.events((await house.begin(answer)).id)
    assert [action.name for action in end(events).pending_actions] == ["mine"]
    assert offered(house) == [(["mine"], "mine")] * 2


async def test_an_approved_call_is_what_was_wanted(house: Engine) -> None:
    house.tools.guarded.add("b")
    await play(house, call("b"), tool_choice=("b",))
    house.model.turns.append(say("done"))
    answer = await house.begin(RunSpec(messages=(ApprovalInput(decisions=(Approve(tool_call_id="b-0"),)),)))
    assert end(await house.events(answer.id)).stop_reason is StopReason.END_TURN
    assert offered(house)[-1] == (ALL, None)


async def test_a_denied_call_is_wanted_no_more(house: Engine) -> None:
    house.tools.guarded.add("b")
    await play(house, call("b"), tool_choice=("b",))
    house.model.turns.append(say("As you wish."))
    answer = await house.begin(RunSpec(messages=(ApprovalInput(decisions=(Deny(tool_call_id="b-0"),)),)))
    assert end(await house.events(answer.id)).stop_reason is StopReason.END_TURN


@pytest.mark.parametrize(
    ("rules", "turns", "expected"),
    [
        # The agent's rules count more, and what was chosen comes as soon as they allow it.
        ((RunFirst(tool="a"),), (call("a"), call("b"), say("done")), [(["a"], "a"), (["b"], "b"), (ALL, None)]),
        # What can't be called any more is not waited for.
        ((MaxCount(tool="b", limit=0),), (say("done"),), [(["a", "c"], None)]),
        # A rule ends the turn, chosen or not.
        ((ExitLoop(tool="a"),), (call("a"),), [(["b"], "b")]),
        # Nothing may follow `a` that the agent has.
        (
            (Conditional(tool="a", next_by_output={"x": "gone"}, default="gone"),),
            (call("a"), say("done")),
            [(["b"], "b"), ([], None)],
        ),
        # What is owed by a rule comes behind it.
        ((RequiredBeforeExit(tool="c"),), (call("b"), call("c"), say("done")), [(["b"], "b"), (ALL, None), (ALL, None)]),
    ],
)
async def test_rules_count_more(
    house: Engine, rules: tuple[ToolRule, ...], turns: tuple[Turn, ...], expected: list[tuple[list[str], str | None]]
) -> None:
    events = await play(house, *turns, rules=rules, tool_choice=("b",))
    assert offered(house) == expected
    assert end(events).state is RunState.COMPLETED


async def test_an_agent_that_speaks_by_calls_can_be_made_to_speak(house: Engine) -> None:
    house.agent = await house.agents.create(NewAgent(model="test/model", kind=AgentKind.MEMGPT))
    await house.play(call(SEND_MESSAGE, arguments='{"message": "Hello."}'), tool_choice=(SEND_MESSAGE,))
    assert offered(house) == [([SEND_MESSAGE], SEND_MESSAGE)]


@requirement("tool_choice")
async def test_tools_that_the_run_will_not_have_are_refused(house: Engine) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await house.start(tool_choice=("b", "d", SEND_MESSAGE), client_tools=(MINE,))
    assert sorted(caught.value.fields) == ["run.tool_choice[1]", "run.tool_choice[2]"]
    assert "'d' is neither a tool of the agent nor one of client_tools" in caught.value.fields["run.tool_choice[1]"]
    assert not house.model.asked


@requirement("tool_choice")
@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([], [call("b"), say("done")], ["b", "b", None]),
        ([call("a")], [call("b"), say("done")], ["b", "b", "b", None]),
        ([call("b")], [say("done")], ["b", None, None]),
    ],
)
async def test_the_next_server_knows_what_is_still_wanted(
    before: list[Turn], after: list[Turn], expected: list[str | None]
) -> None:
    tools = DirectedTools(dict.fromkeys(ALL, echo))
    async with asyncio.timeout(10):
        async with engine(tools=tools) as first:
            first.agent = await first.agents.create(NewAgent(model="test/model"))
            first.model.turns += [*before, [asyncio.Event()]]
            run = await first.start(tool_choice=("b",))
            await first.model.reached.wait()
        first.clock.advance(31)
        next_one = engine(
            database=first.database, clock=first.clock, agent=first.agent, model=DirectedModel([*after]), tools=tools
        )
        async with next_one as second:
            assert end(await second.events(run.id)).state is RunState.COMPLETED
        assert [choice for _, choice in [*offered(first), *offered(second)]] == expected
