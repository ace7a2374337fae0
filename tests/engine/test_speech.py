"""What an answer says by its calls, however the provider cuts it: what is streamed is what is kept."""

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from letta_grpc.adapters.jiter import Jiter
from letta_grpc.domain.completions import FinishReason, ModelChunk, ModelFinished, ReasoningChunk, TextChunk, ToolCallChunk
from letta_grpc.domain.events import ReasoningDelta, RunEvent, TextDelta, ToolCallDelta
from letta_grpc.domain.ids import new_run_id, new_step_id
from letta_grpc.domain.messages import Message, ReasoningPart, TextPart
from letta_grpc.engine.answer import Admission, Answer

NOW = datetime(2030, 1, 1, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ARGUMENTS = st.one_of(
    st.fixed_dictionaries({}, optional={"thinking": TEXT, "message": TEXT, "word": TEXT}).map(json.dumps),
    st.fixed_dictionaries({}, optional={"message": TEXT, "thinking": TEXT}).map(lambda it: json.dumps(it, ensure_ascii=False)),
    TEXT,
)
# What the model says: words, reasoning, or a call with its arguments.
SAYING = st.one_of(
    TEXT.map(TextChunk),
    TEXT.map(ReasoningChunk),
    st.tuples(st.sampled_from(["send_message", "look"]), ARGUMENTS),
)


def chunks_of(sayings: list[TextChunk | ReasoningChunk | tuple[str, str]], sizes: list[int]) -> list[ModelChunk]:
    """The answer as it comes, the arguments in pieces of these sizes."""
    chunks: list[ModelChunk] = []
    for index, saying in enumerate(sayings):
        if not isinstance(saying, tuple):
            chunks.append(saying)
            continue
        name, rest = saying
        for size in [*sizes, len(rest) or 1]:
            chunks.append(ToolCallChunk(index, f"call-{index}", name, rest[:size]))
            rest = rest[size:]
    return [*chunks, ModelFinished(FinishReason.TOOL_CALLS)]


def answered(chunks: list[ModelChunk]) -> tuple[list[RunEvent], Message | None]:
    answer = Answer(new_run_id(), new_step_id(), "m", (), admit=lambda _name: Admission(), partial_json=Jiter())
    events = [event for chunk in chunks for event in answer.take([chunk])]
    return events, next(iter(answer.messages(NOW)), None)


@given(st.lists(SAYING, max_size=4), st.lists(st.integers(1, 5), max_size=20))
def test_what_is_streamed_is_what_is_kept(
    sayings: list[TextChunk | ReasoningChunk | tuple[str, str]], sizes: list[int]
) -> None:
    events, message = answered(chunks_of(sayings, sizes))
    content = message.content if message else ()
    texts: dict[int, str] = {}
    for event in events:
        if isinstance(event, TextDelta):
            texts[event.content_index] = texts.get(event.content_index, "") + event.text
    assert texts == {index: part.text for index, part in enumerate(content) if isinstance(part, TextPart)}
    reasoning = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    assert reasoning == "".join(part.text for part in content if isinstance(part, ReasoningPart))
    deltas = [event for event in events if isinstance(event, TextDelta | ReasoningDelta | ToolCallDelta)]
    assert {delta.message_id for delta in deltas} <= {message.id if message else None}
    shown: dict[str, str] = {}
    for event in events:
        if isinstance(event, ToolCallDelta):
            shown[event.tool_call_id] = shown.get(event.tool_call_id, "") + event.arguments
    kept = {call.id: call.arguments for call in message.tool_calls if call.name != "send_message"} if message else {}
    assert shown == kept


@given(st.lists(SAYING, max_size=4), st.lists(st.integers(1, 5), max_size=20), st.lists(st.integers(1, 5), max_size=20))
def test_how_the_arguments_are_cut_makes_no_difference(
    sayings: list[TextChunk | ReasoningChunk | tuple[str, str]], some: list[int], others: list[int]
) -> None:
    first, second = (answered(chunks_of(sayings, sizes))[1] for sizes in (some, others))
    assert (first and first.content) == (second and second.content)
    assert (
        [call.arguments for call in first.tool_calls] == [call.arguments for call in second.tool_calls]
        if first and second
        else True
    )


THOUGHTS = st.builds(json.dumps, st.fixed_dictionaries({"thinking": TEXT.filter(bool)}), ensure_ascii=st.booleans())


@given(THOUGHTS, st.lists(st.integers(1, 5), max_size=40))
def test_a_call_is_told_behind_what_it_begins_to_think_however_it_is_cut(arguments: str, sizes: list[int]) -> None:
    events, _ = answered(chunks_of([("look", arguments)], sizes))
    told = [type(event) for event in events if isinstance(event, ReasoningDelta | ToolCallDelta)]
    assert told[0] is ReasoningDelta


def test_a_call_that_does_not_begin_with_a_thought_is_told_at_once() -> None:
    events, _ = answered(chunks_of([("look", '{"word": "x", "thinking": "y"}')], [3, 4]))
    assert next(event.arguments for event in events if isinstance(event, ToolCallDelta)) == '{"w'


def test_a_call_that_ends_before_it_is_known_how_it_begins_is_told_in_the_end() -> None:
    events, _ = answered(chunks_of([("look", "{")], []))
    assert [event.arguments for event in events if isinstance(event, ToolCallDelta)] == ["{"]
