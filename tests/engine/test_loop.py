import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime

import pytest

from letta_grpc.domain.completions import FinishReason, ModelChunk, ModelFinished, ReasoningChunk, TextChunk, ToolCallChunk
from letta_grpc.domain.errors import InsufficientCredits, InvalidModelOutput, LettaError, ModelOverloaded
from letta_grpc.domain.events import (
    MessageCompleted,
    MessageStarted,
    ReasoningDelta,
    RunFinished,
    RunStarted,
    StepCompleted,
    StepStarted,
    TextDelta,
    ToolCallDelta,
    ToolExecutionStarted,
    ToolReturned,
)
from letta_grpc.domain.frames import split_frames
from letta_grpc.domain.ids import new_run_id, new_step_id
from letta_grpc.domain.messages import ReasoningPart, Role, TextPart, ToolCall, ToolReturnStatus
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import RunState, StopReason
from letta_grpc.domain.usage import Usage
from letta_grpc.engine.agents import NewAgent
from letta_grpc.engine.answer import MAX_ANSWER_CHARACTERS, Admission, Answer
from letta_grpc.ports.tools import ToolResult
from letta_grpc.ports.tracing import NoTracing
from letta_grpc.transport.convert.codec import ProtoEventCodec
from tests.requirements.registry import requirement
from tests.support.engine import DONE, DirectedTools, Engine, Turn, call, end, engine, kinds, of, say


@pytest.fixture
async def house() -> AsyncIterator[Engine]:
    async def echo(call: ToolCall) -> str:
        return call.arguments

    async with asyncio.timeout(10), engine(tools=DirectedTools({"echo": echo})) as running:
        yield running


@requirement("complaint_12_ids")
async def test_an_answer_streams_as_deltas_of_one_message_that_is_then_stored(house: Engine) -> None:
    events = await house.play(say("Hel", "lo"))
    assert kinds(events) == [
        RunStarted, StepStarted, MessageStarted, TextDelta, TextDelta, MessageCompleted, StepCompleted, RunFinished,
    ]  # fmt: skip
    message = of(MessageCompleted, events)[0].message
    assert [event.message_id for event in of(MessageStarted, events)] == [message.id]
    assert {event.message_id for event in of(TextDelta, events)} == {message.id}
    assert message.text == "Hello"
    assert (end(events).state, end(events).stop_reason) == (RunState.COMPLETED, StopReason.END_TURN)
    history = await house.database.history.list(end(events).conversation_id, PageRequest())
    assert [(stored.role, stored.text) for stored in history.items] == [(Role.USER, "hello"), (Role.ASSISTANT, "Hello")]


async def test_the_input_is_stored_under_the_ids_that_the_run_names(house: Engine) -> None:
    events = await house.play(say("hi"))
    messages = await house.database.history.of_run(end(events).id)
    assert tuple(message.id for message in messages if not message.step_id) == end(events).input_message_ids


async def test_reasoning_and_text_are_parts_in_the_order_in_which_they_came(house: Engine) -> None:
    turn: Turn = [[ReasoningChunk("hm"), TextChunk("a")], [TextChunk("b")], [ReasoningChunk("so"), TextChunk("c"), DONE]]
    events = await house.play(turn)
    assert of(MessageCompleted, events)[0].message.content == (
        ReasoningPart("hm"), TextPart("ab"), ReasoningPart("so"), TextPart("c"),
    )  # fmt: skip
    assert [(delta.content_index, delta.text) for delta in of(TextDelta, events)] == [(1, "a"), (1, "b"), (3, "c")]
    assert [delta.text for delta in of(ReasoningDelta, events)] == ["hm", "so"]


async def test_a_tool_runs_between_two_steps_and_its_return_is_what_the_model_sees_next(house: Engine) -> None:
    events = await house.play(call("echo", arguments='{"x":1}'), say("done"))
    assert kinds(events) == [
        RunStarted, StepStarted, MessageStarted, ToolCallDelta, MessageCompleted, ToolExecutionStarted, ToolReturned,
        MessageCompleted, StepCompleted, StepStarted, MessageStarted, TextDelta, MessageCompleted, StepCompleted, RunFinished,
    ]  # fmt: skip
    tool_message = house.model.asked[1].messages[-1]
    assert tool_message.role is Role.TOOL
    assert [(r.tool_call_id, r.status, r.text) for r in tool_message.tool_returns] == [
        ("echo-0", ToolReturnStatus.SUCCESS, '{"x":1}')
    ]
    assert end(events).usage == Usage(step_count=2)


