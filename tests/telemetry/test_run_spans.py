import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from opentelemetry.sdk.metrics.export import HistogramDataPoint, NumberDataPoint
from opentelemetry.trace import SpanKind, StatusCode

from letta_grpc.domain.completions import FinishReason, ModelFinished, TextChunk
from letta_grpc.domain.errors import ModelRateLimited
from letta_grpc.domain.messages import ToolCall, ToolReturnStatus
from letta_grpc.domain.runs import Run
from letta_grpc.domain.usage import Usage
from letta_grpc.engine.starts import StartRequest
from letta_grpc.ports.tools import ToolResult
from letta_grpc.testing.tracing import RecordingTracing
from tests.requirements.registry import requirement
from tests.support.engine import DirectedTools, Engine, Move, call, say
from tests.support.traced import (
    CALLER_SPAN,
    TRACE_ID,
    TRACEPARENT,
    Collected,
    attributes,
    home,
    id_of,
    parent_of,
    trace_of,
    traced_engine,
)
from tests.support.values import spec

SECRET = "hush-hush"
LABELS = {"gen_ai.provider.name": "test", "gen_ai.request.model": "model"}


@pytest.fixture(autouse=True)
async def bounded() -> AsyncIterator[None]:
    async with asyncio.timeout(10):
        yield


async def start(house: Engine, words: str = "hello", traceparent: str | None = TRACEPARENT) -> Run:
    request = StartRequest(
        agent_id=house.agent.id, conversation_id=None, request_id=None, spec=spec(words), traceparent=traceparent
    )
    return await house.runs.start(request)


async def play(collected: Collected, *turns: list[Move], tools: DirectedTools | None = None, words: str = "hello") -> Run:
    """Run these turns to their end, and the engine too, so that every span has ended."""
    async with traced_engine(collected.telemetry.tracing, *turns, tools=tools) as house:
        run = await start(house, words)
        await house.events(run.id)
        await house.supervisor.idle()
    return run


def usage(prompt: int | None, completion: int | None) -> list[Move]:
    spent = Usage(prompt_tokens=prompt, completion_tokens=completion)
    return [[TextChunk("hi")], [ModelFinished(FinishReason.STOP, spent)]]


async def echo(called: ToolCall) -> str:
    return called.arguments


async def test_run_step_model_and_tool_nest_in_the_callers_trace() -> None:
    collected = Collected()
    await play(collected, call("echo"), say("done"), tools=DirectedTools({"echo": echo}))
    names = [(span.name, span.kind) for span in collected.spans]
    assert names == [
        ("invoke_agent", SpanKind.INTERNAL),
        ("time_to_first_token", SpanKind.INTERNAL),
        ("step", SpanKind.INTERNAL),
        ("chat model", SpanKind.CLIENT),
        ("execute_tool echo", SpanKind.INTERNAL),
        ("step", SpanKind.INTERNAL),
        ("chat model", SpanKind.CLIENT),
    ]
    run, first_token, first, first_chat, tool, second, second_chat = collected.spans
    assert {trace_of(span) for span in collected.spans} == {TRACE_ID}
    assert parent_of(run) == CALLER_SPAN
    assert parent_of(first_token) == parent_of(first) == parent_of(second) == id_of(run)
    assert parent_of(first_chat) == parent_of(tool) == id_of(first)
    assert parent_of(second_chat) == id_of(second)


async def test_spans_say_what_the_conventions_name() -> None:
    collected = Collected()
    run = await play(collected, usage(11, 7))
    run_span = attributes(collected.span("invoke_agent"))
    seconds = run_span.pop("gen_ai.response.time_to_first_chunk")
    assert isinstance(seconds, float)
    assert run_span == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.id": run.agent_id,
        "gen_ai.conversation.id": run.conversation_id,
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 7,
        "letta_grpc.run.id": run.id,
        "letta_grpc.run.attempt": 1,
        **LABELS,
    }
    chat = attributes(collected.span("chat model"))
    del chat["gen_ai.response.time_to_first_chunk"]
    assert chat == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.stream": True,
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 7,
        **LABELS,
    }
    assert attributes(collected.span("step")) == {"letta_grpc.run.id": run.id, "letta_grpc.step.index": 0}


