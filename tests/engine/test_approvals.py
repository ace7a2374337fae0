"""Calls that wait for an answer: what the run tells, what an answer does, and that nothing blocks for ever."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from letta_grpc.domain.approvals import ActionKind
from letta_grpc.domain.completions import FinishReason, ModelChunk, ModelFinished, TextChunk, ToolCallChunk, ToolDefinition
from letta_grpc.domain.errors import (
    ApprovalAlreadyResolved,
    ApprovalExpired,
    ApprovalPending,
    InvalidRequest,
)
from letta_grpc.domain.events import (
    ApprovalRequested,
    MessageCompleted,
    MessageStarted,
    RunEvent,
    RunFinished,
    RunStarted,
    StepCompleted,
    StepStarted,
    TextDelta,
    ToolCallDelta,
    ToolExecutionStarted,
    ToolReturned,
)
from letta_grpc.domain.ids import previous_message_id
from letta_grpc.domain.messages import (
    ApprovalInput,
    Approve,
    Decision,
    Deny,
    InputMessage,
    ReturnsInput,
    Role,
    ToolCall,
    ToolReturnStatus,
)
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import ConflictPolicy, Run, RunSpec, RunState, StopReason
from letta_grpc.ports.stores import RunFilter
from tests.requirements.registry import requirement
from tests.support.engine import DirectedModel, DirectedTools, Engine, Turn, call, end, engine, kinds, of, say
from tests.support.values import returned

LOOKUP = ToolDefinition(name="lookup", description="Looks it up.", parameters='{"type":"object"}')


async def echo(call: ToolCall) -> str:
    return f"{call.name} {call.arguments}"


def tools() -> DirectedTools:
    return DirectedTools({"free": echo, "risky": echo, "drastic": echo}, guarded={"risky", "drastic"})


@pytest.fixture
async def house() -> AsyncIterator[Engine]:
    async with asyncio.timeout(10), engine(tools=tools()) as running:
        yield running


async def waits(house: Engine, *names: str, arguments: str = "{}", **spec: object) -> list[RunEvent]:
    """Let a run come to wait for these calls; return its events."""
    return await house.play(call(*names, arguments=arguments), **spec)


async def answer(house: Engine, *messages: InputMessage, turns: tuple[Turn, ...] = (), **spec: object) -> list[RunEvent]:
    house.model.turns += turns
    run = await house.begin(RunSpec(messages=messages, **spec))  # type: ignore[arg-type]  # fields by name
    return await house.events(run.id)


def decide(*decisions: Decision) -> ApprovalInput:
    return ApprovalInput(decisions=decisions)


def approve(call_id: str, arguments: str | None = None) -> ApprovalInput:
    return decide(Approve(tool_call_id=call_id, arguments=arguments))


def deny(call_id: str, reason: str = "") -> ApprovalInput:
    return decide(Deny(tool_call_id=call_id, reason=reason))


def pending(run: Run) -> list[str]:
    return [action.tool_call_id for action in run.pending_actions]


async def test_a_call_that_needs_approval_ends_the_run_and_tells_what_it_waits_for(house: Engine) -> None:
    events = await waits(house, "risky", arguments='{"x":1}')
    assert kinds(events) == [
        RunStarted, StepStarted, MessageStarted, ToolCallDelta, MessageCompleted, StepCompleted,
        ApprovalRequested, RunFinished,
    ]  # fmt: skip
    assert (end(events).state, end(events).stop_reason) == (RunState.INTERRUPTED, StopReason.REQUIRES_APPROVAL)
    (action,) = of(ApprovalRequested, events)[0].actions
    assert (action.tool_call_id, action.name, action.arguments) == ("risky-0", "risky", '{"x":1}')
    assert action.kind is ActionKind.APPROVAL
    assert end(events).pending_actions == (action,)
    assert (await house.runs.get(end(events).id)).pending_actions == (action,)
    assert not house.tools.ran


@requirement("defect_other_id")
async def test_text_is_the_assistants_and_the_call_stands_one_id_below_it(house: Engine) -> None:
    turn: Turn = [[TextChunk("May I?")], [ToolCallChunk(0, "call-a", "risky", "{}"), ModelFinished(FinishReason.TOOL_CALLS)]]
    events = await house.play(turn)
    said, asked = (event.message for event in of(MessageCompleted, events))
    assert (said.role, said.text, said.tool_calls) == (Role.ASSISTANT, "May I?", ())
    assert (asked.role, asked.text, [one.id for one in asked.tool_calls]) == (Role.APPROVAL, "", ["call-a"])
    assert asked.id == previous_message_id(said.id)
    assert {delta.message_id for delta in of(TextDelta, events)} == {said.id}
    assert {delta.message_id for delta in of(ToolCallDelta, events)} == {asked.id}
    assert [(one.message_id, one.role) for one in of(MessageStarted, events)] == [
        (said.id, Role.ASSISTANT),
        (asked.id, Role.APPROVAL),
    ]


async def test_an_approved_call_runs_in_the_answers_run_and_the_turn_goes_on(house: Engine) -> None:
    first = end(await waits(house, "risky", arguments='{"x":1}'))
    events = await answer(house, approve("risky-0"), turns=(say("done"),))
    assert kinds(events) == [
        RunStarted, ToolExecutionStarted, ToolReturned, MessageCompleted,
        StepStarted, MessageStarted, TextDelta, MessageCompleted, StepCompleted, RunFinished,
    ]  # fmt: skip
    assert end(events).resumes_run_id == first.id
    assert end(events).stop_reason is StopReason.END_TURN
    assert of(ToolReturned, events)[0].tool_return.text == 'risky {"x":1}'
    assert of(MessageCompleted, events)[0].message.step_id == of_step(house)


def of_step(house: Engine) -> str:
    """The step in which the model asked for what it was asked about last."""
    (asked,) = [message for message in house.model.asked[-1].messages if message.tool_calls]
    assert asked.step_id
    return asked.step_id


async def test_the_model_is_shown_the_call_and_its_return_and_nothing_of_the_asking(house: Engine) -> None:
    await waits(house, "risky")
    await answer(house, approve("risky-0"), turns=(say("done"),))
    shown = house.model.asked[-1].messages
    assert [message.role for message in shown] == [Role.USER, Role.ASSISTANT, Role.TOOL]
    assert [one.id for one in shown[1].tool_calls] == [one.tool_call_id for one in shown[2].tool_returns] == ["risky-0"]


async def test_a_denied_call_does_not_run_and_the_model_is_told_why(house: Engine) -> None:
    await waits(house, "risky")
    events = await answer(house, deny("risky-0", "not on a Friday"), turns=(say("pity"),))
    (told,) = of(ToolReturned, events)
    assert told.tool_return.status is ToolReturnStatus.ERROR
    assert "not on a Friday" in told.tool_return.text
    assert not house.tools.ran
    assert end(events).state is RunState.COMPLETED


async def test_edited_arguments_are_what_runs_and_what_the_model_then_sees(house: Engine) -> None:
    await waits(house, "risky", arguments='{"path":"/"}')
    events = await answer(house, approve("risky-0", '{"path":"/tmp"}'), turns=(say("done"),))
    assert of(ToolReturned, events)[0].tool_return.text == 'risky {"path":"/tmp"}'
    (shown,) = [one for message in house.model.asked[-1].messages for one in message.tool_calls]
    assert shown.arguments == '{"path":"/tmp"}'


async def test_a_call_that_needs_no_approval_runs_beside_one_that_does(house: Engine) -> None:
    events = await waits(house, "free", "risky")
    said, asked, tool = (event.message for event in of(MessageCompleted, events))
    assert [one.id for one in said.tool_calls] == ["free-0"]
    assert [one.id for one in asked.tool_calls] == ["risky-1"]
    assert [one.tool_call_id for one in tool.tool_returns] == ["free-0"]
    assert house.tools.ran == ["free-0"]
    assert pending(end(events)) == ["risky-1"]
    await answer(house, approve("risky-1"), turns=(say("done"),))
    assistant, both = house.model.asked[-1].messages[1:]
    assert [one.id for one in assistant.tool_calls] == ["free-0", "risky-1"]
    assert [one.tool_call_id for one in both.tool_returns] == ["free-0", "risky-1"]


async def test_a_partial_answer_ends_at_once_and_waits_for_the_rest(house: Engine) -> None:
    first = end(await waits(house, "risky", "drastic"))
    events = await answer(house, approve("risky-0"))
    assert kinds(events) == [RunStarted, ApprovalRequested, RunFinished]
    second = end(events)
    assert (second.state, second.resumes_run_id, pending(second)) == (RunState.INTERRUPTED, first.id, ["drastic-1"])
    assert not house.tools.ran
    assert not (await house.runs.get(first.id)).pending_actions
    last = await answer(house, deny("drastic-1"), turns=(say("done"),))
    assert house.tools.ran == ["risky-0"]
    assert end(last).resumes_run_id == second.id
    (tool,) = [event.message for event in of(MessageCompleted, last) if event.message.role is Role.TOOL]
    assert [one.tool_call_id for one in tool.tool_returns] == ["risky-0", "drastic-1"]


async def test_the_runs_that_wait_can_be_listed(house: Engine) -> None:
    waiting = end(await waits(house, "risky"))
    listed = await house.runs.list(PageRequest(), RunFilter(has_pending_actions=True))
    assert [run.id for run in listed.items] == [waiting.id]
    await answer(house, deny("risky-0"), turns=(say("done"),))
    assert not (await house.runs.list(PageRequest(), RunFilter(has_pending_actions=True))).items


@requirement("weakness_extra_turn")
async def test_the_same_answer_again_is_the_same_run_and_nothing_runs_twice(house: Engine) -> None:
    await waits(house, "risky")
    events = await answer(house, approve("risky-0"), turns=(say("done"),))
    again = await house.begin(RunSpec(messages=(approve("risky-0"),)))
    assert again.id == end(events).id
    assert house.tools.ran == ["risky-0"]


async def test_another_answer_to_an_answered_call_is_refused(house: Engine) -> None:
    await waits(house, "risky")
    await answer(house, approve("risky-0"), turns=(say("done"),))
    with pytest.raises(ApprovalAlreadyResolved):
        await house.begin(RunSpec(messages=(deny("risky-0"),)))


async def test_an_answer_to_no_open_call_names_those_that_are(house: Engine) -> None:
    await waits(house, "risky")
    with pytest.raises(InvalidRequest, match="risky-0"):
        await house.begin(RunSpec(messages=(approve("unheard-of"),)))


async def test_another_start_is_refused_while_calls_wait_by_a_reason_of_its_own(house: Engine) -> None:
    waiting = end(await waits(house, "risky", "drastic"))
    with pytest.raises(ApprovalPending) as refused:
        await house.start()
    assert refused.value.metadata == {"run_id": waiting.id, "tool_call_ids": "risky-0,drastic-1"}


async def test_a_queued_start_waits_until_the_calls_are_settled_and_answers_pass_ahead_of_it(house: Engine) -> None:
    await waits(house, "risky")
    queued = await house.start("and then?", conflict_policy=ConflictPolicy.ENQUEUE)
    assert queued.state is RunState.QUEUED
    events = await answer(house, approve("risky-0"), turns=(say("done"), say("that")))
    assert end(events).state is RunState.COMPLETED
    assert end(await house.events(queued.id)).state is RunState.COMPLETED
    assert [message.text for message in house.model.asked[-1].messages if message.role is Role.USER] == ["hello", "and then?"]


async def test_an_interrupting_start_denies_the_calls_before_its_own_input(house: Engine) -> None:
    waiting = end(await waits(house, "risky"))
    house.model.turns += [say("as you like")]
    run = await house.start("never mind", conflict_policy=ConflictPolicy.INTERRUPT)
    events = await house.events(run.id)
    assert kinds(events)[:4] == [RunStarted, ToolReturned, MessageCompleted, StepStarted]
    assert of(ToolReturned, events)[0].tool_return.status is ToolReturnStatus.ERROR
    shown = house.model.asked[-1].messages
    assert [message.role for message in shown] == [Role.USER, Role.ASSISTANT, Role.TOOL, Role.USER]
    assert shown[-1].text == "never mind"
    assert not (await house.runs.get(waiting.id)).pending_actions


@requirement("complaint_03_stuck_approval")
async def test_unanswered_calls_are_denied_when_their_time_is_over(house: Engine) -> None:
    waiting = end(await waits(house, "risky", approval_timeout=timedelta(seconds=60)))
    queued = await house.start("next", conflict_policy=ConflictPolicy.ENQUEUE)
    house.model.turns += [say("on we go")]
    house.clock.advance(70)
    assert end(await house.events(queued.id)).state is RunState.COMPLETED
    runs = (await house.runs.list(PageRequest(), RunFilter())).items
    (closing,) = [run for run in runs if run.resumes_run_id == waiting.id]
    events = await house.events(closing.id)
    assert kinds(events) == [RunStarted, ToolReturned, MessageCompleted, RunFinished]
    assert (end(events).state, end(events).stop_reason) == (RunState.CANCELLED, StopReason.CANCELLED)
    with pytest.raises(ApprovalExpired):
        await house.begin(RunSpec(messages=(approve("risky-0"),)))


@requirement("approval_expires")
async def test_an_answer_one_moment_late_is_refused_and_leaves_the_conversation_free(house: Engine) -> None:
    # The server looks for calls whose time is over every ten seconds.
    await waits(house, "risky", approval_timeout=timedelta(seconds=61))
    await house.clock.run_for(61)
    with pytest.raises(ApprovalExpired):
        await house.begin(RunSpec(messages=(approve("risky-0"),)))
    assert end(await house.play(say("hi again"))).state is RunState.COMPLETED
    assert [message.role for message in house.model.asked[-1].messages] == [Role.USER, Role.ASSISTANT, Role.TOOL, Role.USER]


async def test_cancelling_a_run_that_waits_denies_its_calls(house: Engine) -> None:
    waiting = end(await waits(house, "risky"))
    cancelled = await house.runs.cancel(waiting.id)
    assert (cancelled.state, cancelled.pending_actions) == (RunState.INTERRUPTED, ())
    with pytest.raises(ApprovalExpired):
        await house.begin(RunSpec(messages=(approve("risky-0"),)))
    assert end(await house.play(say("hi again"))).state is RunState.COMPLETED
    assert [message.role for message in house.model.asked[-1].messages] == [Role.USER, Role.ASSISTANT, Role.TOOL, Role.USER]


async def test_cancelling_lets_what_is_queued_start(house: Engine) -> None:
    waiting = end(await waits(house, "risky"))
    queued = await house.start("next", conflict_policy=ConflictPolicy.ENQUEUE)
    house.model.turns += [say("here")]
    await house.runs.cancel(waiting.id)
    assert end(await house.events(queued.id)).state is RunState.COMPLETED


async def test_a_client_tool_is_the_clients_to_run(house: Engine) -> None:
    events = await waits(house, "lookup", client_tools=(LOOKUP,))
    assert end(events).stop_reason is StopReason.REQUIRES_CLIENT_TOOL
    assert end(events).pending_actions[0].kind is ActionKind.CLIENT_TOOL
    result = ReturnsInput(tool_returns=(returned("lookup-0", "42"),))
    answered = await answer(house, result, turns=(say("it is 42"),))
    assert of(ToolReturned, answered)[0].tool_return.text == "42"
    assert ToolExecutionStarted not in kinds(answered)
    assert "lookup" in [tool.name for tool in house.model.asked[-1].tools]


async def test_a_client_tool_shadows_the_servers_for_that_run(house: Engine) -> None:
    mine = ToolDefinition(name="free", description="Mine.", parameters='{"type":"object"}')
    events = await waits(house, "free", client_tools=(mine,))
    assert pending(end(events)) == ["free-0"]
    assert not house.tools.ran
    assert [tool.description for tool in house.model.asked[-1].tools if tool.name == "free"] == ["Mine."]


async def test_a_run_cancelled_while_a_free_call_runs_owes_nothing_of_what_it_would_have_asked() -> None:
    started, forever = asyncio.Event(), asyncio.Event()

    async def hang(_call: ToolCall) -> str:
        started.set()
        await forever.wait()
        return ""

    hanging = DirectedTools({"free": hang, "risky": echo}, guarded={"risky"})
    async with asyncio.timeout(10), engine(tools=hanging) as house:
        house.model.turns += [call("free", "risky")]
        run = await house.start()
        await started.wait()
        await house.runs.cancel(run.id)
        events = await house.events(run.id)
        assert end(events).state is RunState.CANCELLED
        tool = of(MessageCompleted, events)[-1].message
        assert [one.tool_call_id for one in tool.tool_returns] == ["free-0", "risky-1"]
        assert end(await house.play(say("ready"))).state is RunState.COMPLETED


async def test_an_answers_run_that_is_taken_over_runs_what_had_not_begun() -> None:
    started, forever = asyncio.Event(), asyncio.Event()

    async def hang(_call: ToolCall) -> str:
        started.set()
        await forever.wait()
        return ""

    guarded = {"risky", "drastic"}
    async with asyncio.timeout(10), engine(tools=DirectedTools({"risky": hang, "drastic": hang}, guarded=guarded)) as first:
        await waits(first, "risky")
        run = await first.begin(RunSpec(messages=(approve("risky-0"),)))
        await started.wait()
    first.clock.advance(31)
    model = DirectedModel([say("after all")])
    after = engine(database=first.database, clock=first.clock, agent=first.agent, model=model, tools=tools())
    async with asyncio.timeout(10), after as second:
        events = await second.events(run.id)
        assert end(events).state is RunState.COMPLETED
        (told,) = of(ToolReturned, events)
        assert told.tool_return.status is ToolReturnStatus.ERROR
        assert "not run again" in told.tool_return.text
        assert not second.tools.ran


async def test_what_waits_still_waits_after_a_restart() -> None:
    async with asyncio.timeout(10), engine(tools=tools()) as first:
        waiting = end(await waits(first, "risky"))
    first.clock.advance(31)
    model = DirectedModel([say("done")])
    after = engine(database=first.database, clock=first.clock, agent=first.agent, model=model, tools=tools())
    async with asyncio.timeout(10), after as second:
        assert pending(await second.runs.get(waiting.id)) == ["risky-0"]
        run = await second.begin(RunSpec(messages=(approve("risky-0"),)))
        assert end(await second.events(run.id)).state is RunState.COMPLETED
        assert second.tools.ran == ["risky-0"]


async def test_a_cancel_that_comes_just_before_a_run_would_wait_leaves_nothing_waiting(house: Engine) -> None:
    """Once `cancel` has returned nobody can let a tool of the run start."""
    about_to_ask = asyncio.Event()
    asks: list[ModelChunk] = [ToolCallChunk(0, "risky-0", "risky", "{}"), ModelFinished(FinishReason.TOOL_CALLS)]
    house.model.turns += [[about_to_ask, asks]]
    run = await house.start()
    await house.model.reached.wait()
    about_to_ask.set()
    await house.runs.cancel(run.id)
    await house.supervisor.idle()
    assert (await house.runs.get(run.id)).pending_actions == ()
    assert end(await house.play(say("Hello!"), words="Never mind.")).state is RunState.COMPLETED
