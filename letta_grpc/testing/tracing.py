"""A Tracing that remembers its spans, and what every Tracing promises."""
# ruff: noqa: S101 - assert is what a contract does

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar
from uuid import uuid4

import pytest

from letta_grpc.domain.completions import ModelRequest
from letta_grpc.domain.ids import AgentId, ConversationId, RunId
from letta_grpc.domain.messages import ToolCall
from letta_grpc.domain.runs import Run, RunState
from letta_grpc.domain.usage import Usage
from letta_grpc.ports.tracing import Span, Tracing

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


@dataclass(eq=False)
class RecordedSpan:
    """What was said of a span. `name` is "run", "step", or the model's or tool's own."""

    kind: str
    name: str
    parent: "RecordedSpan | None"
    trace_id: str
    span_id: str = field(default_factory=lambda: uuid4().hex[:16])
    reasons: list[str] = field(default_factory=list)
    first_tokens: int = 0
    usages: list[Usage] = field(default_factory=list)
    error: BaseException | None = None
    ended: bool = False

    def fail(self, reason: str) -> None:
        """Remember the reason."""
        self.reasons.append(reason)

    def first_token(self) -> None:
        """Count it."""
        self.first_tokens += 1

    def used(self, usage: Usage) -> None:
        """Remember the usage."""
        self.usages.append(usage)


_current: ContextVar[RecordedSpan | None] = ContextVar("recorded_span", default=None)


class RecordingTracing:
    """Keeps every span, in the order in which they were opened."""

    def __init__(self) -> None:
        self.spans: list[RecordedSpan] = []

    def of(self, kind: str) -> list[RecordedSpan]:
        """Return the spans of a kind: "run", "step", "model call", "tool call"."""
        return [span for span in self.spans if span.kind == kind]

    def run(self, run: Run, traceparent: str | None) -> AbstractContextManager[Span]:  # noqa: ARG002 - the port's shape
        """Record a run, in the trace of the caller's."""
        match = _TRACEPARENT.fullmatch(traceparent or "")
        return self._record("run", "run", None, match.group(1) if match else uuid4().hex)

    def step(self, run_id: RunId, index: int) -> AbstractContextManager[Span]:  # noqa: ARG002 - the port's shape
        """Record a step."""
        return self._inside("step", "step")

    def model_call(self, handle: str, request: ModelRequest) -> AbstractContextManager[Span]:  # noqa: ARG002 - the port's shape
        """Record a call of a model, under its handle."""
        return self._inside("model call", handle)

    def tool_call(self, call: ToolCall) -> AbstractContextManager[Span]:
        """Record a call of a tool, under its name."""
        return self._inside("tool call", call.name)

    def headers(self) -> Mapping[str, str]:
        """Return the context of the open span."""
        span = _current.get()
        return {"traceparent": f"00-{span.trace_id}-{span.span_id}-01"} if span else {}

    def _inside(self, kind: str, name: str) -> AbstractContextManager[Span]:
        parent = _current.get()
        return self._record(kind, name, parent, parent.trace_id if parent else uuid4().hex)

    @contextmanager
    def _record(self, kind: str, name: str, parent: RecordedSpan | None, trace_id: str) -> Iterator[RecordedSpan]:
        span = RecordedSpan(kind, name, parent, trace_id)
        self.spans.append(span)
        token = _current.set(span)
        try:
            yield span
        except BaseException as error:
            span.error = error
            raise
        finally:
            _current.reset(token)
            span.ended = True


class _FailedError(Exception):
    """Something inside a span failed."""


class TracingContract:
    """What a Tracing promises. A subclass gives the fixture `tracing`."""

    # Whether spans have a context at all: a tracing that is switched off has none.
    has_context: ClassVar[bool] = True

    def test_spans_of_every_kind_nest_and_take_what_is_said_of_them(self, tracing: Tracing) -> None:
        """In the order of the engine."""
        with tracing.run(_run(), TRACEPARENT) as run:
            with tracing.step(_run().id, 0):
                with tracing.model_call("openai/gpt", _request()) as call:
                    call.first_token()
                    run.first_token()
                    call.used(Usage(prompt_tokens=1))
                with tracing.tool_call(_call()) as tool:
                    tool.fail("TOOL_ERROR")
            run.used(Usage())

    @pytest.mark.parametrize("error", [_FailedError(), asyncio.CancelledError(), GeneratorExit()], ids=repr)
    def test_an_exception_goes_through_every_span(self, tracing: Tracing, error: BaseException) -> None:
        """As the same object."""
        opened = tracing.run(_run(), None), tracing.step(_run().id, 0), tracing.tool_call(_call())
        for span in opened:
            with pytest.raises(type(error)) as raised, span:
                raise error
            assert raised.value is error

    def test_outside_of_spans_there_is_no_context(self, tracing: Tracing) -> None:
        """Before and after one."""
        assert tracing.headers() == {}
        with tracing.run(_run(), TRACEPARENT):
            pass
        assert tracing.headers() == {}

    def test_the_context_is_of_the_callers_trace_and_of_the_innermost_span(self, tracing: Tracing) -> None:
        """So that a provider's spans hang on ours."""
        with tracing.run(_run(), TRACEPARENT):
            in_run = _span_id(tracing)
            with tracing.step(_run().id, 0):
                in_step = _span_id(tracing)
            assert _span_id(tracing) == in_run
        if self.has_context:
            assert len({in_run, in_step, TRACEPARENT.split("-")[2]}) == 3  # noqa: PLR2004 - all three differ
        else:
            assert in_run is in_step is None

    @pytest.mark.parametrize("traceparent", [None, "", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
    def test_a_run_without_a_callers_trace_begins_one(self, tracing: Tracing, traceparent: str | None) -> None:
        """Also where what was stored is no trace context."""
        with tracing.run(_run(), traceparent):
            headers = tracing.headers()
        assert ("traceparent" in headers) is self.has_context

    async def test_spans_of_tasks_side_by_side_do_not_mix(self, tracing: Tracing) -> None:
        """Each hangs on the span that was open where its task was made."""
        all_open = asyncio.Barrier(3)

        async def run_tool() -> str | None:
            with tracing.tool_call(_call()):
                await all_open.wait()
                return _span_id(tracing)

        with tracing.run(_run(), TRACEPARENT):
            outer = _span_id(tracing)
            async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
                tools = [tasks.create_task(run_tool()) for _ in range(3)]
            assert _span_id(tracing) == outer
        if self.has_context:
            assert len({outer, *(tool.result() for tool in tools)}) == 4  # noqa: PLR2004 - all four differ


def _span_id(tracing: Tracing) -> str | None:
    header = tracing.headers().get("traceparent")
    if header is None:
        return None
    match = _TRACEPARENT.fullmatch(header)
    assert match
    assert match.group(1) == TRACE_ID
    return match.group(2)


def _run() -> Run:
    return Run(
        id=RunId("run-00000000-0000-4000-8000-000000000001"),
        agent_id=AgentId("agent-00000000-0000-4000-8000-000000000001"),
        conversation_id=ConversationId("conv-00000000-0000-4000-8000-000000000001"),
        request_id="request",
        model="openai/gpt",
        state=RunState.RUNNING,
        create_time=datetime(2030, 1, 1, tzinfo=UTC),
    )


def _request() -> ModelRequest:
    return ModelRequest(model="gpt", system="", messages=())


def _call() -> ToolCall:
    return ToolCall(id="call-1", name="memory_insert", arguments="{}")