async def test_tokens_are_measured_once_a_call_and_only_where_they_were_reported() -> None:
    collected = Collected()
    await play(collected, usage(11, None))
    (point,) = collected.points("gen_ai.client.token.usage")
    assert isinstance(point, HistogramDataPoint)
    assert (point.count, point.sum) == (1, 11)
    assert dict(point.attributes or {}) == {"gen_ai.operation.name": "chat", "gen_ai.token.type": "input", **LABELS}


async def test_durations_and_first_tokens_are_measured() -> None:
    collected = Collected()
    await play(collected, call("echo"), say("done"), tools=DirectedTools({"echo": echo}))
    chat = {"gen_ai.operation.name": "chat", **LABELS}
    assert collected.measured("gen_ai.invoke_agent.duration") == [LABELS]
    assert collected.measured("letta_grpc.run.time_to_first_token") == [LABELS]
    assert collected.measured("gen_ai.client.operation.duration") == [chat]
    assert collected.measured("gen_ai.client.operation.time_to_first_chunk") == [chat]
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "echo"}
    assert collected.measured("gen_ai.execute_tool.duration") == [tool]
    (calls,) = collected.points("gen_ai.client.operation.duration")
    (first_tokens,) = collected.points("letta_grpc.run.time_to_first_token")
    assert isinstance(calls, HistogramDataPoint)
    assert isinstance(first_tokens, HistogramDataPoint)
    assert (calls.count, first_tokens.count) == (2, 1)


async def test_the_time_to_the_first_token_is_a_span_that_says_its_milliseconds() -> None:
    collected = Collected()
    await play(collected, say("one", "two"))
    span, run = collected.span("time_to_first_token"), collected.span("invoke_agent")
    assert attributes(span) == LABELS
    (event,) = span.events
    assert event.name == "time_to_first_token_ms"
    seconds = attributes(run)["gen_ai.response.time_to_first_chunk"]
    assert isinstance(seconds, float)
    assert dict(event.attributes or {}) == {"ttft_ms": int(seconds * 1000)}
    assert (span.end_time or 0) - (span.start_time or 0) == round(seconds * 1e9)


async def test_a_run_without_a_token_has_no_time_to_the_first_and_leaves_nothing_open() -> None:
    collected = Collected()
    await play(collected, [ModelRateLimited("Slowly.")])
    assert [span.name for span in collected.spans] == ["invoke_agent", "step", "chat model"]
    assert collected.measured("letta_grpc.run.time_to_first_token") == []


async def test_a_run_is_active_as_long_as_it_is_worked_on() -> None:
    collected, go_on = Collected(), asyncio.Event()

    def active() -> int | float:
        (point,) = collected.points("letta_grpc.run.active")
        assert isinstance(point, NumberDataPoint)
        return point.value

    async with traced_engine(collected.telemetry.tracing, [go_on, *say("done")]) as house:
        run = await start(house)
        await house.model.reached.wait()
        assert active() == 1
        go_on.set()
        await house.events(run.id)
        await house.supervisor.idle()
        assert active() == 0


async def test_the_reason_of_a_failed_run_is_its_error_type() -> None:
    collected = Collected()
    await play(collected, [ModelRateLimited(SECRET)])
    for span in collected.spans:
        assert span.status.status_code is StatusCode.ERROR
        assert attributes(span)["error.type"] == "MODEL_RATE_LIMITED"
        assert not span.events
    failed = {"error.type": "MODEL_RATE_LIMITED", **LABELS}
    assert collected.measured("gen_ai.invoke_agent.duration") == [failed]
    assert collected.measured("gen_ai.client.operation.duration") == [{"gen_ai.operation.name": "chat", **failed}]
    assert SECRET not in everything(collected)


async def test_a_tool_that_returns_an_error_fails_its_own_span_alone() -> None:
    async def fail(_: ToolCall) -> ToolResult:
        return ToolResult(status=ToolReturnStatus.ERROR, text="no")

    collected = Collected()
    await play(collected, call("fail"), say("done"), tools=DirectedTools({"fail": fail}))
    failed = [span.name for span in collected.spans if span.status.status_code is StatusCode.ERROR]
    assert failed == ["execute_tool fail"]
    assert attributes(collected.span("execute_tool fail"))["error.type"] == "TOOL_ERROR"