@requirement("weakness_late_returns")
async def test_calls_of_one_step_run_side_by_side_and_return_in_the_order_of_the_calls(house: Engine) -> None:
    both = asyncio.Barrier(2)
    first_done = asyncio.Event()

    async def second(_call: ToolCall) -> str:
        await both.wait()
        await first_done.wait()
        return "second"

    async def first(_call: ToolCall) -> str:
        await both.wait()
        first_done.set()
        return "first"

    house.tools.plays |= {"second": second, "first": first}
    agent = await house.agents.create(NewAgent(model="test/model"))
    events = await house.play(call("second", "first"), say("done"), agent=agent)
    assert [event.tool_return.text for event in of(ToolReturned, events)] == ["first", "second"]
    message = next(e.message for e in of(MessageCompleted, events) if e.message.role is Role.TOOL)
    assert [r.text for r in message.tool_returns] == ["second", "first"]


@requirement("weakness_late_returns")
async def test_a_return_is_told_while_calls_beside_it_still_run(house: Engine) -> None:
    seen = asyncio.Event()

    async def slow(_call: ToolCall) -> str:
        await seen.wait()
        return "slow"

    async def quick(_call: ToolCall) -> str:
        return "quick"

    house.tools.plays |= {"slow": slow, "quick": quick}
    agent = await house.agents.create(NewAgent(model="test/model"))
    house.model.turns += [call("slow", "quick"), say("done")]
    run = await house.start(agent=agent)
    told: list[str] = []
    async for page in house.runs.follow(run.id, 0, None):
        events = [house.codec.decode(frame).event for frame in split_frames(page.frames)]
        told += [event.tool_return.text for event in of(ToolReturned, events)]
        if told:
            seen.set()
    assert told == ["quick", "slow"]


@requirement("defect_returns_pile_up", "defect_changed_arguments")
async def test_each_tool_message_has_the_returns_of_its_own_step_and_calls_stay_as_they_were_written(house: Engine) -> None:
    written = '{ "b":1,  "a" : "\\u00e9" }'
    events = await house.play(call("echo", arguments=written), call("echo", "echo", arguments=written), say("done"))
    completed = [event.message for event in of(MessageCompleted, events)]
    assert [len(message.tool_returns) for message in completed if message.role is Role.TOOL] == [1, 2]
    assert {one.arguments for message in completed for one in message.tool_calls} == {written}
    asked = [one.arguments for message in house.model.asked[-1].messages for one in message.tool_calls]
    assert asked == [written] * 3


async def test_a_tool_that_the_agent_has_not_is_answered_with_an_error_that_names_those_it_has(house: Engine) -> None:
    events = await house.play(call("nothing"), say("sorry"))
    assert not of(ToolExecutionStarted, events)
    returned = of(ToolReturned, events)[0].tool_return
    assert (returned.status, returned.text) == (
        ToolReturnStatus.ERROR, "Error: there is no tool 'nothing'. The tools are: echo.",
    )  # fmt: skip
    assert end(events).state is RunState.COMPLETED


@requirement("defect_missing_ids")
async def test_repeated_and_missing_call_ids_are_replaced_and_the_providers_kept(house: Engine) -> None:
    chunk = [
        ToolCallChunk(0, "same", "echo", "{}"),
        ToolCallChunk(1, "same", "echo", "{}"),
        ToolCallChunk(2, None, "echo", "{}"),
    ]
    finish = [ModelFinished(FinishReason.TOOL_CALLS)]
    events = await house.play([chunk, finish], [chunk, finish], say("done"))
    calls = [c for e in of(MessageCompleted, events) for c in e.message.tool_calls]
    assert len({c.id for c in calls}) == 6
    assert [c.provider_id for c in calls] == [None, "same", None, "same", "same", None]
    assert [e.tool_return.tool_call_id for e in of(ToolReturned, events)] == [c.id for c in calls]


