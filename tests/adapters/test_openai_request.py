# ruff: noqa: ANN401 - vendors' JSON, and fields passed through by name

import json
import tracemalloc
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from letta_grpc.adapters.openai.dialect import Dialect
from letta_grpc.adapters.openai.request import encode_request
from letta_grpc.domain.agents import ModelSettings
from letta_grpc.domain.completions import ANY_TOOL, ModelRequest, ToolDefinition
from letta_grpc.domain.context import package_return
from letta_grpc.domain.ids import MessageId, RunId
from letta_grpc.domain.messages import (
    ContentPart,
    ImagePart,
    Message,
    ReasoningPart,
    RedactedReasoningPart,
    Role,
    TextPart,
    ToolCall,
    ToolReturn,
    ToolReturnStatus,
)

TIME = datetime(2030, 1, 1, 12, tzinfo=UTC)
TOOL = ToolDefinition(name="f", description="Does f.", parameters='{"type": "object", "properties": {"z": {}, "a": {}}}')


def message(role: Role, *content: ContentPart | str, **fields: Any) -> Message:
    parts = tuple(TextPart(part) if isinstance(part, str) else part for part in content)
    return Message(id=MessageId("m"), role=role, content=parts, run_id=RunId("r"), create_time=TIME, **fields)


def called(*calls: ToolCall) -> Message:
    return message(Role.ASSISTANT, tool_calls=calls)


def returned(*ids: str) -> Message:
    returns = tuple(ToolReturn(tool_call_id=i, status=ToolReturnStatus.SUCCESS, text="ok") for i in ids)
    return message(Role.TOOL, tool_returns=returns)


def body_of(*messages: Message, **fields: Any) -> Any:
    request = ModelRequest(model="m", system=fields.pop("system", ""), messages=messages, **fields)
    return json.loads(encode_request(request, Dialect()))


def test_the_system_prompt_comes_first_and_the_rest_in_order() -> None:
    body = body_of(message(Role.USER, "Hi"), message(Role.SYSTEM, "Be nice"), message(Role.ASSISTANT, "Yes"), system="You are")
    assert [(each["role"], each["content"]) for each in body["messages"]] == [
        ("system", "You are"),
        ("user", "Hi"),
        ("system", "Be nice"),
        ("assistant", "Yes"),
    ]
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}


def test_reasoning_is_never_sent_back() -> None:
    assert "secret thought" not in json.dumps(body_of(message(Role.ASSISTANT, ReasoningPart("secret thought"), "Yes")))
    assert body_of(message(Role.ASSISTANT, ReasoningPart("secret thought")))["messages"] == []


def test_each_return_is_a_message_of_its_own_packaged_in_the_agents_time() -> None:
    calls = [ToolCall(id=name, name="f", arguments="{}") for name in ("a", "b")]
    answer = returned("a", "b")
    sent = body_of(called(*calls), answer, timezone="Europe/Berlin")["messages"]
    assert [each.get("tool_call_id") for each in sent] == [None, "a", "b"]
    assert sent[1]["content"] == package_return(answer.tool_returns[0], TIME, "Europe/Berlin")
    assert sent[0]["content"] is None


def test_the_providers_own_ids_go_back_to_it_in_call_and_return() -> None:
    call = ToolCall(id="call_ours", name="f", arguments="{}", provider_id="call_0")
    sent = body_of(called(call), returned("call_ours"))["messages"]
    assert (sent[0]["tool_calls"][0]["id"], sent[1]["tool_call_id"]) == ("call_0", "call_0")


def test_ids_that_the_provider_gave_twice_in_one_message_are_replaced_by_ours() -> None:
    calls = (
        ToolCall(id="one", name="f", arguments="{}", provider_id="call_0"),
        ToolCall(id="two", name="f", arguments="{}", provider_id="call_0"),
    )
    sent = body_of(called(*calls), returned("one", "two"))["messages"]
    assert [call["id"] for call in sent[0]["tool_calls"]] == ["one", "two"]
    assert [each["tool_call_id"] for each in sent[1:]] == ["one", "two"]


def test_ids_that_are_too_long_for_vendors_are_shortened_alike_in_call_and_return_each_time() -> None:
    longs = tuple(f"call_1f0e7c9a-1111-4222-8333-44445555666{n}" for n in (6, 7))
    calls = (ToolCall(id=longs[0], name="f", arguments="{}"), ToolCall(id="b", name="f", arguments="{}", provider_id=longs[1]))
    sent = body_of(called(*calls), returned(longs[0], "b"))["messages"]
    ids = [call["id"] for call in sent[0]["tool_calls"]]
    assert [len(each) for each in ids] == [37, 37]
    assert ids[0] != ids[1]
    assert [each["tool_call_id"] for each in sent[1:]] == ids
    assert body_of(called(*calls))["messages"][0] == sent[0]
    # Of a return whose call is not there, too.
    assert body_of(returned(longs[0]))["messages"][0]["tool_call_id"] == ids[0]


