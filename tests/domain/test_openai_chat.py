import copy
import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given

from letta_grpc.domain.agents import AgentKind
from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.domain.messages import (
    ImagePart,
    Message,
    ReasoningPart,
    Role,
    TextPart,
    ToolCall,
    ToolReturn,
    ToolReturnStatus,
)
from letta_grpc.domain.openai_chat import assistant_said, chat_messages, last_user_message
from tests.domain.test_history import histories, said
from tests.requirements.registry import requirement
from tests.support.values import NOW, RUN_ID, assistant, returned, tool_message


def calling(*calls: ToolCall) -> Message:
    return replace(assistant("a"), tool_calls=calls)


def speaking(arguments: str) -> ToolCall:
    return ToolCall(id="1", name="send_message", arguments=arguments)


@requirement("defect_empty_history")
def test_an_empty_history_is_an_empty_chat() -> None:
    assert chat_messages([]) == []


def test_a_turn_with_calls_is_the_assistants_message_and_one_tool_message_for_each_return() -> None:
    chat = chat_messages([said(Role.USER, "look"), assistant("a", "1", "2", words="I look."), tool_message("b", "1", "2")])
    assert [message["role"] for message in chat] == ["user", "assistant", "tool", "tool"]
    assert chat[1]["content"] == "I look."
    assert chat[1]["tool_calls"] == [
        {"id": call_id, "type": "function", "function": {"name": "tool", "arguments": "{}"}} for call_id in "12"
    ]
    assert [message["tool_call_id"] for message in chat[2:]] == ["1", "2"]
    assert json.loads(str(chat[2]["content"]))["message"] == "fine"


def test_system_messages_are_left_out_if_wanted_but_for_the_first_message() -> None:
    history = [said(Role.SYSTEM, "law"), said(Role.USER), said(Role.SYSTEM, "more")]
    assert len(chat_messages(history)) == 3
    assert [message["content"] for message in chat_messages(history, without_system=True)] == ["law", "hello"]


def test_what_send_message_says_is_plain_text_and_its_return_is_not_shown() -> None:
    chat = chat_messages([calling(speaking('{"message": "Hi!"}')), tool_message("b", "1")])
    assert chat == [{"role": "assistant", "content": "Hi!"}]


@requirement("defect_lost_calls")
def test_calls_beside_send_message_stay_with_their_returns() -> None:
    other = ToolCall(id="2", name="tool", arguments="{}")
    chat = chat_messages([calling(speaking('{"message": "Hi!"}'), other), tool_message("b", "1", "2")])
    calls = [{"id": "2", "type": "function", "function": {"name": "tool", "arguments": "{}"}}]
    assert chat[0] == {"role": "assistant", "content": "Hi!", "tool_calls": calls}
    assert [said["tool_call_id"] for said in chat[1:]] == ["2"]


@requirement("defect_lost_calls")
@pytest.mark.parametrize("arguments", ["", "{}", "{not json", '{"message": 7}', "[]", '{"message": null}'])
def test_a_send_message_without_a_message_says_nothing_and_breaks_nothing(arguments: str) -> None:
    chat = chat_messages([calling(speaking(arguments)), tool_message("b", "1")])
    assert chat == [{"role": "assistant", "content": ""}]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"message": "hello", "time": "now"}', "hello"),
        ('  {"message": "hello"}', "hello"),
        ('{"message": 7}', '{"message": 7}'),
        ('{"other": "x"}', '{"other": "x"}'),
        ("{broken", "{broken"),
        ("plain", "plain"),
    ],
)
def test_a_users_message_that_the_server_packaged_is_unpacked(text: str, shown: str) -> None:
    assert chat_messages([said(Role.USER, text)]) == [{"role": "user", "content": shown}]


def test_pictures_are_parts() -> None:
    parts = (TextPart("see"), ImagePart(media_type="image/png", data="aGk="), ImagePart(url="https://example.org/x.png"))
    assert chat_messages([said(Role.USER, content=parts)])[0]["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "image_url", "image_url": {"url": "https://example.org/x.png"}},
    ]


