"""Each rule about tools, through the loop: what the model is offered, what runs, and how the turn ends."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from letta_grpc.domain.completions import ANY_TOOL, ToolDefinition
from letta_grpc.domain.events import MessageCompleted, RunEvent, ToolExecutionStarted, ToolReturned
from letta_grpc.domain.messages import ApprovalInput, Approve, Deny, Role, ToolCall, ToolReturnStatus
from letta_grpc.domain.runs import RunSpec, RunState, StopReason
from letta_grpc.domain.tool_policy import ToolPolicy
from letta_grpc.domain.tool_rules import (
    Conditional,
    ConstrainChild,
    ContinueLoop,
    ExitLoop,
    MaxCount,
    ParentLast,
    RequiredBeforeExit,
    RequiresApproval,
    RunFirst,
    ToolRule,
)
from letta_grpc.domain.turns import DEMAND, REFUSAL, MadeCall
from letta_grpc.engine.agents import NewAgent
from letta_grpc.ports.tools import ToolResult
from tests.requirements.registry import requirement
from tests.support.engine import DirectedModel, DirectedTools, Engine, Turn, call, end, engine, of, say
from tests.support.rules import RULES, check_rules

LEASE_SECONDS = 31
TOOLS = ("a", "b", "c")


async def echo(call: ToolCall) -> str:
    return f"{call.name} {call.arguments}"


def tools() -> DirectedTools:
    return DirectedTools({"a": echo, "b": echo, "c": echo})


@pytest.fixture
async def house() -> AsyncIterator[Engine]:
    async with asyncio.timeout(10), engine(tools=tools()) as running:
        yield running


async def play(house: Engine, rules: list[ToolRule], *turns: Turn, **spec: object) -> list[RunEvent]:
    house.agent = await house.agents.create(NewAgent(model="test/model", tool_rules=tuple(rules)))
    return await house.play(*turns, **spec)


async def decide(house: Engine, *decisions: Approve | Deny, turns: tuple[Turn, ...] = ()) -> list[RunEvent]:
    house.model.turns += turns
    run = await house.begin(RunSpec(messages=(ApprovalInput(decisions=decisions),), max_steps=8))
    return await house.events(run.id)


def offered(house: Engine) -> list[tuple[list[str], str | None]]:
    """The tools of each request, and which of them must be called."""
    return [([tool.name for tool in request.tools], request.tool_choice) for request in house.model.asked]


def refused(events: list[RunEvent]) -> list[str]:
    """The calls that broke a rule."""
    returns = [event.tool_return for event in of(ToolReturned, events)]
    broken = [one for one in returns if one.text.startswith(REFUSAL)]
    assert all(one.status is ToolReturnStatus.ERROR for one in broken)
    return [one.tool_call_id for one in broken]


async def test_without_rules_all_tools_are_offered_and_none_must_be_called(house: Engine) -> None:
    events = await play(house, [], call("a", "a", "b"), say("done"))
    assert offered(house) == [(["a", "b", "c"], None)] * 2
    assert end(events).stop_reason is StopReason.END_TURN


async def test_a_turn_begins_with_the_tool_that_runs_first_and_its_given_arguments(house: Engine) -> None:
    rules: list[ToolRule] = [RunFirst(tool="b", arguments='{"x": 1}')]
    events = await play(house, rules, call("b", arguments='{"x": 2, "y": 3}'), say("done"))
    assert offered(house) == [(["b"], "b"), (["a", "b", "c"], None)]
    (asked, *_) = [event.message for event in of(MessageCompleted, events)]
    assert asked.tool_calls[0].arguments == '{"x": 1, "y": 3}'
    assert of(ToolReturned, events)[0].tool_return.text == 'b {"x": 1, "y": 3}'


async def test_the_next_turn_begins_anew(house: Engine) -> None:
    await play(house, [RunFirst(tool="b")], call("b"), say("done"))
    await house.play(call("b"), say("done"))
    assert [choice for _, choice in offered(house)] == ["b", None, "b", None]


async def test_a_call_that_breaks_a_rule_gets_an_error_return_and_the_turn_goes_on(house: Engine) -> None:
    events = await play(house, [RunFirst(tool="b")], call("a"), call("b"), say("done"))
    assert refused(events) == ["a-0"]
    assert "[b]" in of(ToolReturned, events)[0].tool_return.text
    assert [event.tool_call_id for event in of(ToolExecutionStarted, events)] == ["b-0"]
    assert house.tools.ran == ["b-0"]
    assert end(events).stop_reason is StopReason.END_TURN


async def test_a_tool_that_does_not_exist_is_not_the_first_one(house: Engine) -> None:
    events = await play(house, [RunFirst(tool="b")], call("nothing", "a"), call("b"), say("done"))
    assert refused(events) == ["a-1"]
    assert house.tools.ran == ["b-0"]


async def test_words_in_place_of_the_first_tool_do_not_end_the_turn(house: Engine) -> None:
    events = await play(house, [RunFirst(tool="b")], say("No."), call("b"), say("done"))
    assert house.model.asked[1].messages[-1].text.startswith(DEMAND)
    assert house.tools.ran == ["b-0"]
    assert end(events).stop_reason is StopReason.END_TURN


async def test_a_turn_ends_after_a_tool_that_exits(house: Engine) -> None:
    events = await play(house, [ExitLoop(tool="b")], call("a"), call("b"))
    assert end(events).stop_reason is StopReason.TOOL_RULE
    assert end(events).state is RunState.COMPLETED
    assert house.tools.ran == ["a-0", "b-0"]


async def test_behind_a_tool_that_exits_no_call_of_the_same_answer_runs(house: Engine) -> None:
    events = await play(house, [ExitLoop(tool="b")], call("a", "b", "c"))
    assert refused(events) == ["c-2"]
    assert house.tools.ran == ["a-0", "b-1"]


async def test_a_tool_that_continues_does_not_end_the_turn(house: Engine) -> None:
    events = await play(house, [ContinueLoop(tool="a")], call("a"), say("done"))
    assert end(events).stop_reason is StopReason.END_TURN


async def test_after_its_parent_a_child_must_come(house: Engine) -> None:
    rules: list[ToolRule] = [ConstrainChild(tool="a", children=("b", "c"), arguments={"c": '{"x": 1}'})]
    events = await play(house, rules, call("a"), call("c"), say("done"))
    assert offered(house) == [(["a", "b", "c"], None), (["b", "c"], ANY_TOOL), (["a", "b", "c"], None)]
    assert of(ToolReturned, events)[1].tool_return.text == 'c {"x": 1}'


async def test_a_child_comes_only_right_after_its_parent(house: Engine) -> None:
    events = await play(house, [ParentLast(tool="a", children=("b",))], call("b"), call("a"), call("b"), say("done"))
    assert refused(events) == ["b-0"]
    assert [names for names, _ in offered(house)] == [["a", "c"], ["a", "c"], ["a", "b", "c"], ["a", "c"]]
    assert len(house.tools.ran) == 2


async def test_what_a_tool_returned_says_which_tool_comes_next(house: Engine) -> None:
    async def truth(_call: ToolCall) -> str:
        return "True"

    house.tools.plays["a"] = truth
    rules: list[ToolRule] = [Conditional(tool="a", next_by_output={"true": "b", "false": "c"})]
    events = await play(house, rules, call("a", "c"), call("b"), say("done"))
    assert refused(events) == ["c-1"]
    assert offered(house)[1] == (["b"], "b")


async def test_a_tool_runs_only_so_often_in_a_turn(house: Engine) -> None:
    rules: list[ToolRule] = [MaxCount(tool="a", limit=2)]
    events = await play(house, rules, call("a"), call("a", "a"), say("done"))
    assert refused(events) == ["a-1"]
    assert [names for names, _ in offered(house)] == [["a", "b", "c"], ["a", "b", "c"], ["b", "c"]]


async def test_calls_run_one_after_the_other_where_their_order_matters(house: Engine) -> None:
    under_way: list[str] = []

    async def alone(call: ToolCall) -> str:
        assert not under_way
        under_way.append(call.id)
        await asyncio.sleep(0)
        under_way.remove(call.id)
        return "done"

    house.tools.plays |= {"a": alone, "b": alone}
    events = await play(house, [MaxCount(tool="c", limit=1)], call("a", "b", "a"), say("done"))
    assert [one.tool_return.text for one in of(ToolReturned, events)] == ["done"] * 3


async def test_a_turn_does_not_end_before_a_required_tool_was_called(house: Engine) -> None:
    events = await play(house, [RequiredBeforeExit(tool="b")], say("Bye."), call("b"), say("done"))
    demand = house.model.asked[1].messages[-1]
    assert (demand.role, demand.text) == (Role.USER, f"{DEMAND} You must call b before you finish.")
    assert [event.message.id for event in of(MessageCompleted, events)].count(demand.id) == 1
    assert end(events).stop_reason is StopReason.END_TURN


async def test_an_empty_answer_does_not_end_a_turn_that_owes_a_call(house: Engine) -> None:
    events = await play(house, [RequiredBeforeExit(tool="b")], say(), call("b"), say("done"))
    assert house.tools.ran == ["b-0"]
    assert end(events).stop_reason is StopReason.END_TURN


async def test_a_tool_that_exits_waits_for_a_required_one(house: Engine) -> None:
    rules: list[ToolRule] = [ExitLoop(tool="a"), RequiredBeforeExit(tool="b")]
    events = await play(house, rules, call("a"), call("b"), call("a"))
    assert house.tools.ran == ["a-0", "b-0", of(ToolReturned, events)[-1].tool_return.tool_call_id]
    assert end(events).stop_reason is StopReason.TOOL_RULE


async def test_what_is_owed_does_not_outlast_the_steps_of_a_run(house: Engine) -> None:
    events = await play(house, [RequiredBeforeExit(tool="b")], say("No."), say("No."), max_steps=2)
    assert end(events).stop_reason is StopReason.MAX_STEPS


@requirement("complaint_24_policies")
async def test_a_rule_can_ask_for_approval_and_the_agent_can_say_otherwise(house: Engine) -> None:
    events = await play(house, [RequiresApproval(tool="a")], call("a"))
    assert end(events).stop_reason is StopReason.REQUIRES_APPROVAL
    await decide(house, Deny(tool_call_id="a-0"), turns=(say("done"),))
    house.agent = await house.agents.create(
        NewAgent(model="test/model", tool_rules=(RequiresApproval(tool="a"),), tool_approvals={"a": False, "b": True})
    )
    assert end(await house.play(call("a"), say("done"))).stop_reason is StopReason.END_TURN
    assert end(await house.play(call("b"))).stop_reason is StopReason.REQUIRES_APPROVAL


async def test_an_answer_goes_on_with_the_turn_whose_calls_it_answers(house: Engine) -> None:
    rules: list[ToolRule] = [RunFirst(tool="a"), MaxCount(tool="a", limit=2), RequiresApproval(tool="a")]
    await play(house, rules, call("a"))
    await decide(house, Approve(tool_call_id="a-0"), turns=(call("a"),))
    (waiting,) = (await house.runs.get(house.model.asked[-1].messages[-1].run_id)).pending_actions
    events = await decide(house, Approve(tool_call_id=waiting.tool_call_id), turns=(say("done"),))
    assert offered(house) == [(["a"], "a"), (["a", "b", "c"], None), (["b", "c"], None)]
    assert end(events).stop_reason is StopReason.END_TURN


async def test_a_denied_call_was_not_made(house: Engine) -> None:
    await play(house, [MaxCount(tool="a", limit=1), ExitLoop(tool="a"), RequiresApproval(tool="a")], call("a"))
    events = await decide(house, Deny(tool_call_id="a-0"), turns=(say("done"),))
    assert offered(house)[-1] == (["a", "b", "c"], None)
    assert end(events).stop_reason is StopReason.END_TURN


async def test_a_denied_call_is_owed_no_longer(house: Engine) -> None:
    await play(house, [RunFirst(tool="a"), RequiredBeforeExit(tool="a"), RequiresApproval(tool="a")], call("a"))
    events = await decide(house, Deny(tool_call_id="a-0"), turns=(say("As you wish."),))
    assert offered(house)[-1] == (["a"], None)
    assert end(events).stop_reason is StopReason.END_TURN


async def test_an_approved_call_that_exits_ends_the_turn(house: Engine) -> None:
    await play(house, [ExitLoop(tool="a"), RequiresApproval(tool="a")], call("a"))
    events = await decide(house, Approve(tool_call_id="a-0"))
    assert end(events).stop_reason is StopReason.TOOL_RULE


async def test_nobody_is_asked_to_approve_what_a_rule_forbids(house: Engine) -> None:
    rules: list[ToolRule] = [RequiresApproval(tool="a"), MaxCount(tool="a", limit=1)]
    events = await play(house, rules, call("a", "a"))
    assert refused(events) == ["a-1"]
    assert [action.tool_call_id for action in end(events).pending_actions] == ["a-0"]


async def test_a_call_of_a_clients_tool_that_breaks_a_rule_is_refused_and_was_not_made(house: Engine) -> None:
    mine = ToolDefinition(name="mine", description="", parameters="{}")
    rules: list[ToolRule] = [RunFirst(tool="a"), ExitLoop(tool="mine")]
    events = await play(house, rules, call("mine"), call("a"), call("mine"), client_tools=(mine,))
    assert refused(events) == ["mine-0"]
    assert house.tools.ran == ["a-0"]
    assert [action.name for action in end(events).pending_actions] == ["mine"]


async def test_what_was_approved_as_the_servers_does_not_run_once_the_tool_is_the_clients(house: Engine) -> None:
    await play(house, [RequiresApproval(tool="a")], call("a"))
    house.model.turns.append(say("done"))
    approved = ApprovalInput(decisions=(Approve(tool_call_id="a-0"),))
    mine = ToolDefinition(name="a", description="", parameters="{}")
    events = await house.events((await house.begin(RunSpec(messages=(approved,), client_tools=(mine,)))).id)
    assert "the client's to run" in of(ToolReturned, events)[0].tool_return.text
    assert not house.tools.ran


async def test_what_was_forbidden_when_it_was_asked_for_does_not_run_unapproved(house: Engine) -> None:
    async def next_is_b(_call: ToolCall) -> str:
        return "x"

    house.tools.plays["a"] = next_is_b
    rules: list[ToolRule] = [RequiresApproval(tool="b"), Conditional(tool="a", next_by_output={"x": "b"})]
    events = await play(house, rules, call("a", "b"), say("No."), max_steps=1)
    assert refused(events) == ["b-1"]
    assert house.tools.ran == ["a-0"]


async def test_a_child_whose_parent_was_denied_does_not_run(house: Engine) -> None:
    rules: list[ToolRule] = [
        RequiresApproval(tool="a"),
        RequiresApproval(tool="b"),
        ParentLast(tool="a", children=("b",)),
    ]
    await play(house, rules, call("a", "b"))
    events = await decide(house, Deny(tool_call_id="a-0"), Approve(tool_call_id="b-1"), turns=(say("done"),))
    assert refused(events) == ["b-1"]
    assert not house.tools.ran


async def test_a_tool_cannot_hide_its_own_call(house: Engine) -> None:
    async def sly(_call: ToolCall) -> ToolResult:
        return ToolResult(status=ToolReturnStatus.ERROR, text=f"{REFUSAL} never called")

    house.tools.plays["a"] = sly
    events = await play(house, [MaxCount(tool="a", limit=1)], call("a"), call("a"), say("done"))
    assert len(house.tools.ran) == 1
    assert of(ToolReturned, events)[0].tool_return.text.startswith("Error: ")


async def test_a_server_that_takes_over_knows_the_calls_of_the_turn() -> None:
    async with asyncio.timeout(10), engine(tools=tools()) as first:
        first.agent = await first.agents.create(
            NewAgent(model="test/model", tool_rules=(RunFirst(tool="a"), MaxCount(tool="a", limit=1)))
        )
        first.model.turns += [call("a"), [asyncio.Event()]]
        run = await first.start()
        await first.model.reached.wait()
    first.clock.advance(LEASE_SECONDS)
    model = DirectedModel([call("a"), say("done")])
    async with (
        asyncio.timeout(10),
        engine(database=first.database, clock=first.clock, agent=first.agent, model=model, tools=tools()) as second,
    ):
        events = await second.events(run.id)
    assert offered(second) == [(["b", "c"], None)] * 2
    assert not second.tools.ran
    assert len(refused(events)) == 1


ANSWERS = st.lists(st.lists(st.sampled_from("abcd"), max_size=3), max_size=6)


@settings(max_examples=60, deadline=None)
@given(rules=st.lists(RULES, max_size=5), answers=ANSWERS, denied=st.sets(st.sampled_from("abc")))
async def test_whatever_the_model_does_no_rule_is_broken_in_a_turn(
    rules: list[ToolRule], answers: list[list[str]], denied: set[str]
) -> None:
    ran: list[str] = []

    async def run_tool(call: ToolCall) -> str:
        ran.append(call.name)
        return await echo(call)

    async with asyncio.timeout(10), engine(tools=DirectedTools(dict.fromkeys(TOOLS, run_tool))) as house:
        house.agent = await house.agents.create(NewAgent(model="test/model", tool_rules=tuple(rules)))
        house.model.turns += [call(*names) if names else say("words") for names in answers]
        house.model.turns += [say("no more")] * 60
        run = end(await house.events((await house.start(max_steps=8)).id))
        while run.pending_actions:
            assert {action.name for action in run.pending_actions} <= set(TOOLS)
            waiting = {action.tool_call_id: action.name for action in run.pending_actions}
            decisions = [(Deny if name in denied else Approve)(tool_call_id=each) for each, name in waiting.items()]
            run = end(await decide(house, *decisions))
        assert run.state is RunState.COMPLETED
        check_rules(rules, ran, TOOLS)
        required = {rule.tool for rule in rules if isinstance(rule, RequiredBeforeExit)} & set(TOOLS)
        owes = required - set(ran) - denied
        assert not owes or run.stop_reason is StopReason.MAX_STEPS or nothing_may_come(rules, ran)


def nothing_may_come(rules: list[ToolRule], ran: list[str]) -> bool:
    made = [MadeCall(tool=tool, output=f"{tool} {{}}") for tool in ran]
    return not ToolPolicy(tuple(rules), TOOLS).offer(made).tools