def test_an_id_of_forty_characters_goes_out_as_it_is() -> None:
    sent = body_of(called(ToolCall(id="x" * 40, name="f", arguments="{}")))["messages"]
    assert sent[0]["tool_calls"][0]["id"] == "x" * 40


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("multi_tool_use.parallel", "multi_tool_use_parallel"),
        ("größe holen", "gr__e_holen"),
        ("x" * 65, "x" * 64),
        ("", "_"),
        ("of.fered", "of.fered"),
    ],
)
def test_a_name_that_a_model_made_up_is_one_that_vendors_take_and_a_tools_own_stays(name: str, sent: str) -> None:
    body = body_of(called(ToolCall(id="a", name=name, arguments="{}")), tools=(replace(TOOL, name="of.fered"),))
    assert body["messages"][0]["tool_calls"][0]["function"]["name"] == sent


def test_arguments_go_back_as_they_were_written_unless_they_are_no_json_object() -> None:
    written = ['{"b": 1,  "a": 2}', "", "{'label': not", "[1]"]
    sent = body_of(called(*(ToolCall(id=str(n), name="f", arguments=a) for n, a in enumerate(written))))
    arguments = [call["function"]["arguments"] for call in sent["messages"][0]["tool_calls"]]
    assert arguments == ['{"b": 1,  "a": 2}', "{}", '{"not_json":"{\'label\': not"}', '{"not_json":"[1]"}']


def test_tools_keep_the_order_of_their_schema() -> None:
    (tool,) = body_of(tools=(TOOL,))["tools"]
    assert tool["type"] == "function"
    assert tool["function"]["name"] == "f"
    assert list(tool["function"]["parameters"]["properties"]) == ["z", "a"]


def test_settings_that_are_not_set_are_not_sent() -> None:
    assert set(body_of()) == {"model", "messages", "stream", "stream_options"}
    settings = ModelSettings(temperature=0.0, max_output_tokens=5, parallel_tool_calls=False)
    sent = body_of(settings=settings, tools=(TOOL,))
    assert (sent["temperature"], sent["max_tokens"], sent["parallel_tool_calls"]) == (0.0, 5, False)


def test_parallel_calls_are_not_spoken_of_where_there_are_no_tools() -> None:
    assert "parallel_tool_calls" not in body_of(settings=ModelSettings(parallel_tool_calls=True))


def test_a_call_that_must_come_is_asked_for() -> None:
    assert body_of(tools=(TOOL,), tool_choice=ANY_TOOL)["tool_choice"] == "required"
    assert body_of(tools=(TOOL,), tool_choice=TOOL.name)["tool_choice"] == "required"
    named = body_of(tools=(TOOL, replace(TOOL, name="other")), tool_choice=TOOL.name)["tool_choice"]
    assert named == {"type": "function", "function": {"name": TOOL.name}}
    assert "tool_choice" not in body_of(tools=(TOOL,))
    assert "tool_choice" not in body_of(tool_choice=ANY_TOOL)


def test_a_speakers_name_goes_out_where_vendors_take_it() -> None:
    sent = body_of(message(Role.USER, "Hi", name="ada_1"), message(Role.SYSTEM, "Yo", name="Ada L."), message(Role.USER, "x"))
    assert [each.get("name") for each in sent["messages"]] == ["ada_1", None, None]


def test_tools_that_are_equal_are_written_alike_and_others_are_not_confused() -> None:
    other = ToolDefinition(name="g", description="Does g.", parameters="{}")
    assert body_of(tools=(TOOL, other))["tools"] == [*body_of(tools=(TOOL,))["tools"], *body_of(tools=(other,))["tools"]]


def test_nothing_is_kept_of_large_tools_that_are_others_with_each_request() -> None:
    body_of(tools=(TOOL,))
    tracemalloc.start()
    try:
        for number in range(20):
            body_of(tools=(replace(TOOL, parameters=f'{{"description": "{number:01000000}"}}'),))
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 2_000_000 < most