@requirement("complaint_25_told_apart")
async def test_a_call_is_announced_once_its_name_is_known(house: Engine) -> None:
    turn: Turn = [
        [ToolCallChunk(0, "id", None, '{"a"')],
        [ToolCallChunk(0, None, "echo", ":")],
        [ToolCallChunk(0, None, None, "1}"), DONE],
    ]
    events = await house.play(turn, say("done"))
    assert [(d.tool_call_id, d.name, d.arguments) for d in of(ToolCallDelta, events)] == [
        ("id", "echo", '{"a":'), ("id", "echo", "1}"),
    ]  # fmt: skip
    assert of(ToolReturned, events)[0].tool_return.text == '{"a":1}'


async def test_a_call_that_never_gets_a_name_is_dropped(house: Engine) -> None:
    events = await house.play([[ToolCallChunk(0, "id", None, "{}"), DONE]])
    assert kinds(events) == [RunStarted, StepStarted, StepCompleted, RunFinished]


async def test_an_empty_answer_ends_the_turn_and_stores_no_message(house: Engine) -> None:
    events = await house.play([[DONE]])
    assert kinds(events) == [RunStarted, StepStarted, StepCompleted, RunFinished]
    assert end(events).stop_reason is StopReason.END_TURN


async def test_an_answer_cut_by_the_models_limit_ends_with_max_tokens(house: Engine) -> None:
    events = await house.play([[TextChunk("and th")], [ModelFinished(FinishReason.LENGTH)]])
    assert end(events).stop_reason is StopReason.MAX_TOKENS


async def test_an_answer_that_the_provider_filters_says_so(house: Engine) -> None:
    filtered = ModelFinished(FinishReason.CONTENT_FILTER)
    for events in (await house.play([[TextChunk("How to"), filtered]]), await house.play([[filtered]])):
        assert (end(events).state, end(events).stop_reason) == (RunState.COMPLETED, StopReason.CONTENT_FILTER)


async def test_the_loop_ends_after_max_steps(house: Engine) -> None:
    events = await house.play(call("echo"), call("echo"), max_steps=2)
    assert (end(events).state, end(events).stop_reason) == (RunState.COMPLETED, StopReason.MAX_STEPS)
    assert len(of(StepCompleted, events)) == 2


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (ModelOverloaded("busy", provider="test"), StopReason.MODEL_ERROR),
        (InvalidModelOutput(), StopReason.INVALID_MODEL_OUTPUT),
        (InsufficientCredits(), StopReason.INSUFFICIENT_CREDITS),
    ],
)
async def test_a_models_failure_ends_the_run_and_keeps_what_was_said(
    house: Engine, failure: LettaError, reason: StopReason
) -> None:
    events = await house.play([[TextChunk("so f")], failure])
    run = end(events)
    assert (run.state, run.stop_reason) == (RunState.FAILED, reason)
    assert run.error is not None
    assert run.error.reason == failure.reason
    assert [e.message.text for e in of(MessageCompleted, events)] == ["so f"]


async def test_an_operator_reads_of_each_run_that_failed(house: Engine, caplog: pytest.LogCaptureFixture) -> None:
    run = end(await house.play([ModelOverloaded("test is overloaded")]))
    (record,) = [record for record in caplog.records if record.getMessage().startswith("run failed")]
    assert record.getMessage() == "run failed: test is overloaded"
    told = (record.__dict__["run_id"], record.__dict__["agent_id"], record.__dict__["reason"])
    assert told == (run.id, run.agent_id, "MODEL_OVERLOADED")


async def test_a_failure_keeps_no_call_that_nobody_will_answer(house: Engine) -> None:
    events = await house.play([[TextChunk("I will"), ToolCallChunk(0, "id", "echo", "{")], ModelOverloaded()])
    assert of(MessageCompleted, events)[0].message.tool_calls == ()


async def test_nothing_of_an_unexpected_exception_is_told(house: Engine) -> None:
    events = await house.play([ZeroDivisionError("secret")])
    run = end(events)
    assert (run.state, run.stop_reason) == (RunState.FAILED, StopReason.INTERNAL_ERROR)
    assert "secret" not in repr(events)


async def test_an_answer_without_an_end_is_invalid(house: Engine) -> None:
    events = await house.play([[TextChunk("hello")]])
    assert end(events).stop_reason is StopReason.INVALID_MODEL_OUTPUT


async def test_an_endless_answer_is_stopped(house: Engine) -> None:
    events = await house.play([[TextChunk("x" * MAX_ANSWER_CHARACTERS)], [TextChunk("y")], [DONE]])
    assert end(events).stop_reason is StopReason.INVALID_MODEL_OUTPUT


