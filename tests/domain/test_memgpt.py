import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letta_grpc.domain import memgpt
from letta_grpc.domain.completions import ToolDefinition
from letta_grpc.domain.messages import ImagePart, ReasoningPart, TextPart, ToolCall
from tests.support.values import assistant

SCHEMA = '{"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"], "additionalProperties": false}'
TOOL = ToolDefinition(name="look_up", description="Looks it up.", parameters=SCHEMA)


def call(name: str = "look_up", **arguments: object) -> ToolCall:
    return ToolCall(id="1", name=name, arguments=json.dumps(arguments))


def test_a_tool_thinks_first_and_says_last_whether_it_goes_on() -> None:
    schema = json.loads(memgpt.extended(TOOL).parameters)
    assert list(schema["properties"]) == ["thinking", "word", "request_heartbeat"]
    assert schema["required"] == ["thinking", "word", "request_heartbeat"]
    assert schema["additionalProperties"] is False


def test_who_speaks_is_not_asked_to_go_on() -> None:
    schema = json.loads(memgpt.extended(memgpt.SEND_MESSAGE_TOOL).parameters)
    assert schema["required"] == ["thinking", "message"]


@pytest.mark.parametrize("parameters", ["", "{}", "[1]", '{"properties": 1, "required": {}}'])
def test_a_tool_without_a_schema_takes_the_two_arguments(parameters: str) -> None:
    schema = json.loads(memgpt.extended(replace(TOOL, parameters=parameters)).parameters)
    assert schema["required"] == ["thinking", "request_heartbeat"]


def test_a_tool_is_run_with_its_own_arguments_alone() -> None:
    assert memgpt.as_run(call(thinking="Hm", word="ä", request_heartbeat=True)).arguments == '{"word": "ä"}'
    broken = replace(call(), arguments='{"word')
    assert memgpt.as_run(broken) == broken


@pytest.mark.parametrize(
    ("asked", "wanted"), [(True, True), ("True", True), (False, False), ("no", False), (1, False), (None, False)]
)
def test_a_heartbeat_is_what_the_model_asks_for(asked: object, wanted: bool) -> None:  # noqa: FBT001 - a parameter
    assert memgpt.wants_heartbeat(call(request_heartbeat=asked)) is wanted
    assert not memgpt.wants_heartbeat(replace(call(), arguments="{"))


def test_a_heartbeat_says_why_and_when() -> None:
    text = memgpt.heartbeat(memgpt.WANTED_HEARTBEAT, datetime(2030, 1, 1, 12, tzinfo=UTC), "Europe/Berlin")
    assert json.loads(text) == {
        "type": "heartbeat",
        "reason": memgpt.WANTED_HEARTBEAT,
        "time": "2030-01-01 01:00:00 PM CET+0100",
    }


def test_the_model_is_not_shown_twice_what_it_said_and_thought() -> None:
    message = replace(
        assistant("a"),
        content=(ReasoningPart("Hm"), TextPart("Hi"), ReasoningPart("native"), TextPart("beside"), ImagePart(data="x")),
        tool_calls=(call("send_message", thinking="Hm", message="Hi"), call(message="beside")),
    )
    (shown,) = memgpt.as_shown([message])
    assert shown.content == (ReasoningPart("native"), TextPart("beside"), ImagePart(data="x"))
    assert shown.tool_calls == message.tool_calls


def test_words_are_heard_when_they_stand_beside_their_call() -> None:
    message = assistant("a", words="Hi")
    assert memgpt.is_heard(call("send_message", message="Hi"), message)
    assert memgpt.is_heard(call("send_message", message=7), message)
    assert not memgpt.is_heard(call("send_message", message="Ho"), message)


def test_words_without_calls_are_shown_as_they_are() -> None:
    assert memgpt.as_shown([assistant("a", words="Hi")]) == (assistant("a", words="Hi"),)


@given(st.text())
def test_what_is_said_in_plain_words_is_what_send_message_says(words: str) -> None:
    assert json.loads(memgpt.spoken(words)) == {"message": words}


NAMES = st.sampled_from(["thinking", "message", "word", "request_heartbeat"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just("Hi"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | NAMES, inner),
)


@given(JSON | st.dictionaries(NAMES, JSON))
def test_any_arguments_can_be_run_without_the_two_that_every_tool_takes(arguments: object) -> None:
    odd = ToolCall(id="1", name="look_up", arguments=json.dumps(arguments))
    ran = json.loads(memgpt.as_run(odd).arguments)
    if isinstance(arguments, dict):
        assert ran == {name: value for name, value in arguments.items() if name not in ("thinking", "request_heartbeat")}
    else:
        assert ran == arguments


@given(JSON | st.dictionaries(NAMES, JSON))
def test_any_arguments_can_be_shown_and_only_what_they_say_is_not_beside_them(arguments: object) -> None:
    odd = ToolCall(id="2", name="send_message", arguments=json.dumps(arguments))
    said = replace(assistant("a", words="Hi"), tool_calls=(call("send_message", message="Ho"), odd))
    (shown,) = memgpt.as_shown([said])
    assert shown.tool_calls == said.tool_calls
    is_said_in_call = isinstance(arguments, dict) and arguments.get("message") == "Hi"
    assert shown.content == (() if is_said_in_call else said.content)
