"""Values of the domain for tests: any of them by Hypothesis, and plain ones to begin from."""

from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

from hypothesis import strategies as st

from letta_grpc.domain.events import RunEvent
from letta_grpc.domain.ids import AgentId, ConversationId, MessageId, RunId, StepId
from letta_grpc.domain.messages import (
    ImagePart,
    Message,
    Role,
    SpokenInput,
    TextPart,
    ToolCall,
    ToolReturn,
    ToolReturnStatus,
)
from letta_grpc.domain.runs import Run, RunSpec, RunState

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
RUN_ID = RunId("run-00000000-0000-4000-8000-000000000001")
AGENT_ID = AgentId("agent-00000000-0000-4000-8000-000000000001")
CONVERSATION_ID = ConversationId("conv-00000000-0000-4000-8000-000000000001")
STEP_ID = StepId("step-00000000-0000-4000-8000-000000000001")


def events() -> st.SearchStrategy[RunEvent]:
    """Any event: a new one is in it from the day it is in the union."""
    return st.one_of([any_of(kind) for kind in get_args(RunEvent)])


def any_of(kind: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 - unions are no type as far as annotations go
    """Any value of a domain type; times are aware and whole microseconds."""
    return st.from_type(kind)


def _images() -> st.SearchStrategy[ImagePart]:
    return st.builds(
        ImagePart,
        media_type=st.just("image/png"),
        data=st.binary(max_size=9).map(lambda data: b64encode(data).decode()),
        url=st.just(""),
    )


def _returns() -> st.SearchStrategy[ToolReturn]:
    return st.builds(ToolReturn, content=st.just(()))


def _returns_of_parts() -> st.SearchStrategy[ToolReturn]:
    """Returns of more than text: their text is that of the parts."""
    parts = st.lists(st.one_of(_images(), st.from_type(TextPart)), min_size=1, max_size=3).map(tuple)
    return st.builds(ToolReturn, content=parts, text=st.just("")).map(
        lambda given: replace(given, text="\n".join(part.text for part in given.content if isinstance(part, TextPart)))
    )


def _register() -> None:
    moments = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
    st.register_type_strategy(datetime, moments)
    st.register_type_strategy(int, st.integers(min_value=0, max_value=2**31 - 1))
    st.register_type_strategy(float, st.integers(min_value=0, max_value=10**9).map(lambda n: n / 1000))
    st.register_type_strategy(bytes, st.binary(max_size=20))
    st.register_type_strategy(ImagePart, st.one_of(_images(), st.builds(ImagePart, url=st.just("https://example.com/a.png"))))
    st.register_type_strategy(ToolReturn, st.one_of(_returns(), _returns_of_parts()))
    st.register_type_strategy(str, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20))


_register()


def text(words: str, role: Role = Role.USER) -> SpokenInput:
    """An input message of plain text."""
    return SpokenInput(role=role, content=(TextPart(words),))


def spec(words: str = "hello", **changes: Any) -> RunSpec:  # noqa: ANN401 - any field
    """A spec of one user message."""
    return RunSpec(messages=(text(words),), **changes)


def run(**changes: Any) -> Run:  # noqa: ANN401 - any field
    """A run at work."""
    values: dict[str, Any] = {
        "id": RUN_ID,
        "agent_id": AGENT_ID,
        "conversation_id": CONVERSATION_ID,
        "request_id": "request",
        "model": "scripted/echo",
        "state": RunState.RUNNING,
        "create_time": NOW,
        "start_time": NOW,
    }
    return Run(**(values | changes))


def assistant(name: str, *calls: str, words: str = "") -> Message:
    """A model's message with calls of these ids."""
    return Message(
        id=MessageId(f"message-{name}"),
        role=Role.ASSISTANT,
        content=(TextPart(words),) if words else (),
        tool_calls=tuple(ToolCall(id=call, name="tool", arguments="{}") for call in calls),
        run_id=RUN_ID,
        step_id=STEP_ID,
        create_time=NOW,
    )


def returned(call: str, words: str = "fine", status: ToolReturnStatus = ToolReturnStatus.SUCCESS) -> ToolReturn:
    """What a call gave."""
    return ToolReturn(tool_call_id=call, status=status, text=words)


def tool_message(name: str, *calls: str) -> Message:
    """A tool message with returns of these calls."""
    return Message(
        id=MessageId(f"message-{name}"),
        role=Role.TOOL,
        tool_returns=tuple(returned(call) for call in calls),
        run_id=RUN_ID,
        step_id=STEP_ID,
        create_time=NOW,
    )