async def test_a_long_return_is_cut_and_says_so(house: Engine) -> None:
    async def flood(_call: ToolCall) -> str:
        return "x" * 3_000_000

    house.tools.plays["flood"] = flood
    agent = await house.agents.create(NewAgent(model="test/model"))
    events = await house.play(call("flood"), say("done"), agent=agent)
    text = of(ToolReturned, events)[0].tool_return.text
    assert text.endswith("[cut: 50000 of 3000000 characters are shown]")
    assert len(text) < 51_000


async def test_long_outputs_of_a_tool_are_cut_by_lines_once_the_text_has_its_room(house: Engine) -> None:
    async def flood(_call: ToolCall) -> ToolResult:
        out, err = ("o" * 99_999,) * 3, ("e" * 49_999, "", "e" * 49_999)
        return ToolResult(status=ToolReturnStatus.SUCCESS, text="x" * 50_000, stdout=out, stderr=err)

    house.tools.plays["flood"] = flood
    agent = await house.agents.create(NewAgent(model="test/model"))
    events = await house.play(call("flood"), say("done"), agent=agent)
    returned = of(ToolReturned, events)[0].tool_return
    assert len(returned.text) == 50_000
    assert returned.stdout == ("o" * 99_999,) * 3
    assert returned.stderr == ("e" * 49_999, "[cut: 1 of 3 lines are shown]")


async def test_a_name_too_long_for_any_tool_is_no_name_and_an_id_too_long_is_replaced(house: Engine) -> None:
    turn: Turn = [
        [ToolCallChunk(0, "i" * 257, "echo", "{}"), ToolCallChunk(1, "id", "n" * 257, "{}")],
        [ModelFinished(FinishReason.TOOL_CALLS)],
    ]
    events = await house.play(turn, say("done"))
    calls = [c for e in of(MessageCompleted, events) for c in e.message.tool_calls]
    assert [(c.name, c.provider_id) for c in calls] == [("echo", None)]
    assert len(calls[0].id) < 64


@pytest.mark.parametrize(
    "pieces",
    [
        [ToolCallChunk(index, None, "echo", "") for index in range(1000)],
        [TextChunk("𝄞"), ReasoningChunk("𝄞")] * 150_000,
    ],
    ids=["calls", "parts"],
)
def test_an_answer_of_too_many_pieces_is_stopped_however_short_they_are(pieces: Sequence[ModelChunk]) -> None:
    answer = Answer(new_run_id(), new_step_id(), "test/model", (), admit=lambda _name: Admission())
    # As many in one read as a provider may send at once.
    reads = (pieces[start : start + 50] for start in range(0, len(pieces), 50))
    with pytest.raises(InvalidModelOutput):  # noqa: PT012 - one of many reads is one too many
        for read in reads:
            answer.take(read)
    assert next(reads, None)
    (message,) = answer.messages(datetime(2030, 1, 1, tzinfo=UTC))
    assert len(ProtoEventCodec().encode(1, 0, MessageCompleted(message))) < 2 * 2**20


@requirement("weakness_no_first_token_time")
async def test_usage_and_timing_are_told_at_step_and_run(house: Engine) -> None:
    finish = ModelFinished(FinishReason.STOP, Usage(prompt_tokens=7, completion_tokens=2, total_tokens=9, context_tokens=9))
    gate = asyncio.Event()
    house.model.turns += [[[TextChunk("a")], gate, [TextChunk("b")], [finish]]]
    run = await house.start()
    await house.model.reached.wait()
    house.clock.advance(2)
    gate.set()
    events = await house.events(run.id)
    step, ended = of(StepCompleted, events)[0], end(events)
    assert (
        step.usage
        == ended.usage
        == Usage(prompt_tokens=7, completion_tokens=2, total_tokens=9, context_tokens=9, step_count=1)
    )
    assert ended.timing is not None
    assert (ended.timing.time_to_first_token, ended.timing.total, ended.timing.tokens_per_second) == (0, 2, 1)


async def test_a_models_call_carries_the_trace_that_it_belongs_to() -> None:
    class Traced(NoTracing):
        def headers(self) -> Mapping[str, str]:
            return {"traceparent": "00-1-2-01"}

    async with asyncio.timeout(10), engine(tracing=Traced()) as house:
        await house.play(say("hi"))
    assert house.model.asked[0].headers == {"traceparent": "00-1-2-01"}