@requirement("defect_no_form")
def test_a_message_without_anything_to_say_has_no_place_in_a_chat() -> None:
    thought = replace(assistant("b"), content=(ReasoningPart("hm", signature="s"),))
    assert chat_messages([assistant("a"), thought]) == []


@given(histories())
def test_whatever_the_history_every_call_of_the_chat_has_its_one_return_right_behind_it(history: list[Message]) -> None:
    before = copy.deepcopy(history)
    due: list[object] = []
    for message in chat_messages(history):
        if message["role"] == "tool":
            assert due
            assert message["tool_call_id"] == due.pop(0)
        else:
            assert not due
            calls = message.get("tool_calls", [])
            assert isinstance(calls, list)
            due = [call["id"] for call in calls]
    assert not due
    assert history == before
    json.dumps(chat_messages(history))


def test_the_last_user_message_of_a_chat_request_is_its_input() -> None:
    request = {"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "hello"}]}
    before = copy.deepcopy(request)
    given_input = last_user_message(request)
    assert (given_input.role, given_input.content) == (Role.USER, (TextPart("hello"),))
    assert request == before


@requirement("defect_no_input")
@pytest.mark.parametrize(
    ("request_json", "field", "rule"),
    [
        ({}, "messages", "The 'messages' field is missing in the request."),
        ({"messages": None}, "messages", "The 'messages' field must be an iterable."),
        ({"messages": 7}, "messages", "The 'messages' field must be an iterable."),
        ({"messages": "hello"}, "messages", "The 'messages' field must be an iterable."),
        ({"messages": []}, "messages", "The 'messages' field must not be empty."),
        ({"messages": ["hello"]}, "messages[-1].role", "'messages[-1].role' must be a 'user'"),
        ({"messages": [{"role": "assistant"}]}, "messages[-1].role", "'messages[-1].role' must be a 'user'"),
        ({"messages": [{"role": "user"}]}, "messages[-1].content", "'messages[-1].content' must be a 'string'"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[-1].content", "'messages[-1].content' must be a 'string'"),
    ],
)
def test_a_chat_request_without_input_names_what_is_wrong(request_json: Mapping[str, object], field: str, rule: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        last_user_message(request_json)
    assert caught.value.fields == {field: rule}


def test_an_answer_that_was_given_elsewhere_is_what_the_agents_kind_would_have_said() -> None:
    where = {"run_id": RUN_ID, "step_id": None, "model": "m/m", "time": NOW}
    (plain,) = assistant_said("Hi!", AgentKind.REACT, **where)  # type: ignore[arg-type]  # each has its own type
    assert (plain.text, plain.tool_calls, plain.model) == ("Hi!", (), "m/m")
    by_tool = assistant_said("Hi!", AgentKind.MEMGPT, **where)  # type: ignore[arg-type]  # each has its own type
    assert [message.role for message in by_tool] == [Role.ASSISTANT, Role.TOOL]
    assert [given_return.tool_call_id for given_return in by_tool[1].tool_returns] == [by_tool[0].tool_calls[0].id]
    assert by_tool[1].tool_returns[0].status is ToolReturnStatus.SUCCESS
    assert chat_messages(by_tool) == chat_messages((plain,)) == [{"role": "assistant", "content": "Hi!"}]
    again = assistant_said("Hi!", AgentKind.MEMGPT, **where)  # type: ignore[arg-type]  # each has its own type
    assert again[0].tool_calls[0].id != by_tool[0].tool_calls[0].id


def test_a_return_is_packaged_in_the_agents_time() -> None:
    back: ToolReturn = returned("1", "fine")
    history = [assistant("a", "1"), replace(tool_message("b"), tool_returns=(back,))]
    (_, packaged) = chat_messages(history, timezone="Europe/Berlin")
    assert json.loads(str(packaged["content"]))["time"].endswith("CET+0100")