@requirement("defect_open_span")
async def test_a_run_in_which_the_model_says_nothing_ends_all_its_spans() -> None:
    collected = Collected()
    await play(collected, [[ModelFinished(FinishReason.STOP)]])
    # Only spans that have ended are collected.
    assert sorted(span.name.split()[0] for span in collected.spans) == sorted(["chat", "invoke_agent", "step"])
    assert not collected.span("chat model").events


async def test_a_cancelled_model_call_is_told_as_cancelled_and_not_as_failed() -> None:
    collected = Collected()
    async with traced_engine(collected.telemetry.tracing, [asyncio.Event()]) as house:
        run = await start(house)
        await house.model.reached.wait()
        await house.runs.cancel(run.id)
        await house.events(run.id)
        await house.supervisor.idle()
    chat = collected.span("chat model")
    assert attributes(chat)["letta_grpc.cancelled"] is True
    assert all(span.status.status_code is StatusCode.UNSET for span in collected.spans)


async def test_nothing_that_people_models_or_tools_say_is_told() -> None:
    async def tell(_: ToolCall) -> str:
        return f"{SECRET} of the tool"

    collected = Collected()
    arguments = json.dumps({"text": f"{SECRET} of the model"})
    turns = call("tell", arguments=arguments), say(f"{SECRET} of the answer")
    await play(collected, *turns, tools=DirectedTools({"tell": tell}), words=f"{SECRET} of the person")
    assert len(collected.spans) == 7
    assert SECRET not in everything(collected)


async def test_a_run_that_is_taken_over_stays_in_the_trace_of_the_call_that_started_it() -> None:
    house, first, second = home(), Collected(), Collected()
    async with traced_engine(first.telemetry.tracing, [[TextChunk("so f")], asyncio.Event()], at=house) as dying:
        run = await start(dying)
        await dying.model.reached.wait()
    house.clock.advance(31)
    async with traced_engine(second.telemetry.tracing, say("anew"), at=house) as heir:
        await heir.events(run.id)
        await heir.supervisor.idle()
    attempts = [collected.span("invoke_agent") for collected in (first, second)]
    assert [attributes(span)["letta_grpc.run.attempt"] for span in attempts] == [1, 2]
    assert [(trace_of(span), parent_of(span)) for span in attempts] == [(TRACE_ID, CALLER_SPAN)] * 2


async def test_the_provider_is_given_the_trace_context() -> None:
    collected = Collected()
    async with traced_engine(collected.telemetry.tracing, say("done")) as house:
        await house.events((await start(house)).id)
        await house.supervisor.idle()
        (asked,) = house.model.asked
    version, trace, span, flags = asked.headers["traceparent"].split("-")
    assert (version, trace, flags) == ("00", TRACE_ID, "01")
    assert span in {id_of(span) for span in collected.spans}


async def test_a_run_without_a_callers_trace_begins_its_own() -> None:
    collected = Collected()
    async with traced_engine(collected.telemetry.tracing, say("done")) as house:
        await house.events((await start(house, traceparent=None)).id)
        await house.supervisor.idle()
    run = collected.span("invoke_agent")
    assert run.parent is None
    assert {trace_of(span) for span in collected.spans} == {trace_of(run)}


async def test_the_recording_tracing_sees_what_opentelemetry_sees() -> None:
    recording, tools = RecordingTracing(), DirectedTools({"echo": echo})
    async with traced_engine(recording, call("echo"), say("done"), tools=tools) as house:
        await house.events((await start(house)).id)
        await house.supervisor.idle()
    (run,) = recording.of("run")
    assert [(span.kind, span.name, span.parent and span.parent.kind) for span in recording.spans] == [
        ("run", "run", None),
        ("step", "step", "run"),
        ("model call", "test/model", "step"),
        ("tool call", "echo", "step"),
        ("step", "step", "run"),
        ("model call", "test/model", "step"),
    ]
    assert (run.trace_id, run.first_tokens, len(run.usages)) == (TRACE_ID, 2, 1)
    assert all(span.ended for span in recording.spans)


def everything(collected: Collected) -> str:
    """All that was told, as text."""
    return "".join(span.to_json() for span in collected.spans) + repr(collected.all_metrics())