def test_proven_reasoning_goes_back_to_the_model_that_wrote_it_alone() -> None:
    proof = {"type": "reasoning.text", "signature": "s", "format": "f", "index": 0}
    hidden = {"type": "reasoning.encrypted", "data": "x", "id": "rs_1"}
    parts = (ReasoningPart("Hm.", json.dumps(proof)), RedactedReasoningPart(json.dumps(hidden)), ReasoningPart("unproven"))
    written = message(Role.ASSISTANT, *parts, "Yes", model="openrouter/m")
    request = ModelRequest(model="m", system="", messages=(written,))

    def details(provider: str | None) -> Any:
        body = encode_request(request, Dialect(), provider=provider)
        return json.loads(body)["messages"][0].get("reasoning_details")

    assert details("openrouter") == [proof | {"text": "Hm."}, hidden]
    assert (details("openai"), details(None)) == (None, None)


def test_reasoning_that_another_api_has_proved_is_left_out() -> None:
    foreign = message(Role.ASSISTANT, ReasoningPart("Hm.", "not json"), RedactedReasoningPart("[]"), "Yes", model="p/m")
    request = ModelRequest(model="m", system="", messages=(foreign,))
    sent = json.loads(encode_request(request, Dialect(), provider="p"))
    assert sent["messages"] == [{"role": "assistant", "content": "Yes"}]


PICTURE = ImagePart(media_type="image/png", data="iVBORw0KGgo=")
SENT_PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


def test_pictures_of_a_user_stand_between_the_words() -> None:
    sent = body_of(message(Role.USER, "Look:", PICTURE, "Well?"))["messages"]
    words = [{"type": "text", "text": text} for text in ("Look:", "Well?")]
    assert sent == [{"role": "user", "content": [words[0], SENT_PICTURE, words[1]]}]


def test_a_picture_is_sent_as_what_its_bytes_are() -> None:
    """Vendors refuse the whole context otherwise, for ever after."""
    jpeg = b64encode(b"\xff\xd8\xff" + b"x" * 100).decode()
    parts = [ImagePart(media_type="image/png", data=data) for data in (jpeg, "aGk=", "no base64")]
    (sent,) = body_of(message(Role.USER, *parts))["messages"]
    shown, *others = sent["content"]
    assert shown == {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{jpeg}"}}
    assert others == [{"type": "text", "text": "[an image, image/png: not shown]"}] * 2


def test_pictures_of_the_system_are_shown_by_a_user_behind_its_words() -> None:
    sent = body_of(message(Role.SYSTEM, "A map:", PICTURE))["messages"]
    assert sent == [{"role": "system", "content": "A map:"}, {"role": "user", "content": [SENT_PICTURE]}]


def test_pictures_that_tools_return_come_behind_the_last_tool_message_of_the_step() -> None:
    calls = [ToolCall(id=name, name="f", arguments="{}") for name in ("a", "b")]
    first = ToolReturn(tool_call_id="a", status=ToolReturnStatus.SUCCESS, text="ok", content=(TextPart("ok"), PICTURE))
    second = ToolReturn(tool_call_id="b", status=ToolReturnStatus.SUCCESS, text="fine")
    sent = body_of(called(*calls), message(Role.TOOL, tool_returns=(first, second)))["messages"]
    assert [each["role"] for each in sent] == ["assistant", "tool", "tool", "user"]
    assert sent[1]["content"] == package_return(first, TIME, "UTC")
    assert sent[3]["content"] == [{"type": "text", "text": "What the call a returned to look at:"}, SENT_PICTURE]


def test_reasoning_effort_is_sent_as_it_is_set() -> None:
    assert body_of(settings=ModelSettings(reasoning_effort="low"))["reasoning_effort"] == "low"
    assert "reasoning_effort" not in body_of()


CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (CLOSED, True),
        (CLOSED | {"properties": {"a": {"anyOf": [CLOSED, {"type": "null"}]}}}, True),
        (CLOSED | {"properties": {"a": {"type": "array", "items": CLOSED}}}, True),
        (CLOSED | {"required": []}, False),
        (CLOSED | {"additionalProperties": True}, False),
        (CLOSED | {"properties": {"a": {"type": "string", "pattern": "x"}}}, False),
        (CLOSED | {"properties": {"a": {"type": "array", "items": {"type": "object"}}}}, False),
        ({"type": "array", "items": CLOSED}, False),
        ({}, False),
    ],
)
def test_the_shape_of_the_answer_is_asked_for_as_strictly_as_vendors_let_it(schema: dict[str, Any], strict: bool) -> None:  # noqa: FBT001 - a parameter of the test
    sent = body_of(response_format=json.dumps(schema))["response_format"]
    assert sent == {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": strict}}


def test_the_shape_has_the_name_that_its_title_gives_if_vendors_take_it() -> None:
    names = [
        body_of(response_format=json.dumps({"title": title}))["response_format"]["json_schema"]["name"]
        for title in ("Person", "A person", 7)
    ]
    assert names == ["Person", "answer", "answer"]
